"""Searching a snapshot: from query vectors to the numbers and scores of the best documents."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsearch.errors import InvalidQueryError
from sparsearch.index.segment import Segment
from sparsearch.index.snapshot import Snapshot
from sparsearch.kernels.exact import search_segment
from sparsearch.kernels.plan import MAX_SUM, find_terms, raise_scales
from sparsearch.kernels.topk import documents_of, scores_of
from sparsearch.vectors import SparseVectors

_LISTS = ("offsets", "rows", "codes", "max_codes", "dense_lists", "dense_codes")

__all__ = ["QueryPlan", "TopK", "plan_queries", "search_snapshot"]


@dataclass(frozen=True)
class TopK:
    """The best documents of a batch of queries.

    Parameters
    ----------
    numbers : ndarray of int64 [queries, k]
        Document numbers, best first; entries from ``counts[q]`` on are meaningless.
    scores : ndarray of float64 [queries, k]
    counts : ndarray of int64 [queries]
        How many documents were found, at most k.
    """

    numbers: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class QueryPlan:
    """Query weights as integers (see `kernels.plan`).

    Parameters
    ----------
    offsets : ndarray of int64 [queries + 1]
    weights : ndarray of float64 [query terms]
    units : ndarray of float64 [queries]
        What one step of an integer score is worth.
    located : tuple of ndarray of int64 [query terms]
        Per segment, each term's posting list or -1.
    """

    offsets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    units: npt.NDArray[np.float64]
    located: tuple[npt.NDArray[np.int64], ...]

    def multipliers(
        self, segment: Segment, located: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return each query term's integer multiplier for a segment's codes."""
        scales = segment.arrays["scales"]
        if len(scales) == 0:
            return np.zeros(len(located), np.int64)
        units = np.repeat(self.units, np.diff(self.offsets))
        found = np.where(located >= 0, scales[np.maximum(located, 0)], 0.0)
        exact = self.weights * found / units
        rounded = np.rint(exact)
        # A term that is there always counts for something, however small its weight.
        return np.where(rounded == 0, np.sign(exact), rounded).astype(np.int64)


def plan_queries(snapshot: Snapshot, vectors: SparseVectors, max_code: int) -> QueryPlan:
    """Find the queries' terms in every segment and choose their units.

    Raises
    ------
    InvalidQueryError
        If a query has too many terms for its score to be held in 31 bits.
    """
    vectors = vectors.drop_zeros()
    largest_scales = np.zeros(vectors.nnz)
    located = []
    for segment in snapshot.segments:
        found = np.empty(vectors.nnz, np.int64)
        find_terms(segment.arrays["terms"], vectors.term_ids, found)
        raise_scales(segment.arrays["scales"], found, largest_scales)
        located.append(found)
    weights = vectors.weights.astype(np.float64)
    queries = np.repeat(np.arange(len(vectors)), np.diff(vectors.offsets))
    bounds = np.abs(weights) * largest_scales * max_code
    upper = np.bincount(queries, weights=bounds, minlength=len(vectors))
    # Rounding can raise every multiplier by one; what that can add is kept free.
    room = MAX_SUM - np.diff(vectors.offsets) * max_code
    if len(room) and int(room.min()) < MAX_SUM // 2:
        limit = MAX_SUM // 2 // max_code
        raise InvalidQueryError(f"a query may have at most {limit} terms")
    safe = np.where(upper > 0, upper, 1.0)
    units = np.exp2(np.ceil(np.log2(safe * (1 + 1e-9) / room)))
    return QueryPlan(vectors.offsets, weights, units, tuple(located))


def search_snapshot(
    snapshot: Snapshot,
    plan: QueryPlan,
    k: int,
    allowed: list[npt.NDArray[np.bool_]],
    threads: int | None = None,
) -> TopK:
    """Return the exact top k of each query.

    Parameters
    ----------
    snapshot : Snapshot
    plan : QueryPlan
        Made for this snapshot.
    k : int
        At least 0.
    allowed : list of ndarray of bool
        As returned by `Snapshot.allowed`.
    threads : int, optional
        Threads that share the queries; all cores by default. Results do not depend on it.
    """
    n_queries = len(plan.units)
    k = min(k, snapshot.n_documents)
    scores = np.zeros((n_queries, k))
    numbers = np.zeros((n_queries, k), np.int64)
    counts = np.zeros(n_queries, np.int64)
    works = [
        _SegmentWork(segment, mask, base, (plan.offsets, found, plan.multipliers(segment, found)))
        for segment, mask, base, found in zip(
            snapshot.segments, allowed, snapshot.bases, plan.located, strict=False
        )
    ]

    def work(start: int, stop: int) -> None:
        keys, counts[start:stop] = _best_keys(works, k, start, stop)
        numbers[start:stop] = documents_of(keys)
        scores[start:stop] = scores_of(keys) * plan.units[start:stop, None]

    if k and n_queries:
        _share(work, n_queries, threads)
    return TopK(numbers, scores, counts)


@dataclass(frozen=True)
class _SegmentWork:
    """What the kernel needs of a segment and the queries' terms in it."""

    segment: Segment
    allowed: npt.NDArray[np.bool_]
    base: int
    queries: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _best_keys(
    works: list[_SegmentWork], k: int, start: int, stop: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the keys of the best k of each query, best first, and how many there are."""
    keys = np.empty((stop - start, 2 * k), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    tops = (keys, sizes, np.zeros(stop - start, np.int64))
    for work in works:
        segment = work.segment
        lists = tuple(segment.arrays[name] for name in _LISTS)
        search_segment(
            lists, work.allowed, segment.n_documents, work.base, work.queries, tops, start, stop
        )
    # Unused entries come last; a key is never negative.
    keys[np.arange(2 * k) >= sizes[:, None]] = -1
    np.negative(keys, out=keys)
    keys.sort(axis=1)
    return -keys[:, :k], np.minimum(sizes, k)


def _share(work, n_queries: int, threads: int | None) -> None:  # type: ignore[no-untyped-def]
    workers = min(threads or os.cpu_count() or 1, n_queries)
    if workers <= 1:
        work(0, n_queries)
        return
    # Several pieces a thread, so that one slow query does not leave the others idle.
    pieces = min(n_queries, workers * 8)
    bounds = [n_queries * i // pieces for i in range(pieces + 1)]
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, a, b) for a, b in itertools.pairwise(bounds)]:
            done.result()
