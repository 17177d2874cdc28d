"""Searching a snapshot: from query vectors to the numbers and scores of the best documents."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsearch.errors import InvalidQueryError
from sparsearch.index.allowed import Allowed
from sparsearch.index.approximate import (
    EXACT,
    LONGEST_QUERY,
    SHORT_QUERY,
    Effort,
    Efforts,
    SegmentQueries,
    Tops,
    approximate_keys,
    exact_keys,
    first_walk,
    keep_scratch,
    score_all,
    take_scratch,
)
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.topk import TopK
from sparsearch.kernels.exact import SAMPLE_WINDOW, guess_thresholds, search_segment
from sparsearch.kernels.one_segment import search_one_counted, search_one_segment
from sparsearch.kernels.plan import (
    MAX_SUM,
    choose_units,
    find_terms,
    plan_for_one,
    set_multipliers,
)
from sparsearch.kernels.topk import sort_keys, unpack
from sparsearch.vectors import SparseVectors

_SAMPLE_WINDOWS = 4
_SAMPLED_SEGMENT = 32_768
"""Segments of fewer documents are searched faster than sampled."""

_MANY_HITS = 64
"""From this k on a sample gives a better threshold than the first window of documents, and NumPy's
sort, ten times as fast as a compiled one, is worth its call."""

Work = Callable[[int, int], None]
"""Searches queries ``start .. stop - 1``."""

__all__ = [
    "QueryPlan",
    "SearchOptions",
    "plan_queries",
    "search_snapshot",
    "without_zeros",
]


class SearchOptions(NamedTuple):
    """How to search.

    Parameters
    ----------
    max_code : int
        The largest code of a posting, as the index is configured.
    efforts : Efforts
        Of an approximate search; by default search is exact. Segments without a forward index
        (BM25) are always searched exactly.
    threads : int, optional
        Threads that share the queries; all cores by default. Results do not depend on it.
    """

    max_code: int
    efforts: Efforts = EXACT
    threads: int | None = None


WayOfSearching = Callable[[Snapshot, SparseVectors, Allowed, SearchOptions, TopK], Work]


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
    """Find the terms of queries `without_zeros` in every segment; choose units and multipliers."""
    offsets = vectors.offsets.copy()  # to be written to: see `kernels.compiling`
    terms, weights = vectors.term_ids, vectors.weights
    units = np.empty(len(offsets) - 1)
    located = tuple([np.empty(len(terms), np.int64) for _ in snapshot.segments])
    multipliers = tuple([np.empty(len(terms), np.int64) for _ in snapshot.segments])
    if len(snapshot.segments) == 1:
        plan = units, located[0], multipliers[0]
        lists = snapshot.segments[0].terms_and_scales
        plan_for_one((offsets, terms, weights), lists, max_code, plan)
        return QueryPlan(offsets, units, located, multipliers)
    largest = np.zeros(len(terms))
    for segment, found in zip(snapshot.segments, located, strict=True):
        find_terms(*segment.terms_and_scales, terms, found, largest)
    choose_units(offsets, weights, largest, max_code, units)
    for segment, found, factors in zip(snapshot.segments, located, multipliers, strict=True):
        set_multipliers(offsets, weights, units, segment.arrays["scales"], found, factors)
    return QueryPlan(offsets, units, located, multipliers)


def without_zeros(vectors: SparseVectors, max_code: int) -> SparseVectors:
    """Return the queries without zeros, as searching takes them.

    Raises
    ------
    InvalidQueryError
        If a query has too many terms for its score to be held in 31 bits.
    """
    if np.count_nonzero(vectors.weights) < vectors.nnz:
        vectors = vectors.drop_zeros()
    limit = MAX_SUM // 2 // max_code
    if vectors.nnz > limit and int(np.diff(vectors.offsets).max()) > limit:
        raise InvalidQueryError(f"a query may have at most {limit} terms")
    return vectors


def search_snapshot(
    snapshot: Snapshot,
    vectors: SparseVectors,
    k: int,
    allowed: Allowed,
    options: SearchOptions,
) -> TopK:
    """Return the top k of each query.

    Parameters
    ----------
    snapshot : Snapshot
    vectors : SparseVectors
        Queries, one a row.
    k : int
        At least 0.
    allowed : Allowed
        As returned by `Snapshot.allowed`.
    options : SearchOptions

    Raises
    ------
    InvalidQueryError
        As `without_zeros`.
    """
    vectors = without_zeros(vectors, options.max_code)
    n_queries, k = len(vectors), min(k, snapshot.n_documents)
    found = TopK(
        np.zeros((n_queries, k), np.int64), np.zeros((n_queries, k)), np.zeros(n_queries, np.int64)
    )
    if k and n_queries:
        work = _way_of_searching(snapshot, k, allowed)(snapshot, vectors, allowed, options, found)
        _share(work, n_queries, options.threads)
    return found


def _way_of_searching(snapshot: Snapshot, k: int, allowed: Allowed) -> WayOfSearching:
    """Return the quickest: one call for all, where there is one segment and nothing special."""
    if len(snapshot.segments) > 1 or k >= _MANY_HITS:
        return _in_segments
    if snapshot.has_forward_index:
        return _in_segments if allowed.few is not None else _in_one_segment
    return _in_one_counted


def _in_one_counted(
    snapshot: Snapshot,
    vectors: SparseVectors,
    allowed: Allowed,
    options: SearchOptions,
    found: TopK,
) -> Work:
    """Return what searches the only segment of a saturating encoder, for a small k."""
    segment, mask = snapshot.segments[0], allowed.masks[0]
    arrays = vectors.offsets, vectors.term_ids, vectors.weights
    settings = options.max_code, segment.n_documents
    results = found.numbers, found.scores, found.counts

    def work(start: int, stop: int) -> None:
        search_one_counted(arrays, segment.searched_counts, mask, settings, results, start, stop)

    return work


def _in_one_segment(
    snapshot: Snapshot,
    vectors: SparseVectors,
    allowed: Allowed,
    options: SearchOptions,
    found: TopK,
) -> Work:
    """Return what searches the only segment of a snapshot."""
    segment, mask = snapshot.segments[0], allowed.masks[0]
    k, n_documents = found.numbers.shape[1], segment.n_documents
    arrays = vectors.offsets, vectors.term_ids, vectors.weights
    results = found.numbers, found.scores, found.counts
    mass, count = first_walk(k)
    first = mass, min(count, n_documents)

    def work(start: int, stop: int) -> None:
        scratch = take_scratch(segment.n_lists)
        for effort, low, high in _runs(arrays[0], options.efforts, start, stop):
            walk = 1.0, 0
            if effort is not None:
                walk = effort.mass, min(effort.candidates_for(k), n_documents)
            settings = options.max_code, walk, first
            search_one_segment(
                arrays, segment.searched, mask, settings, results, scratch, low, high
            )
        keep_scratch(scratch)

    return work


def _in_segments(
    snapshot: Snapshot,
    vectors: SparseVectors,
    allowed: Allowed,
    options: SearchOptions,
    found: TopK,
) -> Work:
    """Return what searches any snapshot."""
    plan = plan_queries(snapshot, vectors, options.max_code)
    k = found.numbers.shape[1]
    works = [
        SegmentQueries(segment, mask, base, (plan.offsets, located, factors))
        for segment, mask, base, located, factors in zip(
            snapshot.segments, allowed.masks, snapshot.bases, plan.located, plan.multipliers,
            strict=False,
        )
    ]  # fmt: skip
    few = allowed.few if snapshot.has_forward_index else None
    efforts = options.efforts if snapshot.has_forward_index and few is None else EXACT

    def work(start: int, stop: int) -> None:
        for effort, low, high in _runs(plan.offsets, efforts, start, stop):
            if few is not None:
                keys, sizes = score_all(works, few, k, low, high)
            else:
                keys, sizes = _best_keys(works, k, effort, low, high)
            _sort(keys, sizes)
            part = slice(low, high)
            results = found.numbers[part], found.scores[part], found.counts[part]
            unpack(keys, sizes, plan.units[part], results)

    return work


def _runs(
    offsets: npt.NDArray[np.int64], efforts: Efforts, start: int, stop: int
) -> list[tuple[Effort | None, int, int]]:
    """Return the runs of queries ``start .. stop - 1`` that take the same effort."""
    if efforts == EXACT:
        return [(None, start, stop)]
    if stop - start == 1:
        return [(efforts.of(int(offsets[stop] - offsets[start])), start, stop)]
    is_one = efforts.short == efforts.long
    limits = (LONGEST_QUERY,) if is_one else (SHORT_QUERY, LONGEST_QUERY)
    kinds = np.searchsorted(limits, np.diff(offsets[start : stop + 1]))
    changes = start + 1 + np.flatnonzero(kinds[1:] != kinds[:-1])
    return [
        (efforts.of(int(offsets[first + 1] - offsets[first])), first, last)
        for first, last in itertools.pairwise([start, *changes.tolist(), stop])
    ]


def _best_keys(
    works: list[SegmentQueries], k: int, effort: Effort | None, start: int, stop: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each query the keys of the best k and some more, and how many."""
    keys = np.empty((stop - start, 2 * k), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    thresholds = np.zeros(stop - start, np.int64)
    tops = keys, sizes, thresholds
    if not works[0].segment.has_forward_index:
        _search_counts(works, tops, start, stop)
    elif effort is None:
        exact_keys(works, tops, start, stop)
    else:
        approximate_keys(works, effort, tops, start, stop)
        for i in _short(tops):
            # Whatever was missed, k documents are returned where there are as many.
            exact_keys(works, _reset(tops, i), start + i, start + i + 1)
    return keys, sizes


def _search_counts(works: list[SegmentQueries], tops: Tops, start: int, stop: int) -> None:
    """Search segments of a saturating encoder."""
    guesses = _guess(works, tops[0].shape[1] // 2, tops[2], start, stop)
    _search_lists(works, tops, start, stop)
    for i in _short(tops):
        if guesses[i] > 0:
            _search_lists(works, _reset(tops, i), start + i, start + i + 1)


def _search_lists(works: list[SegmentQueries], tops: Tops, start: int, stop: int) -> None:
    for work in works:
        segment = work.segment
        search_segment(
            segment.count_lists, work.allowed, segment.n_documents, work.base, work.queries, tops,
            start, stop,
        )  # fmt: skip


def _sort(keys: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
    """Sort the keys of each query in use, the best last."""
    if keys.shape[1] < 2 * _MANY_HITS:
        sort_keys(keys, sizes)
        return
    for own, size in zip(keys, sizes.tolist(), strict=True):
        own[:size].sort()


def _short(tops: Tops) -> list[int]:
    """Return which queries have found fewer than k documents."""
    keys, sizes, _ = tops
    return [i for i, size in enumerate(sizes.tolist()) if size < keys.shape[1] // 2]


def _reset(tops: Tops, i: int) -> Tops:
    """Return the top k of one query, empty again."""
    keys, sizes, thresholds = (part[i : i + 1] for part in tops)
    sizes[0] = thresholds[0] = 0
    return keys, sizes, thresholds


def _guess(
    works: list[SegmentQueries], k: int, thresholds: npt.NDArray[np.int64], start: int, stop: int
) -> list[int]:
    """Guess thresholds from a sample of the largest segment; return them, 0 where there is none."""
    if k < _MANY_HITS:
        return [0] * (stop - start)
    largest = max(works, key=lambda work: work.segment.n_documents)
    total = sum(work.segment.n_documents for work in works)
    sampled = _SAMPLE_WINDOWS * SAMPLE_WINDOW
    expected = k * sampled / total
    # Twice what is expected and three standard deviations: neighbouring documents are alike, and a
    # guess that is too high costs a second search.
    rank = math.ceil(2 * expected + 3 * math.sqrt(expected) + 2)
    n_documents = largest.segment.n_documents
    if n_documents < _SAMPLED_SEGMENT or rank > sampled // 4:
        return [0] * (stop - start)
    guess_thresholds(
        largest.segment.count_lists, largest.allowed, n_documents, largest.queries,
        (_SAMPLE_WINDOWS, rank), thresholds, start, stop,
    )  # fmt: skip
    return [int(threshold) for threshold in thresholds]


def _share(work: Work, n_queries: int, threads: int | None) -> None:
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
