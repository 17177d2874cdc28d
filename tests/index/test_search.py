"""Searches return the exact top k under the contract, whatever the index went through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np
import pytest
from brute_force import (
    actual_hits,
    assert_close_to_inner_products,
    expected_hits,
    integer_scores,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive_filter import fields_of, has_kind, matches, ordered_in, values_of

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    InvalidQueryError,
    InvalidVectorError,
    VocabularyMismatchError,
)

Row = dict[Any, float]


@contextmanager
def vector_index(rows: list[Row], **config: Any) -> Iterator[Index]:
    with (
        TemporaryDirectory() as folder,
        Index.create(f"{folder}/index", None, IndexConfig(**config)) as index,
    ):
        index.add_vectors([f"d{i}" for i in range(len(rows))], SparseVectors.from_dicts(rows))
        yield index


def random_rows(rng: np.random.Generator, count: int, n_terms: int, levels: int) -> list[Row]:
    """Rows of skewed terms; few levels of weight make many ties."""
    rows = []
    for _ in range(count):
        terms = np.unique((n_terms * rng.random(rng.integers(0, 9)) ** 2).astype(int))
        weights = rng.integers(1, levels + 1, len(terms)) / 8
        rows.append(dict(zip(terms.tolist(), weights.tolist(), strict=True)))
    return rows


def random_query(rng: np.random.Generator, n_terms: int) -> SparseVectors:
    terms = rng.choice(n_terms + 5, rng.integers(0, 7), replace=False).tolist()
    weights = rng.choice([-1.5, 0.0, 0.25, 1.0, 1.0, 2.0, 1e-6], len(terms)).tolist()
    return SparseVectors.from_dicts([dict(zip(terms, weights, strict=True))])


@pytest.mark.parametrize("weight_bits", [8, 12])
@pytest.mark.parametrize(("seed", "levels"), [(1, 1), (2, 3), (3, 10_000)])
def test_equals_brute_force(weight_bits: int, seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 400, 40, levels)
    queries = [random_query(rng, 40) for _ in range(10)]
    with vector_index(rows, weight_bits=weight_bits, segment_documents=70) as index:
        for step in range(4):
            for query in queries:
                assert_close_to_inner_products(index, query)
                for k in (0, 1, 10, 10_000):
                    assert actual_hits(index, query, k) == expected_hits(index, query, k)
            batch = SparseVectors.concatenate(queries)
            runs = [index.search_batch(batch, 20, threads=threads) for threads in (1, 2, 4, None)]
            assert all(run == runs[0] for run in runs)
            tops = [index.top_k(batch, 20, threads=threads) for threads in (1, 4)]
            for first, other in zip(*tops, strict=True):
                np.testing.assert_array_equal(first, other)
            if step == 0:
                index.delete([f"d{i}" for i in rng.choice(400, 60, replace=False)])
            elif step == 1:
                again = rng.choice(400, 90, replace=False)
                vectors = SparseVectors.from_dicts(random_rows(rng, 90, 40, levels))
                index.add_vectors([f"d{i}" for i in again], vectors, replace=True)
            elif step == 2:
                index.optimize()
                assert index.info().segments == 1
                assert index.info().deleted == 0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A segment large enough that thresholds are guessed from a sample of it, and a small one.

    Term 0 is strong in some stretches of documents only, wherever they are sampled from.
    """
    rng = np.random.default_rng(21)
    count = 40_000
    terms = np.sort(np.unique((60 * rng.random((count, 6)) ** 3).astype(np.uint32) + 1, axis=1))
    rows = np.arange(count)
    entries = {
        row: sorted(set(terms[row].tolist()) | ({0} if row % 2500 < 40 or row >= 39_900 else set()))
        for row in rows.tolist()
    }
    offsets = np.cumsum([0, *map(len, entries.values())])
    ids = np.array([term for row in entries.values() for term in row], np.uint32)
    weights = np.where(ids == 0, 9.0, rng.integers(1, 17, len(ids)) / 16).astype(np.float32)
    vectors = SparseVectors(offsets, ids, weights)
    folder = tmp_path_factory.mktemp("large") / "index"
    with Index.create(folder, None) as index:
        for part in (slice(0, 39_000), slice(39_000, count)):
            numbers = rows[part].tolist()
            documents = [{"n": row % 100} for row in numbers]
            index.add_vectors([f"d{row}" for row in numbers], vectors[part], documents)
        assert index.info().segments == 2
        yield index


@pytest.mark.parametrize(
    "weights",
    [
        {1: 1.0, 2: 0.5, 9: 2.0},
        {0: 1.0, 1: 0.01},
        {0: 1.0},
        {0: -1.0, 1: 1.0, 30: 1.0},
        {58: 1.0, 59: 1.0},
        dict.fromkeys(range(60), 1.0),
    ],
)
def test_large_segments_equal_brute_force(large: Index, weights: Row) -> None:
    assert_large_equals_brute_force(large, SparseVectors.from_dicts([weights]))


def assert_large_equals_brute_force(index: Index, query: SparseVectors) -> None:
    """Assert it of an index whose documents' ``n`` is their number modulo 100."""
    scores, _, unit = integer_scores(index, query)
    order = np.lexsort((np.arange(len(scores)), -scores))
    order = order[scores[order] > 0]
    for filter, kept in (
        (None, order),
        ({"n": {"<": 50}}, order[order % 100 < 50]),
        ({"n": 7}, order[order % 100 == 7]),
    ):
        for k in (1, 10, 100, 3000):
            top = index.top_k(query, k, filter)
            count = int(top.counts[0])
            assert count == min(k, len(kept))
            assert top.numbers[0, :count].tolist() == kept[:k].tolist()
            assert top.scores[0, :count].tolist() == (scores[kept[:k]] * unit).tolist()


@pytest.fixture(scope="module")
def large_of_words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Index texts in many windows, some words in most of them and some in a few."""
    rng = np.random.default_rng(22)
    words = [f"w{i}x" for i in range(400)]
    texts = [
        " ".join(words[int(400 * u**3)] for u in rng.random(size)) + " late" * (row > 34_900)
        for row, size in enumerate(rng.integers(1, 12, 35_000).tolist())
    ]
    folder = tmp_path_factory.mktemp("large") / "words"
    with Index.create(folder, "bm25") as index:
        documents = ({"id": str(i), "text": text, "n": i % 100} for i, text in enumerate(texts))
        index.add(documents)
        index.optimize()
        yield index


@pytest.mark.parametrize(
    "text", ["w0x", "w0x w1x w2x", "late", "w0x late w399x", "w5x w40x w41x w300x", "w399x w398x"]
)
def test_large_segments_of_words_equal_brute_force(large_of_words: Index, text: str) -> None:
    assert_large_equals_brute_force(large_of_words, large_of_words.encode_queries([text]))


@pytest.mark.parametrize("weight_bits", [8, 12])
def test_stored_weights_are_within_a_step_of_the_given_ones(weight_bits: int) -> None:
    """The step is a power of two, at most twice the largest weight over the number of steps."""
    rng = np.random.default_rng(7)
    exponents = rng.uniform(-30, 30, 40)
    rows = random_rows(rng, 500, 40, 10_000)
    rows = [{t: w * 2.0 ** exponents[t] for t, w in row.items()} for row in rows]
    with vector_index(rows, weight_bits=weight_bits, segment_documents=40) as index:
        index.optimize()
        stored = index.vectors().to_dicts()
    assert [row.keys() for row in stored] == [row.keys() for row in rows]
    for term in range(40):
        wanted = np.array([row[term] for row in rows if term in row], np.float32)
        kept = np.array([row[term] for row in stored if term in row])
        if len(wanted):
            step = 2 * wanted.max() / (2**weight_bits - 0.5)
            assert np.abs(kept - wanted).max() <= step
            assert np.all(kept > 0)


@pytest.mark.parametrize("weight_bits", [8, 12])
def test_stored_weights_do_not_depend_on_the_segments(weight_bits: int) -> None:
    rng = np.random.default_rng(11)
    rows = random_rows(rng, 300, 30, 5_000)
    stored = []
    for segment_documents in (7, 60, 1000):
        options = {"weight_bits": weight_bits, "segment_documents": segment_documents}
        with vector_index(rows, **options) as index:
            index.optimize()
            stored.append(index.vectors())
    assert stored[0] == stored[1] == stored[2]


def test_extreme_weights() -> None:
    largest, least = float(np.finfo(np.float32).max), 1e-45
    rows: list[Row] = [{1: largest, 2: least}, {1: 1.0, 2: 2 * least}, {3: 1.0, 4: largest}]
    with vector_index(rows) as index:
        for weights in ({1: largest}, {2: least}, {1: least, 2: largest}, {3: 1e-30, 9: largest}):
            query = SparseVectors.from_dicts([weights])
            found = [hit.id for hit in index.search(query)]
            assert found == [i for i, _ in expected_hits(index, query, 10)]
            assert found


def test_equal_documents_are_found_in_insertion_order() -> None:
    rows: list[Row] = [{1: 0.5}, {1: 0.75}, {2: 1.0}, {1: 0.5}, {1: 0.75}, {1: 0.5, 3: 0.1}]
    with vector_index(rows, segment_documents=2, weight_bits=8) as index:
        assert index.info().segments == 3
        for _ in range(2):
            hits = actual_hits(index, SparseVectors.from_dicts([{1: 0.7}]), 10)
            assert [document_id for document_id, _ in hits] == ["d1", "d4", "d0", "d3", "d5"]
            assert len({score for _, score in hits}) == 2
            index.optimize()


def test_documents_without_overlap_are_never_returned() -> None:
    with vector_index([{1: 1.0}, {}, {2: 1.0}]) as index:
        assert [hit.id for hit in index.search({1: 1.0}, k=10)] == ["d0"]
        assert index.search({}) == []
        assert index.search({1: 0.0}) == []
        assert index.search({99: 1.0, 2**32 - 1: 2.0}) == []
        assert index.search({1: -1.0, 2: -1.0}) == []
        assert [hit.id for hit in index.search({1: -1.0, 2: 0.5})] == ["d2"]
        assert len(index) == 3


def test_terms_by_string() -> None:
    rows: list[Row] = [{"ä": 1.0, "b": 2.0}, {"b": 1.0}, {}]
    with vector_index(rows) as index:
        assert [hit.id for hit in index.search({"b": 1.0, "unknown": 5.0})] == ["d0", "d1"]
        more = SparseVectors.from_dicts([{"new": 1.0, "b": 9.0}])  # ids of its own
        index.add_vectors(["x"], more)
        assert [hit.id for hit in index.search({"new": 1.0})] == ["x"]
        assert [hit.id for hit in index.search({"b": 1.0})] == ["x", "d0", "d1"]
        assert index.search({}) == []
        assert index.search({"unknown": 1.0}) == []
        with pytest.raises(VocabularyMismatchError, match="strings"):
            index.search({0: 1.0})
        with pytest.raises(VocabularyMismatchError, match="strings"):
            index.add_vectors(["y"], SparseVectors.from_dicts([{0: 1.0}]))
        index.add_vectors(["empty"], SparseVectors.from_dicts([{}]))
        with Index.open(index.path) as again:
            assert [hit.id for hit in again.search({"b": 1.0})] == ["x", "d0", "d1"]
            assert again.vectors().to_dicts()[3] == {"new": 1.0, "b": 9.0}


@pytest.mark.parametrize("term", ["a", 7])
def test_documents_without_terms_do_not_decide_how_terms_are_known(term: Any) -> None:
    with vector_index([{}]) as index:
        for empty in (SparseVectors.from_dicts([{}]), SparseVectors.from_dicts([{"z": 0.0}])):
            index.add_vectors([f"empty{index.info().generation}"], empty)
        with Index.open(index.path) as other:
            other.add_vectors(["first"], SparseVectors.from_dicts([{term: 1.0}]))
        index.add_vectors(["second"], SparseVectors.from_dicts([{term: 2.0}]))
        assert [hit.id for hit in index.search({term: 1.0})] == ["second", "first"]


@pytest.mark.parametrize("query", [None, 3, ["a"], SparseVectors.from_dicts([{1: 1.0}] * 2)])
def test_what_is_not_a_query(query: Any) -> None:
    with vector_index([{1: 1.0}]) as index, pytest.raises(InvalidQueryError, match="a query must"):
        index.search(query)


@pytest.mark.parametrize(
    "weights", [{1: float("nan")}, {1: float("inf")}, {1: "x"}, {1: 1, "a": 1}]
)
def test_malformed_query_weights(weights: Any) -> None:
    with vector_index([{1: 1.0}]) as index, pytest.raises(InvalidVectorError):
        index.search(weights)


@pytest.mark.parametrize("k", [-1, 1.5, "3", None, True])
def test_malformed_k(k: Any) -> None:
    with vector_index([{1: 1.0}]) as index, pytest.raises(InvalidQueryError, match="k is"):
        index.search({1: 1.0}, k=k)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_malformed_threads(threads: Any) -> None:
    with vector_index([{1: 1.0}]) as index, pytest.raises(InvalidQueryError, match="threads is"):
        index.search_batch(SparseVectors.from_dicts([{1: 1.0}]), threads=threads)


@pytest.mark.parametrize("number", [-1, 3, 10**30, 0.5, True, "0", None])
def test_numbers_of_no_document(number: Any) -> None:
    with vector_index([{1: 1.0}] * 3) as index:
        assert index.ids_of(np.arange(3)) == ["d0", "d1", "d2"]
        for look in (index.ids_of, index.documents_of):
            with pytest.raises(InvalidQueryError, match="no document has the number"):
                look([0, number])


def test_a_query_of_too_many_terms() -> None:
    everything = np.arange(300_000, dtype=np.uint32)
    query = SparseVectors([0, len(everything)], everything, np.ones(len(everything), np.float32))
    with vector_index([{1: 1.0, 250_000: 2.0}]) as index:
        with pytest.raises(InvalidQueryError, match="at most 262"):
            index.search(query)
        fewer = SparseVectors([0, 200_000], everything[:200_000], np.ones(200_000, np.float32))
        assert actual_hits(index, fewer, 3) == expected_hits(index, fewer, 3)


def test_no_queries_at_all(tmp_path: Path) -> None:
    with Index.create(tmp_path / "vectors", None) as index:
        for filled in (False, True):
            assert len(index.search_batch([])) == len(index.search_batch({})) == 0
            assert len(index.search_batch(SparseVectors.from_dicts([]))) == 0
            if not filled:
                index.add_vectors(["a"], SparseVectors.from_dicts([{"x": 1.0}]))


def test_an_empty_index() -> None:
    with vector_index([]) as index:
        assert index.search({1: 1.0}) == []
        assert index.search({"a": 1.0}) == []
        assert index.search_batch(SparseVectors.from_dicts([{1: 1.0}, {}]))["1"] == []
        assert len(index.vectors()) == 0
        assert list(index.documents()) == []
        index.optimize()
        assert index.delete([]) == 0
        assert index.verify() == []


rows_of_weights = st.lists(
    st.dictionaries(
        st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0, 1e-3]), max_size=4
    ),
    min_size=1,
    max_size=12,
)


@given(rows_of_weights, rows_of_weights, st.sampled_from([8, 12]), st.integers(1, 5))
@settings(max_examples=40)
def test_small_indexes_equal_brute_force(
    rows: list[Row], queries: list[Row], weight_bits: int, per_segment: int
) -> None:
    with vector_index(rows, weight_bits=weight_bits, segment_documents=per_segment) as index:
        for weights in queries:
            query = SparseVectors.from_dicts([weights])
            assert actual_hits(index, query, 5) == expected_hits(index, query, 5)
            for hit in index.search(query, 3):
                explanation = index.explain(query, hit.id)
                assert explanation.score == hit.score
                assert sum(term.contribution for term in explanation.terms) == hit.score


class LifeOfAnIndex(RuleBasedStateMachine):
    """An index against a dictionary: the documents in insertion order."""

    ids = st.sampled_from([f"id{i}" for i in range(12)])
    vectors = st.dictionaries(st.integers(0, 5), st.sampled_from([0.25, 0.5, 1.0, 7.0]), max_size=3)
    values = st.sampled_from([1, 2, 2.5, "x", True, None, ["x", 2]])
    documents = st.lists(
        st.tuples(ids, vectors, st.dictionaries(st.sampled_from("ab"), values, max_size=2)),
        min_size=1,
        max_size=7,
    )

    @initialize(weight_bits=st.sampled_from([8, 12]), per_segment=st.integers(1, 4))
    def create(self, weight_bits: int, per_segment: int) -> None:
        self.folder = Path(mkdtemp())
        config = IndexConfig(weight_bits=weight_bits, segment_documents=per_segment)
        self.index = Index.create(self.folder / "index", None, config)
        self.reader = Index.open(self.folder / "index")
        self.model: dict[str, tuple[Row, dict[str, Any]]] = {}
        self.seen_by_reader: list[str] = []
        self.largest: dict[int, float] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.index.close()
            self.reader.close()
            shutil.rmtree(self.folder)

    def _store(self, documents: list[tuple[str, Row, dict[str, Any]]]) -> None:
        for document_id, row, metadata in documents:
            self.model.pop(document_id, None)
            self.model[document_id] = (row, metadata)
            for term, weight in row.items():
                self.largest[term] = max(self.largest.get(term, 0.0), weight)

    def _send(self, documents: list[tuple[str, Row, dict[str, Any]]], *, replace: bool) -> int:
        ids, rows, metadata = zip(*documents, strict=True)
        vectors = SparseVectors.from_dicts(rows)
        return self.index.add_vectors(ids, vectors, metadata, replace=replace)

    @rule(documents=documents)
    def add(self, documents: list[tuple[str, Row, dict[str, Any]]]) -> None:
        taken = set(self.model)
        fresh = []
        for document in documents:
            if document[0] in taken:
                break
            taken.add(document[0])
            fresh.append(document)
        if len(fresh) == len(documents):
            assert self._send(documents, replace=False) == len(documents)
        else:
            with pytest.raises(DuplicateIdError, match=f"document {len(fresh)} "):
                self._send(documents, replace=False)
        self._store(fresh)

    @rule(documents=documents)
    def upsert(self, documents: list[tuple[str, Row, dict[str, Any]]]) -> None:
        assert self._send(documents, replace=True) == len(documents)
        self._store(documents)

    @rule(chosen=st.sets(ids, max_size=4), missing_ok=st.booleans())
    def delete(self, chosen: set[str], missing_ok: bool) -> None:
        known = chosen & self.model.keys()
        if known != chosen and not missing_ok:
            with pytest.raises(DocumentNotFoundError):
                self.index.delete(chosen)
            return
        assert self.index.delete(chosen, missing_ok=missing_ok) == len(known)
        for document_id in known:
            del self.model[document_id]

    @rule()
    def optimize(self) -> None:
        self.index.optimize()
        info = self.index.info()
        assert (info.deleted, info.segments) == (0, min(1, len(self.model)))

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.folder / "index")

    @rule()
    def refresh_reader(self) -> None:
        behind = self.reader.info().generation < self.index.info().generation
        assert self.reader.refresh() == behind
        self.seen_by_reader = list(self.model)

    @rule(
        row=st.dictionaries(
            st.integers(0, 6), st.sampled_from([-1.0, 0.0, 0.3, 1.0, 5.0]), max_size=4
        ),
        k=st.sampled_from([0, 1, 3, 100]),
        filter=st.sampled_from(
            [None, {"a": 2}, {"b": {"!=": "x"}}, {"a": {">=": 2}, "b": {"exists": True}}]
        ),
    )
    def search(self, row: Row, k: int, filter: dict[str, Any] | None) -> None:
        query = SparseVectors.from_dicts([row])
        if filter is None:
            assert actual_hits(self.index, query, k) == expected_hits(self.index, query, k)
            return
        try:
            hits = actual_hits(self.index, query, k, filter)
        except FilterError:
            metadata = [metadata for _, metadata in self.model.values()]
            named = set(fields_of(filter))
            unknown = any(not any(values_of(m, field) for m in metadata) for field in named)
            ordered = ordered_in(filter)
            assert unknown or any(not has_kind(metadata, *pair) for pair in ordered)
            return
        assert hits == expected_hits(
            self.index, query, k, lambda i: matches(self.model[i][1], filter)
        )

    @invariant()
    def holds_the_same_documents(self) -> None:
        if not hasattr(self, "index"):
            return
        assert {d.id: dict(d.metadata) for d in self.index.documents()} == {
            document_id: metadata for document_id, (_, metadata) in self.model.items()
        }
        assert [d.id for d in self.index.documents()] == list(self.model)
        assert [d.id for d in self.reader.documents()] == self.seen_by_reader
        assert len(self.index) == len(self.model)
        assert all((i in self.index) == (i in self.model) for i in ("id0", "id5", "id11"))

    @invariant()
    def holds_the_same_weights(self) -> None:
        if not hasattr(self, "index"):
            return
        steps = 2**self.index.config.weight_bits - 0.5
        stored = self.index.vectors().to_dicts()
        for row, (wanted, _) in zip(stored, self.model.values(), strict=True):
            assert row.keys() == wanted.keys()
            for term, weight in wanted.items():
                assert abs(row[term] - weight) <= 2 * self.largest[term] / steps

    @invariant()
    def is_whole(self) -> None:
        if hasattr(self, "index"):
            assert self.index.verify() == []


TestLifeOfAnIndex = LifeOfAnIndex.TestCase
TestLifeOfAnIndex.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize(("weight_bits", "tolerance"), [(8, 3e-6), (12, 4e-5)])
def test_rounding_the_query_stays_below_the_step_of_stored_weights(
    weight_bits: int, tolerance: float
) -> None:
    """For queries and documents like those of learned encoders."""
    rng = np.random.default_rng(11)
    rows = [
        dict(zip(rng.choice(300, 60, replace=False).tolist(), rng.gamma(2, 0.4, 60), strict=True))
        for _ in range(300)
    ]
    weights = dict(zip(range(0, 300, 10), rng.gamma(2, 0.5, 30), strict=True))
    with vector_index(rows, weight_bits=weight_bits) as index:
        query = SparseVectors.from_dicts([weights])
        scores, _, unit = integer_scores(index, query)
        stored = index.vectors().to_scipy(300).toarray().astype(np.float64)
    exact = stored @ query.to_scipy(300).toarray()[0]
    assert np.abs(scores * unit - exact).max() <= tolerance * exact.max()
    assert tolerance < 2.0**-weight_bits / 5
