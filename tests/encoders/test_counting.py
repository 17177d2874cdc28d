# ruff: noqa: RUF001
from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.encoders import AnalysisConfig, Analyzer, counting
from sparsearch.encoders.counting import TermCounter
from sparsearch.kernels import counts, counts_reference
from sparsearch.vectors import Vocabulary

SPECIAL = "abAB01'.,’é· \n\x00_中👍ß\ud800"
texts = st.text(st.sampled_from(SPECIAL) | st.characters())
batches = st.lists(st.text(st.sampled_from("ab1'., ")) | texts, max_size=8)


def counted(texts: list[str], analyzer: Analyzer) -> list[dict[str, int]]:
    vocabulary = Vocabulary()
    offsets, term_ids, values = TermCounter(analyzer, vocabulary).count_growing(texts)
    terms = [vocabulary.term(int(i)) for i in term_ids]
    pairs = list(zip(terms, values.tolist(), strict=True))
    return [dict(pairs[a:b]) for a, b in pairwise(offsets)]


@pytest.mark.parametrize("language", [None, "english"])
@given(batches)
def test_counts_are_those_of_the_analyzer(language, batch):
    analyzer = Analyzer(AnalysisConfig(language))
    assert counted(batch, analyzer) == [dict(Counter(analyzer.analyze(text))) for text in batch]


@given(batches)
def test_stop_words_are_not_counted(batch):
    analyzer = Analyzer(AnalysisConfig("english", stop_words=True))
    batch = [f"the {text} a" for text in batch]
    assert counted(batch, analyzer) == [dict(Counter(analyzer.analyze(text))) for text in batch]


@given(batches, st.integers(1, 8))
def test_the_size_of_batches_makes_no_difference(batch, size):
    analyzer = Analyzer(AnalysisConfig())
    whole, parted = Vocabulary(), Vocabulary()
    at_once = TermCounter(analyzer, whole).count_growing(batch)
    counter = TermCounter(analyzer, parted)
    parts = [
        counter.count_growing(batch[start : start + size]) for start in range(0, len(batch), size)
    ]
    assert whole == parted
    if parts:
        lengths, term_ids, values = (
            np.concatenate(arrays)
            for arrays in zip(*[(np.diff(o), t, c) for o, t, c in parts], strict=True)
        )
        np.testing.assert_array_equal(lengths, np.diff(at_once[0]))
        np.testing.assert_array_equal(term_ids, at_once[1])
        np.testing.assert_array_equal(values, at_once[2])


@given(batches, batches)
def test_known_terms_only(documents, queries):
    analyzer, vocabulary = Analyzer(AnalysisConfig(None)), Vocabulary()
    counter = TermCounter(analyzer, vocabulary)
    counter.count_growing(documents)
    before = vocabulary.terms()
    offsets, term_ids, values = counter.count_known(queries)
    assert vocabulary.terms() == before
    for row, text in enumerate(queries):
        span = slice(offsets[row], offsets[row + 1])
        found = {vocabulary.term(int(i)): int(c) for i, c in zip(term_ids[span], values[span])}  # noqa: B905
        assert found == {t: c for t, c in Counter(analyzer.analyze(text)).items() if t in before}


def test_forgetting_makes_no_difference(monkeypatch):
    monkeypatch.setattr(counting, "_REMEMBERED_TOKENS", 3)
    analyzer = Analyzer(AnalysisConfig())
    text = "one two three four five six one two three four"
    assert counted([text, text], analyzer) == [dict(Counter(analyzer.analyze(text)))] * 2


@given(
    st.lists(st.binary(max_size=30), max_size=6),
    st.lists(st.integers(0, 4), min_size=256, max_size=256),
    st.sampled_from([256, 65_537, 2**31 - 2]),
)
def test_distinct_tokens_equals_its_twin(rows, byte_classes, base):
    data = np.frombuffer(b"".join(rows), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    modes = np.arange(len(rows), dtype=np.uint8) % 2
    classes = np.array([byte_classes, byte_classes[::-1]], dtype=np.uint8)
    fast = counts.distinct_tokens(data, offsets, modes, classes, base)
    slow = counts_reference.distinct_tokens(data, offsets, modes, classes)
    for ours, theirs in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(st.data())
def test_count_terms_equals_its_twin(data):
    n_terms = data.draw(st.integers(0, 6))
    rows = data.draw(st.lists(st.lists(st.integers(-2, n_terms - 1), max_size=12), max_size=6))
    arguments = *as_arrays(rows), n_terms
    fast, slow = counts.count_terms(*arguments), counts_reference.count_terms(*arguments)
    for ours, theirs in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(
    st.lists(st.lists(st.integers(-2, 5), max_size=12), max_size=6),
    st.lists(st.integers(0, 2**31 - 1), min_size=8, max_size=8),
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 2**16]),
)
def test_append_pairs_equals_its_twin(rows, hash_of_term, first_pair, n_buckets):
    offsets, terms = as_arrays(rows)
    hashes = np.array(hash_of_term)[terms]
    arguments = offsets, terms, hashes, first_pair, n_buckets
    fast, slow = counts.append_pairs(*arguments), counts_reference.append_pairs(*arguments)
    for ours, theirs in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def as_arrays(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return offsets, np.fromiter(chain.from_iterable(rows), dtype=np.int64)


def test_more_distinct_tokens_than_slots():
    words = [f"w{i}" for i in range(20_000)]
    (found,) = counted([" ".join(words + words)], Analyzer(AnalysisConfig(None)))
    assert found == dict.fromkeys(words, 2)


def test_a_megabyte_of_anything():
    analyzer = Analyzer(AnalysisConfig(stop_words=False))
    word = "x" * 1_000_000
    assert counted([word, "a b " * 250_000, "." * 1_000_000, "é" * 500_000], analyzer) == [
        {word: 1},
        {"a": 250_000, "b": 250_000},
        {},
        {"é" * 500_000: 1},
    ]
