from __future__ import annotations

import gzip
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.encoders import (
    AnalysisConfig,
    Bm25Config,
    Bm25Encoder,
    Saturation,
    bm25,
    encoder_from_identity,
)
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError
from sparsearch.vectors import SparseVectors, Vocabulary


@dataclass(frozen=True)
class Statistics:
    """Of a batch of documents held in memory."""

    documents: SparseVectors

    @property
    def n_documents(self) -> int:
        return len(self.documents)

    @property
    def average_length(self) -> float:
        return float(self.documents.weights.sum(dtype=np.float64)) / max(len(self.documents), 1)

    def document_frequencies(self, term_ids):
        counts = np.bincount(self.documents.term_ids, minlength=self.documents.dimension)
        return counts[term_ids]


def scores(encoder: Bm25Encoder, documents: list[str], query: str) -> list[float]:
    """Score by vectors, as an index does."""
    counts = encoder.encode_documents(documents)
    statistics = Statistics(counts)
    lengths = [sum(row.values()) for row in counts.to_dicts()]
    weights = encoder.saturation.weights(
        counts.weights, np.repeat(lengths, np.diff(counts.offsets)), statistics.average_length
    )
    final = SparseVectors(counts.offsets, counts.term_ids, weights, encoder.vocabulary)
    (weighted,) = encoder.encode_queries([query], statistics).to_dicts()
    return [sum(row.get(t, 0.0) * w for t, w in weighted.items()) for row in final.to_dicts()]


def naive_scores(documents: list[str], query: str, k1: float, b: float) -> list[float]:
    """Score by the formula of the textbook, over blank-separated words."""
    split = [text.split() for text in documents]
    average = sum(map(len, split)) / len(split)
    totals = []
    for words in split:
        total = 0.0
        for term in query.split():
            frequency = words.count(term)
            containing = sum(term in other for other in split)
            if frequency:
                idf = math.log(1 + (len(split) - containing + 0.5) / (containing + 0.5))
                norm = k1 * (1 - b + b * len(words) / average)
                total += idf * frequency / (frequency + norm)
        totals.append(total)
    return totals


words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl"]), max_size=12).map(" ".join)


@given(st.lists(words, min_size=1, max_size=6), words, st.floats(0, 10), st.floats(0, 1))
def test_scores_are_those_of_the_formula(documents, query, k1, b):
    encoder = Bm25Encoder(Bm25Config(k1, b, AnalysisConfig(None)))
    expected = naive_scores(documents, query, k1, b)
    assert scores(encoder, documents, query) == pytest.approx(expected, rel=1e-5)


def test_documents_become_counts_and_the_vocabulary_grows_in_order():
    encoder = Bm25Encoder()
    vectors = encoder.encode_documents(["Dogs chase dogs", "", "?!", "cats chase"])
    assert vectors.to_dicts() == [{"dog": 2.0, "chase": 1.0}, {}, {}, {"chase": 1.0, "cat": 1.0}]
    assert encoder.vocabulary.terms() == ["dog", "chase", "cat"]
    assert vectors.vocabulary is encoder.vocabulary
    SparseVectors(vectors.offsets, vectors.term_ids, vectors.weights, vectors.vocabulary)  # checks


def test_queries_leave_out_what_no_document_holds():
    encoder = Bm25Encoder()
    statistics = Statistics(encoder.encode_documents(["dogs chase", "cats"]))
    vectors = encoder.encode_queries(["dog DOGS unicorn", "unicorn", "", "..."], statistics)
    assert vectors.to_dicts() == [{"dog": pytest.approx(2 * math.log(2))}, {}, {}, {}]
    assert "unicorn" not in encoder.vocabulary


def test_queries_leave_out_terms_of_deleted_documents():
    encoder = Bm25Encoder()
    encoder.encode_documents(["dogs"])
    statistics = Statistics(encoder.encode_documents(["cats", "cats"]))
    assert encoder.encode_queries(["dogs cats"], statistics).to_dicts() == [
        {"cat": pytest.approx(math.log(1.2))}
    ]


def test_a_query_learns_of_terms_added_after_it_was_first_asked():
    encoder = Bm25Encoder()
    nothing = Statistics(encoder.encode_documents([]))
    assert encoder.encode_queries(["dogs"], nothing).nnz == 0
    statistics = Statistics(encoder.encode_documents(["dogs"]))
    assert encoder.encode_queries(["dogs"], statistics).nnz == 1


def test_queries_without_statistics_are_refused():
    with pytest.raises(EncoderError, match="statistics"):
        Bm25Encoder().encode_queries(["dogs"])


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ("one text", r"give \[text\]"),
        (b"bytes", r"give \[text\]"),
        (7, "7"),
        (["fine", None], "text 1 is None"),
        (["fine", b"bytes"], "text 1"),
        ([["nested"]], "text 0"),
    ],
)
def test_what_is_not_text_is_refused_before_anything_is_added(texts, named):
    encoder = Bm25Encoder()
    with pytest.raises(InvalidInputError, match=named):
        encoder.encode_documents(texts)
    with pytest.raises(InvalidInputError, match=named):
        encoder.encode_queries(texts, Statistics(SparseVectors([0], [], [])))
    assert len(encoder.vocabulary) == 0


def test_counts_that_a_float32_cannot_hold_are_refused(monkeypatch):
    monkeypatch.setattr(bm25, "_LARGEST_COUNT", 3)
    encoder = Bm25Encoder()
    encoder.encode_documents(["dog dog dog"])
    with pytest.raises(InvalidInputError, match="text 1 holds the term 'dog' 4 times"):
        encoder.encode_documents(["cat", "fish dog dog dog dog"])


@given(st.lists(st.text(), max_size=5))
def test_any_text_makes_valid_vectors(texts):
    vectors = Bm25Encoder().encode_documents(texts)
    assert len(vectors) == len(texts)
    SparseVectors(vectors.offsets, vectors.term_ids, vectors.weights, vectors.vocabulary)


def test_threads_encode_queries_while_documents_are_added():
    encoder = Bm25Encoder()
    statistics = Statistics(encoder.encode_documents([f"word{i} common" for i in range(200)]))
    expected = encoder.encode_queries(["word7 common"], statistics)
    with ThreadPoolExecutor(4) as pool:
        added = pool.map(lambda i: encoder.encode_documents([f"new{i} word{i}"]), range(300))
        asked = pool.map(lambda i: encoder.encode_queries(["word7 common"], statistics), range(300))
        assert all(vectors == expected for vectors in asked)
        assert all(vectors.nnz == 2 for vectors in added)


def test_real_documents_in_any_batches(collections_dir):
    with gzip.open(collections_dir / "cranfield" / "corpus.jsonl.gz", "rt", encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for line in f]
    whole, parted = Bm25Encoder(), Bm25Encoder()
    at_once = whole.encode_documents(texts)
    parts = [parted.encode_documents(texts[i : i + 97]) for i in range(0, len(texts), 97)]
    assert SparseVectors.concatenate(parts) == at_once
    assert at_once.weights.sum() > 100_000


class TestSaturation:
    def test_zero_k1_counts_presence_only(self):
        np.testing.assert_array_equal(Saturation(0, 1).weights([1, 9], [5, 50], 7.0), [1, 1])

    def test_zero_average_length_discounts_nothing(self):
        assert Saturation(1.0, 0.5).weights([], [], 0.0).shape == (0,)
        assert Saturation(1.0, 0.5).weights(1, 3, 0.0) == np.float32(1 / 1.5)

    def test_lengths_are_broadcast(self):
        weights = Saturation(1.2, 0.75).weights(np.ones((2, 3)), np.ones((2, 1)), 1.0)
        assert weights.shape == (2, 3)
        assert weights.dtype == np.float32

    @given(st.integers(1, 2**24), st.integers(1, 2**24), st.floats(0, 1e3), st.floats(0, 1))
    def test_weights_rise_with_counts_and_stay_within_one(self, count, length, k1, b):
        once, twice = Saturation(k1, b).weights([count, 2 * count], length, 100.0)
        assert 0 < once <= twice <= 1

    @pytest.mark.parametrize(
        ("k1", "b", "named"),
        [
            (-0.1, 0.5, "k1 is -0.1"),
            (math.nan, 0.5, "k1 is nan"),
            (math.inf, 0.5, "k1 is inf"),
            (10**400, 0.5, "k1"),
            ("1", 0.5, "k1 is '1'"),
            (True, 0.5, "k1 is True"),
            (None, 0.5, "k1 is None"),
            (Decimal(1), 0.5, "k1"),
            (1.2, 1.1, "b is 1.1"),
            (1.2, -1, "b is -1"),
            (1.2, math.nan, "b is nan"),
        ],
    )
    def test_numbers_out_of_range_are_refused(self, k1, b, named):
        with pytest.raises(InvalidInputError, match=named):
            Saturation(k1, b)
        with pytest.raises(InvalidInputError, match=named):
            Bm25Config(k1=k1, b=b)


class TestIdentity:
    @pytest.mark.parametrize(
        "config",
        [
            Bm25Config(),
            Bm25Config(0, 1, AnalysisConfig("german", stop_words=True)),
            Bm25Config(np.float32(0.5), Fraction(1, 4), AnalysisConfig(None)),  # type: ignore[arg-type]
            Bm25Config(pair_weight=0.5),
        ],
    )
    def test_round_trip_through_json(self, config):
        encoder = Bm25Encoder(config)
        encoder.encode_documents(["die Häuser of dogs"])
        identity = json.loads(json.dumps(encoder.identity))
        again = encoder_from_identity(identity, Vocabulary(encoder.vocabulary.terms()))
        assert again.identity == encoder.identity
        assert again.saturation == encoder.saturation
        assert again.encode_documents(["dogs", "x"]) == encoder.encode_documents(["dogs", "x"])

    @pytest.mark.parametrize(
        "change",
        [{"type": "splade"}, {"type": None}, {"type": []}, {"version": 2}, {"version": None}],
    )
    def test_unknown_encoders_are_unavailable(self, change):
        with pytest.raises(EncoderUnavailableError, match=next(iter(change))):
            encoder_from_identity({**Bm25Encoder().identity, **change}, Vocabulary())

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"k1": "high"}, "k1"),
            ({"b": 2}, "b is 2"),
            ({"pair_weight": -1}, "pair_weight is -1"),
            ({"pair_weight": math.inf}, "pair_weight is inf"),
            ({"k3": 1}, "unknown bm25 setting 'k3'"),
            ({"analysis": None}, "analysis"),
            ({"analysis": {"language": "english"}}, "analysis settings lack 'stop_words'"),
            ({"analysis": {"language": "klingon", "stop_words": False}}, "klingon"),
            ({"analysis": {"language": None, "stop_words": 1}}, "stop_words"),
        ],
    )
    def test_malformed_settings_are_refused(self, change, named):
        with pytest.raises(InvalidInputError, match=named):
            encoder_from_identity({**Bm25Encoder().identity, **change}, Vocabulary())

    @pytest.mark.parametrize("name", ["k1", "b", "analysis"])
    def test_missing_settings_are_refused(self, name):
        identity = Bm25Encoder().identity
        del identity[name]
        with pytest.raises(InvalidInputError, match=f"lack '{name}'"):
            encoder_from_identity(identity, Vocabulary())

    @pytest.mark.parametrize("identity", [None, "bm25", [], 7])
    def test_what_is_no_mapping_is_refused(self, identity):
        with pytest.raises(InvalidInputError, match="not a mapping"):
            encoder_from_identity(identity, Vocabulary())

    def test_analysis_must_be_a_config(self):
        with pytest.raises(InvalidInputError, match="AnalysisConfig"):
            Bm25Config(analysis={"language": None})  # type: ignore[arg-type]
