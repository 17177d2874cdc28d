"""An approximate search errs in which documents it looks at, never in what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from brute_force import expected_hits
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import InvalidQueryError
from sparsearch.index.approximate import Effort, Efforts
from sparsearch.index.search import SearchOptions, search_snapshot
from sparsearch.index.tuning import TUNING, TunedPoint, Tuning

Row = dict[Any, float]

LEAST = Effort(0.01, 1)
EFFORTS = (LEAST, Effort(0.5, 30), Effort(1.0, 1_000_000))
TUNED = 0.75
"""The recall for which `spend` makes an index spend the given effort."""


@contextmanager
def vector_index(rows: list[Row], **config: Any) -> Iterator[Index]:
    with (
        TemporaryDirectory() as folder,
        Index.create(f"{folder}/index", None, IndexConfig(**config)) as index,
    ):
        documents = [{"n": i % 100} for i in range(len(rows))]
        ids = [f"d{i}" for i in range(len(rows))]
        index.add_vectors(ids, SparseVectors.from_dicts(rows), documents)
        yield index


def spend(index: Index, effort: Effort) -> None:
    """Make the index spend an effort when asked for a recall of `TUNED` or less."""
    tuning = Tuning((TunedPoint(effort, 0.9, 0.0, 1.0),))
    index._catalog.put_setting(TUNING, tuning.to_json())
    index.refresh()
    assert index.tuning.effort(TUNED) == effort


def found_by(
    index: Index,
    query: SparseVectors,
    k: int,
    filter: dict[str, Any] | None = None,
    recall: float = TUNED,
) -> list[tuple[str, float]]:
    """Return the ids and scores found, the same by every way to ask for them."""
    hits = [(hit.id, hit.score) for hit in index.search(query, k, filter, recall=recall)]
    top = index.top_k(query, k, filter, recall=recall)
    count = int(top.counts[0])
    ids = index.ids_of(top.numbers[0, :count].tolist())
    assert list(zip(ids, top.scores[0, :count].tolist(), strict=True)) == hits
    run = index.search_batch(query, k, filter, recall=recall)
    assert run["0"] == hits
    return hits


def assert_true_hits(
    index: Index,
    query: SparseVectors,
    k: int,
    filter: dict[str, Any] | None = None,
    matches: Callable[[str], bool] | None = None,
) -> list[tuple[str, float]]:
    """Assert that the hits are documents that match, as many as there may be, at their scores."""
    hits = found_by(index, query, k, filter)
    matching = expected_hits(index, query, len(index), matches)
    assert len(hits) == min(k, len(matching))
    # In the order of exact search: a score descending, then insertion.
    places = {hit: place for place, hit in enumerate(matching)}
    ranks = [places[hit] for hit in hits]
    assert ranks == sorted(set(ranks))
    return hits


def random_rows(rng: np.random.Generator, count: int, n_terms: int, levels: int) -> list[Row]:
    """Rows of skewed terms; few levels of weight make many ties."""
    rows = []
    for _ in range(count):
        terms = np.unique((n_terms * rng.random(rng.integers(0, 15)) ** 2).astype(int))
        weights = rng.integers(1, levels + 1, len(terms)) / 8
        rows.append(dict(zip(terms.tolist(), weights.tolist(), strict=True)))
    return rows


def random_query(rng: np.random.Generator, n_terms: int) -> SparseVectors:
    terms = rng.choice(n_terms + 5, rng.integers(0, 9), replace=False).tolist()
    weights = rng.choice([-1.5, 0.0, 0.25, 1.0, 1.0, 2.0, 1e-6], len(terms)).tolist()
    return SparseVectors.from_dicts([dict(zip(terms, weights, strict=True))])


rows_of_weights = st.lists(
    st.dictionaries(
        st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0, 1e-3]), max_size=5
    ),
    min_size=12,
    max_size=60,
)
query_weights = st.dictionaries(
    st.integers(0, 7), st.sampled_from([-1.0, 0.0, 0.3, 1.0, 1.0, 5.0, 1e-6]), max_size=6
)


@given(
    rows_of_weights,
    st.lists(query_weights, min_size=1, max_size=5),
    st.sampled_from([8, 12]),
    st.integers(7, 60),
    st.builds(Effort, st.sampled_from([1e-9, 0.3, 0.8, 1.0]), st.sampled_from([1, 20, 10**9])),
)
@settings(max_examples=40)
def test_small_indexes(
    rows: list[Row], queries: list[Row], weight_bits: int, per_segment: int, effort: Effort
) -> None:
    with vector_index(rows, weight_bits=weight_bits, segment_documents=per_segment) as index:
        spend(index, effort)
        for weights in queries:
            query = SparseVectors.from_dicts([weights])
            for k in (1, 5, 100):
                assert_true_hits(index, query, k)


@pytest.mark.parametrize("weight_bits", [8, 12])
@pytest.mark.parametrize(("seed", "levels"), [(1, 1), (2, 3), (3, 10_000)])
def test_whatever_the_index_went_through(weight_bits: int, seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 400, 40, levels)
    queries = [random_query(rng, 40) for _ in range(4)]
    batch = SparseVectors.concatenate(queries)
    numbers = {f"d{i}": i % 100 for i in range(400)}
    with vector_index(rows, weight_bits=weight_bits, segment_documents=70) as index:
        for step in range(4):
            spend(index, EFFORTS[(step + seed) % 3])
            for query in queries:
                for k in (0, 1, 10, 10_000):
                    assert_true_hits(index, query, k)
                # Half of the documents, and so few that they are scored one by one.
                assert_true_hits(index, query, 5, {"n": {"<": 50}}, lambda i: numbers[i] < 50)
                assert_true_hits(index, query, 5, {"n": 7}, lambda i: numbers[i] == 7)
            tops = [index.top_k(batch, 20, recall=TUNED, threads=threads) for threads in (1, 4)]
            for first, other in zip(*tops, strict=True):
                np.testing.assert_array_equal(first, other)
            if step == 0:
                index.delete([f"d{i}" for i in rng.choice(400, 60, replace=False)])
            elif step == 1:
                again = rng.choice(400, 90, replace=False).tolist()
                vectors = SparseVectors.from_dicts(random_rows(rng, 90, 40, levels))
                documents = [{"n": i % 100} for i in again]
                index.add_vectors([f"d{i}" for i in again], vectors, documents, replace=True)
            elif step == 2:
                index.optimize()


def test_results_depend_neither_on_threads_nor_on_other_queries() -> None:
    rng = np.random.default_rng(9)
    queries = [random_query(rng, 30) for _ in range(40)]
    batch = SparseVectors.concatenate(queries)
    with vector_index(random_rows(rng, 500, 30, 4), segment_documents=200) as index:
        for effort in EFFORTS:
            spend(index, effort)
            runs = [
                index.search_batch(batch, 3, recall=TUNED, threads=threads)
                for threads in (1, 2, 4, None)
            ]
            assert all(run == runs[0] for run in runs)
            alone = [index.search_batch(query, 3, recall=TUNED)["0"] for query in queries]
            assert [runs[0][str(i)] for i in range(len(queries))] == alone
            backwards = SparseVectors.concatenate(queries[::-1])
            run = index.search_batch(backwards, 3, recall=TUNED)
            assert [run[str(i)] for i in range(len(queries))] == alone[::-1]


def assert_adversary(rows: list[Row], *queries: Row, **config: Any) -> None:
    with vector_index(rows, **config) as index:
        for effort in EFFORTS:
            spend(index, effort)
            for weights in queries:
                for k in (1, 20, 2 * len(rows)):
                    assert_true_hits(index, SparseVectors.from_dicts([weights]), k)


@pytest.mark.parametrize("per_segment", [30, 1000])
def test_all_weights_equal(per_segment: int) -> None:
    rows: list[Row] = [dict.fromkeys(range(10), 1.0)] * 200
    everything = dict.fromkeys(range(10), 1.0)
    assert_adversary(rows, everything, {3: 1.0}, segment_documents=per_segment)


def test_duplicates_come_in_insertion_order() -> None:
    rows: list[Row] = [{1: 2.0, 2: 1.0}, {1: 1.0, 3: 4.0}] * 100
    with vector_index(rows, segment_documents=64) as index:
        spend(index, Effort(1.0, 1000))
        hits = assert_true_hits(index, SparseVectors.from_dicts([{1: 1.0}]), 120)
        assert [hit for hit, _ in hits[:100]] == [f"d{i}" for i in range(0, 200, 2)]
    assert_adversary(rows, {1: 1.0}, {1: 1.0, 2: 1.0, 3: 1.0}, segment_documents=64)


def test_one_giant_list() -> None:
    rng = np.random.default_rng(4)
    rows = [{0: 1.0, 1 + i % 50: float(rng.integers(1, 9))} for i in range(400)]
    assert_adversary(rows, {0: 1.0}, {0: 5.0, 7: 1.0}, {0: 1e-3, 7: 1.0, 8: 1.0})


def test_terms_that_are_nowhere_or_not_in_every_segment() -> None:
    rows: list[Row] = [{i // 20: 1.0 + i % 3} for i in range(200)]
    nowhere = dict.fromkeys(range(1000, 1100), 9.0)
    assert_adversary(rows, nowhere, {**nowhere, 3: 1.0}, {0: 1.0, 9: 1.0}, segment_documents=20)


def test_weights_over_many_orders_of_magnitude() -> None:
    rng = np.random.default_rng(6)
    rows = [
        dict(zip(range(12), (10.0 ** rng.integers(-12, 12, 12)).tolist(), strict=True))
        for _ in range(150)
    ]
    spread = {term: 10.0 ** (3 * term - 18) for term in range(12)}
    assert_adversary(rows, spread, dict.fromkeys(range(12), 1.0), {0: 1e20}, {0: 1e-30, 1: 1.0})


def test_negative_query_weights() -> None:
    rng = np.random.default_rng(7)
    rows = random_rows(rng, 300, 20, 5)
    assert_adversary(rows, {0: -1.0}, {0: 1.0, 1: -1.0, 2: -0.5}, {0: -5.0, 3: 1.0, 4: 1.0})


def test_queries_of_many_terms() -> None:
    rng = np.random.default_rng(8)
    rows = [
        dict(zip(rng.choice(500, 60, replace=False).tolist(), rng.gamma(1, 1, 60), strict=True))
        for _ in range(200)
    ]
    for count in (240, 300):
        chosen = rng.choice(500, count, replace=False).tolist()
        many = dict(zip(chosen, rng.gamma(1, 1, count), strict=True))
        assert_adversary(rows, many, dict.fromkeys(range(500), 1.0), {5: 1.0})


def test_very_long_queries_are_searched_exactly() -> None:
    short, long = Effort(0.1, 10), Effort(0.2, 25)
    efforts = Efforts(short, long)
    assert [efforts.of(n) for n in (16, 17, 256, 257)] == [short, long, long, None]
    rng = np.random.default_rng(9)
    rows = random_rows(rng, 400, 400, 40)
    asked = [
        {int(term): float(rng.gamma(1, 1)) for term in rng.choice(400, count, replace=False)}
        for count in (16, 257, 256, 17, 300, 16, 257, 257)
    ]
    with vector_index(rows) as index:
        batch = SparseVectors.from_dicts(asked)
        for efforts in (Efforts(short, long), Efforts(short, short)):
            options = SearchOptions(index.config.max_code, efforts)
            snapshot = index._snapshot
            together = search_snapshot(snapshot, batch, 10, snapshot.allowed(), options)
            for row, query in enumerate(asked):
                alone = search_snapshot(
                    snapshot, batch[row : row + 1], 10, snapshot.allowed(), options
                )
                assert together.numbers[row].tolist() == alone.numbers[0].tolist()
                if len(query) > 256:
                    exact = index.top_k(batch[row : row + 1], 10)
                    assert alone.numbers.tolist() == exact.numbers.tolist()
        too_long = SparseVectors.from_dicts([dict.fromkeys(range(300), 1.0)])
        with pytest.raises(InvalidQueryError, match="more than 256 terms are always"):
            index.tune(too_long)


def test_a_document_of_very_many_terms() -> None:
    count = 70_000
    rng = np.random.default_rng(10)
    rows = random_rows(rng, 60, 30, 9)
    huge = SparseVectors(
        [0, count], np.arange(count, dtype=np.uint32), rng.gamma(1, 1, count).astype(np.float32)
    )
    with vector_index(rows, segment_documents=1000) as index:
        index.add_vectors(["huge"], huge)
        index.optimize()
        for effort in EFFORTS:
            spend(index, effort)
            for weights in ({0: 1.0, 1: 2.0}, {69_999: 1.0}, {65_536: 1.0, 3: 5.0}):
                query = SparseVectors.from_dicts([weights])
                hits = assert_true_hits(index, query, 5)
                assert hits or weights
        assert found_by(index, SparseVectors.from_dicts([{69_999: 1.0}]), 5)[0][0] == "huge"


def test_a_small_segment_does_not_push_a_large_one_aside() -> None:
    """Found as a bug: partial scores were compared in units of each segment's own.

    A segment of documents that have only the light term of a query filled all its candidates.
    """
    rows: list[Row] = [{1: 9.0, 2: 1.99}] * 100 + [{2: 1.99}] * 100
    for ordered in (rows, rows[::-1]):
        with vector_index(ordered, segment_documents=100) as index:
            assert index.info().segments == 2
            spend(index, Effort(1.0, 30))
            query = SparseVectors.from_dicts([{1: 1.0, 2: 0.1}])
            assert found_by(index, query, 10) == expected_hits(index, query, 10)


def topical(rng: np.random.Generator, topics: int, count: int, terms: int) -> list[Row]:
    """Return vectors like those of learned encoders: mostly of one topic, few weights heavy."""
    rows = []
    for row in range(count):
        topic = row % topics
        own = 50 * topic + (50 * rng.random(terms) ** 1.5).astype(int)
        others = 50 * topics + (400 * rng.random(terms // 2) ** 2).astype(int)
        chosen = np.unique(np.concatenate([own, others])).tolist()
        weights = rng.exponential(1.0, len(chosen)) + 0.01
        rows.append(dict(zip(chosen, weights.tolist(), strict=True)))
    return rows


@pytest.fixture(scope="module")
def topics() -> Iterator[tuple[Index, SparseVectors]]:
    """3,000 documents on 30 topics in two segments, and 60 queries of up to 15 terms on them."""
    rng = np.random.default_rng(12)
    queries = SparseVectors.from_dicts(topical(rng, 30, 60, 10))
    with vector_index(topical(rng, 30, 3000, 40), segment_documents=2000) as index:
        yield index, queries


def mean_recall(index: Index, queries: SparseVectors, k: int, recall: float) -> float:
    """Return the mean share of the exact best k that are found; an equal score is as good."""
    exact = index.top_k(queries, k)
    found = index.top_k(queries, k, recall=recall)
    assert (exact.counts == k).all()
    return float((found.scores >= exact.scores[:, -1:]).mean())


def test_the_greatest_effort_finds_nearly_all(topics: tuple[Index, SparseVectors]) -> None:
    """Of the best 10, at least 99 %: only what matches by weak postings alone is missed."""
    index, queries = topics
    spend(index, Effort(1.0, 3000))
    assert mean_recall(index, queries, 10, TUNED) >= 0.99


def test_more_effort_finds_more(topics: tuple[Index, SparseVectors]) -> None:
    index, queries = topics
    recalls = []
    for effort in (Effort(0.1, 10), Effort(0.4, 50), Effort(1.0, 500)):
        spend(index, effort)
        recalls.append(mean_recall(index, queries, 10, TUNED))
    assert recalls == sorted(set(recalls))


@pytest.mark.parametrize("recall", [0.9, 0.95])
def test_the_defaults_reach_their_recall(
    topics: tuple[Index, SparseVectors], recall: float
) -> None:
    index, queries = topics
    index._catalog.put_setting(TUNING, None)
    index.refresh()
    assert mean_recall(index, queries, 10, recall) >= recall


def test_a_recall_of_one_is_exact() -> None:
    rng = np.random.default_rng(13)
    with vector_index(random_rows(rng, 300, 30, 3), segment_documents=100) as index:
        spend(index, LEAST)
        for _ in range(10):
            query = random_query(rng, 30)
            for recall in (1, 1.0):
                assert found_by(index, query, 20, recall=recall) == expected_hits(index, query, 20)
            assert index.search(query, recall=None) == index.search(query)


def test_bm25_is_exact_at_any_recall(tmp_path: Any) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add({"id": str(i), "text": f"red {'blue ' * (i % 5)} w{i % 9}"} for i in range(100))
        spend(index, LEAST)
        for text in ("red", "blue w3", "none"):
            assert index.search(text, recall=0.1) == index.search(text)
        assert index.search_batch(["red"], recall=0.1) == index.search_batch(["red"])


def test_an_empty_index() -> None:
    with vector_index([]) as index:
        assert index.search({1: 1.0}, recall=0.5) == []
        assert index.search_batch(SparseVectors.from_dicts([{1: 1.0}]), recall=0.5)["0"] == []


@pytest.mark.parametrize(
    "recall",
    [0, 0.0, -0.1, 1.001, 2, float("nan"), float("inf"), "0.9", True, False, [0.9], 10**400, 0.9j],
)
def test_malformed_recall(recall: Any) -> None:
    with vector_index([{1: 1.0}]) as index:
        queries = SparseVectors.from_dicts([{1: 1.0}])
        for search in (index.search, index.search_batch, index.top_k):
            with pytest.raises(InvalidQueryError, match="recall is"):
                search(queries, recall=recall)
