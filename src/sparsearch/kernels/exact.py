"""Exact top-k over one segment: term at a time in cache-sized windows, with safe pruning.

The posting lists of a query are walked window by window of `WINDOW` documents, so that the
accumulators stay in the nearest cache. Lists are ordered by their upper bound (multiplier times
largest code). Once k documents are known, a document needs more than the k-th score to enter, so
lists whose bounds together cannot reach it are *non-essential* (MaxScore, Turtle and Flood 1995):
they are not walked, only looked into for documents that the essential lists brought near enough.

Scores are integers (see `kernels.plan`), so the order in which lists are added cannot change them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.filtering import clear_others
from sparsearch.kernels.lists import (
    WINDOW,
    add_sparse,
    lower_bound,
    open_lists,
    stretch,
    walk,
)
from sparsearch.kernels.sweeping import largest
from sparsearch.kernels.topk import make_key, select_best

__all__ = ["SAMPLE_WINDOW", "guess_thresholds", "search_segment"]

_FIRST_WINDOW = 1024
"""The first window is smaller, and the next ones double, so that a k-th score is known early."""

SAMPLE_WINDOW = 256
"""Neighbouring documents scored at a time to guess a threshold."""

_GROUP = 128
_PIECE = 8
_PROBE_COST = 6
"""Postings that can be added in the time it takes to look one document up."""

_WALK_SHARE = 0.1
"""Lists are walked, beyond the essential ones, until the rest can add no more than this share of
the k-th score; otherwise too many documents would have to be looked up in the rest."""

_SLACK = 2
"""The k-th score is brought up to date when this fraction of k has been added beyond k."""


@njit(nogil=True, cache=True)
def _collect(accumulators, size, bar, candidates):  # type: ignore[no-untyped-def]
    """Gather the local rows whose accumulator exceeds ``bar``; return how many."""
    count = 0
    limit = np.int32(bar)
    # Most groups hold nothing, and most pieces of those that do.
    for group in range(0, size, _GROUP):
        if largest(accumulators, group, group + _GROUP) <= limit:
            continue
        for piece in range(group, group + _GROUP, _PIECE):
            if largest(accumulators, piece, piece + _PIECE) <= limit:
                continue
            # No branch on each: the processor could not predict it.
            for i in range(np.uint64(piece), np.uint64(min(piece + _PIECE, size))):
                candidates[count] = i
                count += np.int64(accumulators[i] > limit)
    return count


@njit(nogil=True, cache=True)
def _probe_sparse(rows, codes, start, stop, multiplier, first, candidates, count, accumulators):  # type: ignore[no-untyped-def]
    """Add a list's weights for the candidates only."""
    for i in range(count):
        local = candidates[i]
        start = lower_bound(rows, start, stop, first + local)
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
def _finish(lists, state, i, first, end, candidates, count, accumulators):  # type: ignore[no-untyped-def]
    """Add what list ``i`` holds of the candidates, the cheapest way."""
    rows, codes, planes = lists[1], lists[2], lists[5]
    cursors, _, factors, dense, _ = state
    if dense[i] >= 0:
        part = planes[dense[i], first:end]
        _probe_dense(part, factors[i], candidates, count, accumulators)
        return
    start, stop = stretch(lists, state, i, first, end)
    if count * _PROBE_COST < stop - start:
        factor = factors[i]
        _probe_sparse(rows, codes, start, stop, factor, first, candidates, count, accumulators)
    else:
        add_sparse(rows, codes, start, stop, factors[i], first, accumulators)
    cursors[i] = stop


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
def _next_window(rows, state, essential, frontier, n_rows):  # type: ignore[no-untyped-def]
    """Return the first row, from ``frontier`` on, that an essential list may hold."""
    cursors, ends, _, dense, _ = state
    first = n_rows
    for i in range(essential):
        if dense[i] >= 0:
            return frontier
        if cursors[i] < ends[i, 1]:
            first = min(first, np.int64(rows[cursors[i]]))
    return first


@njit(nogil=True, cache=True)
def _search_one(lists, allowed, n_rows, base, located, multipliers, k, keys, size, threshold):  # type: ignore[no-untyped-def]
    state, suffix = open_lists(lists, located, multipliers)
    n_lists = state[0].size
    accumulators = np.zeros(WINDOW, np.int32)
    candidates = np.empty(WINDOW, np.uint32)
    essential = n_lists
    frontier = np.int64(0)
    width = np.int64(_FIRST_WINDOW if threshold == 0 else WINDOW)
    while True:
        while essential > 0 and suffix[essential - 1] <= threshold:
            essential -= 1
        first = _next_window(lists[1], state, essential, frontier, n_rows)
        if first >= n_rows:
            return size, threshold
        end = min(first + width, (first // WINDOW + 1) * WINDOW, n_rows)
        width = min(2 * width, np.int64(WINDOW))
        walked = essential
        while walked < n_lists and suffix[walked] > threshold * _WALK_SHARE:
            walked += 1
        for i in range(walked):
            walk(lists, state, i, first, end, accumulators)
        bar = threshold - suffix[walked]
        # The bar is never below 0: a document that is not allowed does not exceed it any more.
        clear_others(accumulators[: end - first], allowed, first)
        count = _collect(accumulators, end - first, bar, candidates)
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
def _guess_one(lists, allowed, n_rows, located, multipliers, n_windows, rank):  # type: ignore[no-untyped-def]
    state, _ = open_lists(lists, located, multipliers)
    accumulators = np.zeros(SAMPLE_WINDOW, np.int32)
    scores = np.empty(n_windows * SAMPLE_WINDOW, np.int64)
    count = 0
    for window in range(n_windows):
        # At the start of a window, where the lists need not be searched for it.
        first = (n_rows - SAMPLE_WINDOW) * window // n_windows // WINDOW * WINDOW
        for i in range(state[0].size):
            walk(lists, state, i, first, first + SAMPLE_WINDOW, accumulators)
        for i in range(SAMPLE_WINDOW):
            if accumulators[i] > 0 and (allowed.size == 0 or allowed[first + i]):
                scores[count] = accumulators[i]
                count += 1
        accumulators[:] = 0
    return select_best(scores, count, rank) - 1 if count >= rank else np.int64(0)


@njit(nogil=True, cache=True)
def guess_thresholds(lists, allowed, n_rows, queries, sample, thresholds, start, stop):  # type: ignore[no-untyped-def]
    """Guess scores that about k documents exceed, from a sample of a segment's documents.

    A search that begins with a good threshold skips nearly everything. Whether the guess was too
    high shows at the end: then fewer than k documents were found, and the search is run again.

    Parameters
    ----------
    lists, allowed, n_rows, queries, start, stop
        As for `search_segment`.
    sample : tuple of (n_windows, rank)
        How many stretches of `SAMPLE_WINDOW` documents to score, and which of their scores to
        take, counted from the best. (One less is returned: documents of that score exceed it.)
    thresholds : ndarray of int64 [stop - start]
        Filled in place; 0 where the sample holds too few documents to tell.
    """
    query_offsets, located, multipliers = queries
    n_windows, rank = sample
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        thresholds[i] = _guess_one(
            lists, allowed, n_rows, located[low:high], multipliers[low:high], n_windows, rank
        )


@njit(nogil=True, cache=True)
def search_segment(lists, allowed, n_rows, base, queries, tops, start, stop):  # type: ignore[no-untyped-def]
    """Offer a segment's documents to the top k of queries ``start .. stop - 1``.

    Parameters
    ----------
    lists : tuple
        The segment's posting lists (see `kernels.lists`).
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
