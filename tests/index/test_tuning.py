"""Tuning measures what effort each recall takes, and its result is kept with the index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import (
    EncoderUnavailableError,
    IndexCorruptError,
    InvalidQueryError,
)
from sparsearch.index.approximate import Effort
from sparsearch.index.tuning import TUNING, TunedPoint, Tuning, _frontier

Row = dict[Any, float]

EFFORTS = 63
QUERIES = SparseVectors.from_dicts([{i: 1.0, (7 * i) % 40: 0.5, 39: 0.1} for i in range(12)])


def random_rows(seed: int, count: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [
        dict(zip(rng.choice(40, 12, replace=False).tolist(), rng.exponential(1, 12), strict=True))
        for _ in range(count)
    ]


def add_rows(index: Index, rows: list[Row], prefix: str = "d") -> None:
    index.add_vectors([f"{prefix}{i}" for i in range(len(rows))], SparseVectors.from_dicts(rows))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """300 documents in two segments."""
    config = IndexConfig(segment_documents=200)
    with Index.create(tmp_path / "index", None, config) as opened:
        add_rows(opened, random_rows(1, 300))
        yield opened


def point(recall: float, microseconds: float = 1.0, error: float = 0.0) -> TunedPoint:
    return TunedPoint(Effort(0.5, round(1000 * recall)), recall, error, microseconds)


def store(index: Index, value: Any) -> None:
    index._catalog.put_setting(TUNING, value)
    index.refresh()


def test_what_a_tuning_says(index: Index) -> None:
    tuning = index.tune(QUERIES, k=7)
    assert (tuning.k, tuning.documents, tuning.queries) == (7, 300, 12)
    assert tuning.exact_microseconds > 0
    recalls = [p.recall for p in tuning.points]
    times = [p.microseconds for p in tuning.points]
    assert recalls == sorted(set(recalls))
    assert times == sorted(times)
    assert all(0 <= p.recall <= 1 and p.error >= 0 for p in tuning.points)
    assert all(p.microseconds < tuning.exact_microseconds for p in tuning.points)
    assert index.tuning == tuning


@given(
    st.lists(
        st.builds(
            point, st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]), st.sampled_from([1.0, 2.0, 5.0, 9.0])
        )
    )
)
def test_the_frontier_holds_what_no_other_point_beats(points: list[TunedPoint]) -> None:
    kept = _frontier(points)
    assert set(kept) <= set(points)
    for one, other in itertools.pairwise(kept):
        assert one.microseconds <= other.microseconds
        assert one.recall < other.recall
    for p in points:
        assert any(o.recall >= p.recall and o.microseconds <= p.microseconds for o in kept)


def test_the_least_effort_that_is_sure_to_do() -> None:
    points = (point(0.5, 1.0), point(0.92, 2.0, error=0.03), point(0.95, 3.0), point(1.0, 4.0))
    tuning = Tuning(points)
    assert tuning.effort(0.01) == points[0].effort
    assert tuning.effort(0.5) == points[0].effort
    assert tuning.effort(0.51) == points[1].effort
    assert tuning.effort(0.9) == points[2].effort
    assert tuning.effort(0.95) == points[2].effort
    assert tuning.effort(0.99) == points[3].effort
    assert tuning.effort(1) is None
    assert Tuning(points[:2]).effort(0.9) is None
    assert Tuning(()).effort(0.1) is None


def test_without_a_measurement_there_are_defaults(index: Index) -> None:
    tuning = index.tuning
    assert (tuning.documents, tuning.queries) == (0, 0)
    efforts = [tuning.effort(recall) for recall in (0.9, 0.95, 0.98, 0.99)]
    assert all(efforts)
    assert len(set(efforts)) == 4
    assert tuning.effort(0.995) is None


def test_a_search_spends_the_tuned_effort(index: Index) -> None:
    """With next to no effort, the best is missed that is found with a great one."""
    # What the query's heaviest term is heaviest in has it in a weak posting only.
    add_rows(index, [{50: 1.0, 51: 30.0}] + [{50: 0.9}] * 60, "x")
    query = {50: 1.0, 52: 1.0}
    assert index.search(query, k=1)[0].id == "x0"
    store(index, Tuning((point(0.9),)).to_json())
    assert index.search(query, k=1, recall=0.9)[0].id != "x0"
    assert index.search(query, k=1, recall=0.95)[0].id == "x0"


def test_it_is_kept_and_seen_by_others(index: Index) -> None:
    with Index.open(index.path) as reader:
        defaults = reader.tuning
        tuning = index.tune(QUERIES)
        assert reader.tuning == defaults
        assert reader.refresh()
        assert reader.tuning == tuning
        assert not reader.refresh()
    with Index.open(index.path) as reopened:
        assert reopened.tuning == tuning
        assert reopened.verify() == []


def test_it_survives_writes(index: Index) -> None:
    tuning = index.tune(QUERIES)
    add_rows(index, random_rows(2, 50), "new")
    index.delete([f"d{i}" for i in range(0, 300, 3)])
    assert index.tuning == tuning
    with Index.open(index.path) as other:
        add_rows(other, random_rows(3, 20), "other")
        other.optimize()
        assert other.tuning == tuning
    assert index.refresh()
    assert index.tuning == tuning


def test_tuning_shows_what_others_wrote_meanwhile(index: Index) -> None:
    with Index.open(index.path) as other:
        add_rows(other, random_rows(3, 20), "other")
    assert index.tune(QUERIES).documents == 300
    assert len(index) == 320


def test_a_second_tuning_replaces_the_first(index: Index) -> None:
    index.tune(QUERIES, k=3)
    tuning = index.tune(QUERIES, k=5)
    assert index.tuning == tuning
    assert index.tuning.k == 5


def test_queries_of_its_own_documents(index: Index) -> None:
    assert index.tune().queries == 300
    index.delete([f"d{i}" for i in range(1, 300)])
    tuning = index.tune()
    assert (tuning.documents, tuning.queries) == (1, 1)


def test_terms_that_are_strings(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", None) as index:
        add_rows(index, [{f"t{term}": w for term, w in row.items()} for row in random_rows(4, 50)])
        assert index.tune().queries == 50
        assert index.tune(SparseVectors.from_dicts([{"t1": 1.0, "t99": 2.0}])).queries == 1


def test_progress_is_told(index: Index) -> None:
    told: list[tuple[int, int]] = []
    index.tune(QUERIES, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, EFFORTS) for done in range(1, EFFORTS + 1)]


def test_a_failing_progress_leaves_things_as_they_were(index: Index) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = index.tuning
    with pytest.raises(KeyboardInterrupt):
        index.tune(QUERIES, progress=stop)
    assert index.tuning == before


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, True])
def test_malformed_k(index: Index, k: Any) -> None:
    with pytest.raises(InvalidQueryError, match="k is"):
        index.tune(QUERIES, k)


@pytest.mark.parametrize("k", [1, np.int64(2), 100_000])
def test_any_k_that_is_a_number(index: Index, k: int) -> None:
    assert index.tune(QUERIES, k).k == k


@pytest.mark.parametrize("queries", [None, QUERIES])
def test_nothing_to_tune_in_an_empty_index(tmp_path: Path, queries: SparseVectors | None) -> None:
    with Index.create(tmp_path / "index", None) as index:
        with pytest.raises(InvalidQueryError, match="nothing to tune in this index: it is empty"):
            index.tune(queries)
        # Deleted documents may stay in their segments; that makes no difference.
        add_rows(index, random_rows(5, 10))
        index.delete([f"d{i}" for i in range(10)])
        with pytest.raises(InvalidQueryError, match="nothing to tune"):
            index.tune(queries)


@pytest.mark.parametrize("queries", [None, ["red"]])
def test_nothing_to_tune_in_an_index_of_bm25(tmp_path: Path, queries: list[str] | None) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add([{"id": "1", "text": "red blue"}])
        with pytest.raises(InvalidQueryError, match="always searched exactly"):
            index.tune(queries)


@pytest.mark.parametrize("rows", [[], [{}], [{1000: 1.0}, {0: -1.0}, {1: 0.0}]])
def test_queries_that_find_nothing(index: Index, rows: list[Row]) -> None:
    with pytest.raises(InvalidQueryError, match="no query finds a document"):
        index.tune(SparseVectors.from_dicts(rows))


def test_queries_that_find_nothing_do_not_count(index: Index) -> None:
    rows: list[Row] = [{1000: 1.0}] * 20 + [{0: 1.0}]
    tuning = index.tune(SparseVectors.from_dicts(rows))
    assert all(10 * p.recall == pytest.approx(round(10 * p.recall)) for p in tuning.points)
    assert all(p.error == 0.0 for p in tuning.points)


def test_texts_without_an_encoder(index: Index) -> None:
    with pytest.raises(EncoderUnavailableError):
        index.tune(["red"])


def test_own_documents_are_short_and_long_queries(index: Index) -> None:
    told: list[tuple[int, int]] = []
    tuning = index.tune(progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 2 * EFFORTS) for done in range(1, 2 * EFFORTS + 1)]
    assert tuning.short is not None
    assert tuning.short.short is None
    assert (tuning.short.k, tuning.short.documents) == (10, 300)
    assert index.tuning == tuning
    with Index.open(index.path) as other:
        assert other.tuning == tuning
    assert index.tune(QUERIES).short is None


def test_the_effort_goes_by_the_length_of_each_query(index: Index) -> None:
    """Alone or in a batch, with neighbours of either length."""
    # As in `test_a_search_spends_the_tuned_effort`; what is added stands in no document.
    add_rows(index, [{50: 1.0, 51: 30.0}] + [{50: 0.9}] * 60, "x")
    lengths = [1, 16, 17, 40, 3, 16, 30, 2]
    rows: list[Row] = [{50: 1.0, **dict.fromkeys(range(52, 51 + n), 1.0)} for n in lengths]
    queries = SparseVectors.from_dicts(rows)
    exact = index.search({50: 1.0}, k=1)[0].id
    little, much = Tuning((point(0.9),)), Tuning(())
    for long, short in ((little, much), (much, little)):
        store(index, replace(long, short=short).to_json())
        found = [n <= 16 for n in lengths] if long is little else [n > 16 for n in lengths]
        for threads in (1, 3):
            top = index.top_k(queries, 1, recall=0.9, threads=threads)
            assert [index._snapshot.id(n) == exact for n in top.numbers[:, 0].tolist()] == found
        alone = [index.search(row, k=1, recall=0.9)[0].id == exact for row in rows]
        assert alone == found


GOOD = Tuning((point(0.9),)).to_json()


def damaged_point(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "points": [{**GOOD["points"][0], **changes}]}


@pytest.mark.parametrize(
    "value",
    [
        5,
        "x",
        [],
        {},
        {**GOOD, "points": None},
        {**GOOD, "points": ["x"]},
        {**GOOD, "points": [{}]},
        {**GOOD, "unknown": 1},
        {**GOOD, "k": "10"},
        {**GOOD, "short": 5},
        {**GOOD, "short": {**GOOD, "k": "10"}},
        damaged_point(recall="high"),
        damaged_point(recall=None),
        damaged_point(recall=float("nan")),
        damaged_point(error=-1),
        damaged_point(effort=None),
        damaged_point(effort={"mass": 0.5}),
        damaged_point(effort={"mass": "x", "candidates": 10}),
        damaged_point(effort={"mass": float("nan"), "candidates": 10}),
        damaged_point(effort={"mass": 0.5, "candidates": True}),
        damaged_point(effort={"mass": 0.5, "candidates": -10}),
        damaged_point(effort={"mass": 0.5, "candidates": 10**400}),
    ],
)
def test_a_damaged_tuning(index: Index, value: Any) -> None:
    store(index, GOOD)
    assert index.tuning == Tuning((point(0.9),))
    index._catalog.put_setting(TUNING, value)
    with (
        pytest.raises(IndexCorruptError, match="stored tuning is damaged"),
        Index.open(index.path) as other,
    ):
        other.search({0: 1.0}, recall=0.9)
