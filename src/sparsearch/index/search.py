"""Searching a snapshot: from query vectors to the numbers and scores of the best documents."""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import InvalidQueryError
from sparsearch.index.snapshot import Snapshot
from sparsearch.kernels.exact import SAMPLE_WINDOW, guess_thresholds, search_segment
from sparsearch.kernels.plan import MAX_SUM, choose_units, find_terms, set_multipliers
from sparsearch.kernels.topk import unpack
from sparsearch.vectors import SparseVectors

_SAMPLE_WINDOWS = 4
_SAMPLED_SEGMENT = 32_768
"""Segments of fewer documents are searched faster than sampled."""

_SAMPLED_K = 64
"""With a smaller k, the first window of documents gives as good a threshold at once."""

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
    units : ndarray of float64 [queries]
        What one step of an integer score is worth.
    located : tuple of ndarray of int64 [query terms]
        Per segment, each term's posting list or -1.
    multipliers : tuple of ndarray of int64 [query terms]
        Per segment, each term's integer multiplier.
    """

    offsets: npt.NDArray[np.int64]
    units: npt.NDArray[np.float64]
    located: tuple[npt.NDArray[np.int64], ...]
    multipliers: tuple[npt.NDArray[np.int64], ...]


def plan_queries(snapshot: Snapshot, vectors: SparseVectors, max_code: int) -> QueryPlan:
    """Find the queries' terms in every segment, and choose units and multipliers.

    Raises
    ------
    InvalidQueryError
        If a query has too many terms for its score to be held in 31 bits.
    """
    vectors = vectors.drop_zeros()
    offsets, weights = vectors.offsets, vectors.weights
    limit = MAX_SUM // 2 // max_code
    if vectors.nnz > limit and int(np.diff(offsets).max()) > limit:
        raise InvalidQueryError(f"a query may have at most {limit} terms")
    located = tuple(np.empty(vectors.nnz, np.int64) for _ in snapshot.segments)
    multipliers = tuple(np.empty(vectors.nnz, np.int64) for _ in snapshot.segments)
    largest = np.zeros(vectors.nnz)
    units = np.empty(len(vectors))
    for segment, found in zip(snapshot.segments, located, strict=True):
        arrays = segment.arrays
        find_terms(arrays["terms"], arrays["scales"], vectors.term_ids, found, largest)
    choose_units(offsets, weights, largest, max_code, units)
    for segment, found, factors in zip(snapshot.segments, located, multipliers, strict=True):
        set_multipliers(offsets, weights, units, segment.arrays["scales"], found, factors)
    return QueryPlan(offsets, units, located, multipliers)


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
        _SegmentWork(segment.lists, mask, segment.n_documents, base, (plan.offsets, found, factors))
        for segment, mask, base, found, factors in zip(
            snapshot.segments, allowed, snapshot.bases, plan.located, plan.multipliers, strict=False
        )
    ]

    def work(start: int, stop: int) -> None:
        keys, sizes = _best_keys(works, k, start, stop)
        part = slice(start, stop)
        unpack(keys, sizes, plan.units[part], numbers[part], scores[part])
        counts[part] = np.minimum(sizes, k)

    if k and n_queries:
        _share(work, n_queries, threads)
    return TopK(numbers, scores, counts)


@dataclass(frozen=True)
class _SegmentWork:
    """What the kernel needs of a segment and of the queries' terms in it."""

    lists: tuple[Any, ...]
    allowed: npt.NDArray[np.bool_]
    n_documents: int
    base: int
    queries: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]

    def search(self, tops: tuple[Any, ...], start: int, stop: int) -> None:
        search_segment(
            self.lists, self.allowed, self.n_documents, self.base, self.queries, tops, start, stop
        )


def _best_keys(
    works: list[_SegmentWork], k: int, start: int, stop: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each query the keys of the best k and some more, ascending, and how many."""
    keys = np.empty((stop - start, 2 * k), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    thresholds = np.zeros(stop - start, np.int64)
    guessed = _guess(works, k, thresholds, start, stop)
    for work in works:
        work.search((keys, sizes, thresholds), start, stop)
    if guessed:
        for i in np.flatnonzero(sizes < k).tolist():
            sizes[i] = thresholds[i] = 0
            one = slice(i, i + 1)
            for work in works:
                work.search((keys[one], sizes[one], thresholds[one]), start + i, start + i + 1)
    for row, size in zip(keys, sizes.tolist(), strict=True):
        row[:size].sort()
    return keys, sizes


def _guess(
    works: list[_SegmentWork], k: int, thresholds: npt.NDArray[np.int64], start: int, stop: int
) -> bool:
    """Guess thresholds from a sample of the largest segment, where that is worth it."""
    largest = max(works, key=lambda work: work.n_documents)
    total = sum(work.n_documents for work in works)
    sampled = _SAMPLE_WINDOWS * SAMPLE_WINDOW
    expected = k * sampled / total
    # Twice what is expected and three standard deviations: neighbouring documents are alike, and a
    # guess that is too high costs a second search.
    rank = math.ceil(2 * expected + 3 * math.sqrt(expected) + 2)
    too_small = largest.n_documents < _SAMPLED_SEGMENT or rank > sampled // 4
    if k < _SAMPLED_K or too_small:
        return False
    guess_thresholds(
        largest.lists, largest.allowed, largest.n_documents, largest.queries,
        (_SAMPLE_WINDOWS, rank), thresholds, start, stop,
    )  # fmt: skip
    return True


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
