"""Pairs of neighbouring words as terms: their buckets, counts and names."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparsearch as ss
from sparsearch.encoders import AnalysisConfig, Analyzer
from sparsearch.encoders.counting import TermCounter
from sparsearch.encoders.pairs import N_BUCKETS, add_buckets, find_buckets, term_hash
from sparsearch.errors import VocabularyMismatchError
from sparsearch.index import Feedback
from sparsearch.kernels.counts_reference import pair_bucket

HEAT_TRANSFER = 63_936
"""The bucket of this pair. It must never change: indexes have it on disk."""
PAIRED = ss.Bm25Config(pair_weight=0.25)
WORDS = st.sampled_from(["cat", "dog", "the", "Cats", "boundary", "layer", "42", "naïve", "."])
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


def bucket(first: str, second: str) -> int:
    return pair_bucket(term_hash(first), term_hash(second), N_BUCKETS)


def test_a_pair_has_the_same_bucket_on_every_machine() -> None:
    (row,) = ss.Bm25Encoder(PAIRED).encode_documents(["heat transfer"]).to_dicts()
    assert row == {"heat": 1, "transfer": 1, f"&{HEAT_TRANSFER}": 1}
    assert bucket("heat", "transfer") == HEAT_TRANSFER != bucket("transfer", "heat")


def test_buckets_are_spread_evenly() -> None:
    words = [f"w{i}" for i in range(600)]
    sizes = Counter(bucket(a, b) for a in words for b in words)
    mean = 600 * 600 / N_BUCKETS
    assert len(sizes) > 0.99 * N_BUCKETS
    assert max(sizes.values()) < mean + 8 * mean**0.5


@given(st.lists(TEXTS, max_size=5))
def test_pairs_are_counted_as_words_are(texts: list[str]) -> None:
    vocabulary = ss.Vocabulary()
    buckets = add_buckets(vocabulary)
    analyzer = Analyzer(AnalysisConfig())
    offsets, terms, counts = TermCounter(analyzer, vocabulary, buckets).count_growing(texts)
    for text, (start, stop) in zip(texts, pairwise(offsets.tolist()), strict=True):
        words = analyzer.analyze(text)
        expected = Counter(words) + Counter(f"&{bucket(a, b)}" for a, b in pairwise(words))
        named = [vocabulary.term(term) for term in terms[start:stop].tolist()]
        assert dict(zip(named, counts[start:stop].tolist(), strict=True)) == expected


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_a_query_has_the_pairs_of_known_words(query: str, documents: list[str]) -> None:
    vocabulary = ss.Vocabulary()
    buckets = add_buckets(vocabulary)
    analyzer = Analyzer(AnalysisConfig())
    counter = TermCounter(analyzer, vocabulary, buckets)
    counter.count_growing(documents)
    _, terms, _ = counter.count_known([query])
    known = {word for document in documents for word in analyzer.analyze(document)}
    pairs = [pair for pair in pairwise(analyzer.analyze(query)) if known.issuperset(pair)]
    found = {term - buckets.start for term in terms.tolist() if term in buckets}
    assert found == {bucket(*pair) for pair in pairs}


def test_a_vocabulary_has_all_buckets_or_none() -> None:
    vocabulary = ss.Vocabulary(["~learned"])
    assert not find_buckets(vocabulary)
    assert add_buckets(vocabulary) == range(1, 1 + N_BUCKETS)
    assert add_buckets(vocabulary) == find_buckets(vocabulary) == range(1, 1 + N_BUCKETS)
    assert len(vocabulary) == 1 + N_BUCKETS
    with pytest.raises(VocabularyMismatchError, match="not all 65536 pairs"):
        ss.Bm25Encoder(PAIRED, ss.Vocabulary(["&0", "&1", "word"]))


@given(TEXTS)
def test_terms_are_called_as_in_the_text(text: str) -> None:
    encoder = ss.Bm25Encoder(PAIRED)
    encoder.encode_documents([text])
    words = Analyzer(AnalysisConfig()).analyze(text)
    expected = {word: word for word in words}
    expected |= {f"&{bucket(*pair)}": " ".join(pair) for pair in pairwise(words)}
    named = encoder.text_terms(text)
    assert {encoder.vocabulary.term(term): name for term, name in named.items()} == expected


def test_pairs_that_share_a_bucket_are_both_named() -> None:
    words = [f"w{i}" for i in range(400)]
    seen: dict[int, str] = {}
    first, second = next(
        (one, other)
        for one in (f"{a} {b}" for a in words for b in words)
        if (other := seen.setdefault(bucket(*one.split()), one)) != one
    )
    encoder = ss.Bm25Encoder(PAIRED)
    text = f"{first} {second} {first}"
    encoder.encode_documents([text])
    assert f"{first} / {second}" in encoder.text_terms(text).values()


def test_neighbours_rank_first_and_are_explained(tmp_path: Path) -> None:
    texts = {
        "apart": "Layers of paint at the boundary of a field",
        "pair": "Heat in the boundary layer of a plate",
    }
    with ss.Index.create(tmp_path / "index", ss.Bm25Encoder(PAIRED)) as index:
        index.add({"id": name, "text": text} for name, text in texts.items())
        first, second = index.search("boundary layers")
        assert (first.id, second.id) == ("pair", "apart")
        pair = {term.term: term for term in index.explain("boundary layers", "pair").terms}
        # One of two documents has the pair, both have the words.
        rarer = math.log1p((2 - 1 + 0.5) / (1 + 0.5)) / math.log1p((2 - 2 + 0.5) / (2 + 0.5))
        assert pair.keys() == {"boundari", "layer", "boundari layer"}
        assert pair["boundari layer"].in_text
        assert pair["boundari layer"].query_weight == pytest.approx(
            0.25 * rarer * pair["layer"].query_weight
        )
        apart = index.explain("boundary layers", "apart")
        assert {term.term for term in apart.terms} == {"boundari", "layer"}
        assert apart.missing == ("boundari layer",)
        names = index.term_names("pair")
        assert sorted(names.values()) == ["boundari layer", "heat boundari", "layer plate"]
        stored = index.vector("pair").to_dicts()[0]
        assert names.keys() == {term for term in stored if str(term).startswith("&")}


def test_feedback_adds_no_pairs(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", ss.Bm25Encoder(PAIRED)) as index:
        index.add([{"id": "a", "text": "boundary layer of a plate"}, {"id": "b", "text": "birds"}])
        (plain,) = index.encode_queries(["boundary layer"]).to_dicts()
        (wider,) = index.expand(["boundary layer"], feedback=Feedback(1, 9, 1.0)).to_dicts()
    assert wider.keys() - plain.keys() == {"plate"}
    (pair,) = (term for term in plain if str(term).startswith("&"))
    assert wider[pair] == plain[pair]


def test_exported_pairs_are_those_that_queries_have(tmp_path: Path) -> None:
    texts = ["a boundary layer", "layers at a boundary"]
    vectors = ss.Bm25Encoder(PAIRED).encode_documents(texts)
    again = ss.Bm25Encoder(PAIRED)
    again.encode_documents(["other words first", *texts])
    assert vectors.to_dicts() == again.encode_documents(texts).to_dicts()
