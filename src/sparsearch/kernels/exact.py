"""Exact top-k over one segment: term at a time in cache-sized windows, with safe pruning.

The posting lists of a query are walked window by window of `WINDOW` documents, so that the
accumulators stay in the nearest cache. A list of a common term is also there as a dense row, one
code a document, which is added by vector instructions. Lists are ordered by their upper bound (multiplier times
largest code). Once k documents are known, a document needs more than the k-th score to enter, so
lists whose bounds together cannot reach it are *non-essential* (MaxScore, Turtle and Flood 1995):
they are not walked, only looked into for documents that the essential lists brought near enough.

Scores are integers (see `kernels.plan`), so the order in which lists are added cannot change them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.topk import make_key, select_best

__all__ = ["WINDOW", "search_segment"]

WINDOW = 8192
"""Documents whose accumulators (int32) are worked on at a time: 32 KiB, a first-level cache."""

_GROUP = 8
_PROBE_COST = 6
"""Postings that can be added in the time it takes to look one document up."""

_WALK_SHARE = 0.1
"""Lists are walked, beyond the essential ones, until the rest can add no more than this share of the
k-th score; otherwise too many documents would have to be looked up in the rest."""

_SLACK = 2
"""The k-th score is brought up to date when this fraction of k has been added beyond k."""


@njit(nogil=True, cache=True)
def _order_by_bound(multipliers, max_codes, located, order, suffix):  # type: ignore[no-untyped-def]
    """Order a query's lists by upper bound, largest first; fill sums of the bounds that remain.

    Returns
    -------
    int
        Lists present in this segment. ``suffix[i]`` bounds what lists ``order[i:]`` can add.
    """
    count = 0
    bounds = np.empty(located.size, np.int64)
    for i in range(located.size):
        if located[i] >= 0:
            bounds[count] = multipliers[i] * np.int64(max_codes[located[i]])
            order[count] = i
            count += 1
    # Shell sort: as short as an insertion sort, and still quick for queries of thousands of terms.
    gap = count // 2
    while gap > 0:
        for i in range(gap, count):
            bound, entry, position = bounds[i], order[i], i
            while position >= gap and bounds[position - gap] < bound:
                bounds[position] = bounds[position - gap]
                order[position] = order[position - gap]
                position -= gap
            bounds[position], order[position] = bound, entry
        gap //= 2
    suffix[count] = 0
    for i in range(count - 1, -1, -1):
        suffix[i] = suffix[i + 1] + max(bounds[i], 0)
    return count


@njit(nogil=True, cache=True)
def _lower_bound(rows, start, stop, row):  # type: ignore[no-untyped-def]
    """Gallop to the first position in ``[start, stop)`` whose row is at least ``row``."""
    step = 1
    low = start
    high = start
    while high < stop and rows[high] < row:
        low = high + 1
        high += step
        step *= 2
    high = min(high, stop)
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _add_sparse(rows, codes, start, stop, multiplier, first, accumulators):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        accumulators[rows[i] - first] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def _add_dense(codes, multiplier, accumulators, size):  # type: ignore[no-untyped-def]
    for i in range(size):
        accumulators[i] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def _collect(accumulators, size, bar, first, allowed, candidates):  # type: ignore[no-untyped-def]
    """Gather the allowed local rows whose accumulator exceeds ``bar``; return how many."""
    count = 0
    limit = np.int32(bar)
    for group in range(0, size, _GROUP):
        # Written so that it becomes vector instructions: most groups hold nothing.
        hit = np.int32(0)
        for i in range(_GROUP):
            hit |= np.int32(accumulators[group + i] > limit)
        if hit == 0:
            continue
        for i in range(group, min(group + _GROUP, size)):
            if accumulators[i] > limit and (allowed.size == 0 or allowed[first + i]):
                candidates[count] = i
                count += 1
    return count


@njit(nogil=True, cache=True)
def _probe_sparse(rows, codes, start, stop, multiplier, first, candidates, count, accumulators):  # type: ignore[no-untyped-def]
    """Add a list's weights for the candidates only."""
    for i in range(count):
        local = candidates[i]
        start = _lower_bound(rows, start, stop, first + local)
        if start == stop:
            break
        if rows[start] == first + local:
            accumulators[local] += multiplier * np.int32(codes[start])


@njit(nogil=True, cache=True)
def _probe_dense(codes, multiplier, candidates, count, accumulators):  # type: ignore[no-untyped-def]
    for i in range(count):
        accumulators[candidates[i]] += multiplier * np.int32(codes[candidates[i]])


@njit(nogil=True, cache=True)
def _keep_above(accumulators, bar, candidates, count):  # type: ignore[no-untyped-def]
    kept = 0
    for i in range(count):
        if accumulators[candidates[i]] > bar:
            candidates[kept] = candidates[i]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def _next_window(rows, dense, cursors, stops, essential, frontier, n_rows):  # type: ignore[no-untyped-def]
    """Return the first row, from ``frontier`` on, that an essential list may hold."""
    first = n_rows
    for i in range(essential):
        if dense[i] >= 0:
            return frontier
        if cursors[i] < stops[i]:
            first = min(first, np.int64(rows[cursors[i]]))
    return first


@njit(nogil=True, cache=True)
def _offer(accumulators, candidates, count, document, keys, size, k, threshold):  # type: ignore[no-untyped-def]
    """Offer candidates to the top k; return its size and the score to beat from now on."""
    for i in range(count):
        score = np.int64(accumulators[candidates[i]])
        if score <= threshold:
            continue
        keys[size] = make_key(score, document + candidates[i])
        size += 1
        if size == keys.size:
            threshold = select_best(keys, size, k) >> 32
            size = k
    if size > k + k // _SLACK:
        threshold = select_best(keys, size, k) >> 32
        size = k
    return size, threshold


@njit(nogil=True, cache=True)
def _finish(lists, state, i, first, end, candidates, count, accumulators):  # type: ignore[no-untyped-def]
    """Add what list ``i`` holds of the candidates, the cheapest way."""
    _, rows, codes, _, _, dense_codes = lists
    cursors, stops, factors, dense = state
    if dense[i] >= 0:
        part = dense_codes[dense[i], first:end]
        _probe_dense(part, factors[i], candidates, count, accumulators)
        return
    start = _lower_bound(rows, cursors[i], stops[i], first + candidates[0])
    stop = _lower_bound(rows, start, stops[i], end)
    if count * _PROBE_COST < stop - start:
        factor = factors[i]
        _probe_sparse(rows, codes, start, stop, factor, first, candidates, count, accumulators)
    else:
        _add_sparse(rows, codes, start, stop, factors[i], first, accumulators)
    cursors[i] = stop


@njit(nogil=True, cache=True)
def _search_one(lists, allowed, n_rows, base, located, multipliers, k, keys, size, threshold):  # type: ignore[no-untyped-def]
    offsets, rows, codes, max_codes, dense_lists, dense_codes = lists
    order = np.empty(located.size, np.int64)
    suffix = np.empty(located.size + 1, np.int64)
    n_lists = _order_by_bound(multipliers, max_codes, located, order, suffix)
    cursors = np.empty(n_lists, np.int64)
    stops = np.empty(n_lists, np.int64)
    factors = np.empty(n_lists, np.int32)
    dense = np.empty(n_lists, np.int64)
    for i in range(n_lists):
        which = located[order[i]]
        cursors[i] = offsets[which]
        stops[i] = offsets[which + 1]
        factors[i] = multipliers[order[i]]
        at = np.searchsorted(dense_lists, which)
        dense[i] = at if at < dense_lists.size and dense_lists[at] == which else -1
    state = (cursors, stops, factors, dense)
    accumulators = np.zeros(WINDOW, np.int32)
    candidates = np.empty(WINDOW, np.int32)
    essential = n_lists
    frontier = np.int64(0)
    while True:
        while essential > 0 and suffix[essential - 1] <= threshold:
            essential -= 1
        first = _next_window(rows, dense, cursors, stops, essential, frontier, n_rows)
        if first >= n_rows:
            return size, threshold
        end = min(first + WINDOW, n_rows)
        walked = essential
        while walked < n_lists and suffix[walked] > threshold * _WALK_SHARE:
            walked += 1
        for i in range(walked):
            if dense[i] >= 0:
                _add_dense(dense_codes[dense[i], first:end], factors[i], accumulators, end - first)
            else:
                start = _lower_bound(rows, cursors[i], stops[i], first)
                stop = _lower_bound(rows, start, stops[i], end)
                _add_sparse(rows, codes, start, stop, factors[i], first, accumulators)
                cursors[i] = stop
        bar = threshold - suffix[walked]
        count = _collect(accumulators, end - first, bar, first, allowed, candidates)
        for i in range(walked, n_lists):
            if count == 0:
                break
            _finish(lists, state, i, first, end, candidates, count, accumulators)
            count = _keep_above(accumulators, threshold - suffix[i + 1], candidates, count)
        size, threshold = _offer(
            accumulators, candidates, count, base + first, keys, size, k, threshold
        )
        accumulators[: end - first] = 0
        frontier = end


@njit(nogil=True, cache=True)
def search_segment(lists, allowed, n_rows, base, queries, tops, start, stop):  # type: ignore[no-untyped-def]
    """Offer a segment's documents to the top k of queries ``start .. stop - 1``.

    Parameters
    ----------
    lists : tuple of (offsets, rows, codes, max_codes, dense_lists, dense_codes)
        Posting lists: int64 [terms + 1], uint32 [postings], uint8 or uint16 [postings]; the largest
        code of each list [terms]; which lists are dense as well: int64 [dense]; and their codes
        by row, 0 where a document is not in the list: [dense, n_rows].
    allowed : ndarray of bool [n_rows] or [0]
        Documents that may be returned; empty when all may.
    n_rows : int
        Documents of the segment.
    base : int
        Number of its first document; segments must be offered in ascending order of it.
    queries : tuple of (offsets, located, multipliers)
        int64 [queries + 1]; int64 [query terms], each term's list in this segment or -1; int64
        [query terms].
    tops : tuple of (keys, sizes, thresholds)
        Best entries so far (see `kernels.topk`), changed in place: int64 [stop - start, 2 k], of
        which ``sizes`` are in use, int64 [stop - start]; and the score that an entry must beat,
        int64 [stop - start]. k is at least 1.
    """
    query_offsets, located, multipliers = queries
    keys, sizes, thresholds = tops
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        sizes[i], thresholds[i] = _search_one(
            lists, allowed, n_rows, base, located[low:high], multipliers[low:high],
            keys.shape[1] // 2, keys[i], sizes[i], thresholds[i],
        )  # fmt: skip
