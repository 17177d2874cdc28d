"""One call finds what its parts find one by one, and as many documents as there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import Query, search_exhaustively
from layered_cases import Collection, Found, Segment, collections, scratch

from sparsearch.kernels.one_segment import search_one_segment

Efforts = tuple[tuple[float, int], tuple[float, int]]
EXACT = 1.0, 0


def search(
    segment: Segment, queries: list[Query], k: int, efforts: Efforts, start: int = 0
) -> list[Found]:
    """Return the best k of the queries from one on; each list is of the term of its number."""
    rows = [sorted((term if term >= 0 else 999, weight) for term, weight in q) for q in queries]
    offsets = np.cumsum([0, *map(len, rows)])
    terms, weights = np.array([pair for row in rows for pair in row]).reshape(-1, 2).T
    n_lists, n = len(segment.lists.postings), len(queries)
    arrays = (
        np.arange(n_lists, dtype=np.uint32), np.ones(n_lists, np.float32), segment.layers,
        segment.max_codes, segment.forward,
    )  # fmt: skip
    found = np.zeros((n, k), np.int64), np.zeros((n, k)), np.full(n, -1)
    with scratch() as lent:
        search_one_segment(
            (offsets, terms.astype(np.uint32), weights.astype(np.float32)), arrays,
            segment.lists.allowed, (4095, *efforts), found, lent, start, n,
        )  # fmt: skip
    assert (found[2][:start] == -1).all()
    return [
        list(zip(numbers[:count], scores[:count], strict=True))
        for numbers, scores, count in zip(*(part[start:].tolist() for part in found), strict=True)
    ]


def expected(collection: Collection, k: int) -> list[Found]:
    """Return the best k of each query, by the twin."""
    lists = [segment.lists for segment in collection.segments]
    found = search_exhaustively(lists, collection.queries, collection.n_documents)
    return [[entry for entry in hits if entry[1] > 0][:k] for hits in found]


@given(
    collections(),
    st.sampled_from([1, 3, 20, 2000]),
    st.tuples(st.sampled_from([0.01, 0.6, 1.0]), st.sampled_from([1, 30])),
)
@settings(max_examples=60)
def test_exact_search_equals_the_twin(
    collection: Collection, k: int, first: tuple[float, int]
) -> None:
    segment = collection.segments[0]
    alone = Collection([segment], collection.queries)
    found = search(segment, alone.queries, k, (EXACT, first))
    assert found == expected(alone, k)
    assert search(segment, alone.queries, k, (EXACT, first), start=1) == found[1:]


@given(
    collections(),
    st.sampled_from([1, 3, 20]),
    st.tuples(st.sampled_from([0.01, 0.6, 1.0]), st.sampled_from([1, 30])),
)
@settings(max_examples=60)
def test_approximate_search_returns_true_scores_and_as_many_as_there_are(
    collection: Collection, k: int, walk: tuple[float, int]
) -> None:
    segment = collection.segments[0]
    alone = Collection([segment], collection.queries)
    everything = expected(alone, segment.lists.n_rows)
    found = search(segment, alone.queries, k, (walk, (0.6, k + 15)))
    for hits, all_hits in zip(found, everything, strict=True):
        assert len(hits) == min(k, len(all_hits))
        assert set(hits) <= set(all_hits)
        assert hits == sorted(hits, key=lambda pair: (-pair[1], pair[0]))
