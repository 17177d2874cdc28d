"""Exact top-k over the lists of approximate search: partial sums that are bounds, then full scores.

Every posting stands in one of its term's two lists, the strong or the weak one (see
`kernels.layering`). A query comes with a score to beat: that of the k-th best of an approximate
search. The strong lists are walked, and of the weak ones those that can add most, until the rest
can add only a share of that score. A document whose partial score, with all that may be missing
from it, does not exceed the score to beat is not among the best k; the few others are scored in
full from the forward index. So the lists may hold codes of 8 bits where the forward index has 12,
and of weak postings only the quarter of the codes that theirs lies in.

It is MaxScore (Turtle and Flood 1995) with lists in two layers of impact, and with a forward index
in place of looking documents up in the lists left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.approximate import add_postings
from sparsearch.kernels.compiling import ZERO, inner
from sparsearch.kernels.filtering import clear_others, next_allowed
from sparsearch.kernels.layering import (
    LEVELS,
    LIST_WINDOW,
    PLACE_BITS,
    is_wide,
    level_top,
)
from sparsearch.kernels.rows import clip
from sparsearch.kernels.scoring import clear_weights, score_documents, set_weights
from sparsearch.kernels.sorting import sort_best_first
from sparsearch.kernels.sweeping import clear, largest
from sparsearch.kernels.topk import select_best

__all__ = ["search_layers", "set_thresholds"]

_GROUP = 256
_PIECE = 8

_REST_SHARE = 0.25
_REST_K = 100
"""Weak lists are walked until the rest can add no more than ``_REST_SHARE / (1 + k / _REST_K)`` of
the score to beat: the more documents are wanted, the closer they lie, and the more of them would
have to be scored in full. At most a half: see `_search_one`."""


@njit(nogil=True, cache=True)
def set_thresholds(tops):  # type: ignore[no-untyped-def]
    """Make what was found the score to beat, and forget it.

    Parameters
    ----------
    tops : tuple of (keys, sizes, thresholds)
        As for `search_layers`, changed in place. The thresholds become one less than the k-th best
        score, because a document that comes earlier may have the same; 0 where less were found.
    """
    keys, sizes, thresholds = tops
    k = keys.shape[1] // 2
    for i in range(sizes.size):
        thresholds[i] = (select_best(keys[i], sizes[i], k) >> 32) - 1 if sizes[i] >= k else 0
        sizes[i] = 0


@njit(nogil=True, cache=True)
def _open(lists, located, multipliers):  # type: ignore[no-untyped-def]
    """Return the lists to walk, in order, with their factors, and what the rest can add.

    Returns
    -------
    numbers, factors : ndarray of int64 [2 n], uint32 [n]
        Strong lists first, then weak ones: those that add most and cost least. What a code of a
        strong list is multiplied by.
    values : ndarray of uint32 [4 n]
        What a posting of each weak list adds at most, by its level.
    rest : ndarray of int64 [2 n + 1]
        What lists ``i`` and later can add to the sum of upper codes; only right from n on.
    """
    _, _, _, _, tops, _, weak_counts = lists
    n_lists = tops.size // 2
    positive = np.flatnonzero((located >= 0) & (multipliers > 0))
    n = positive.size
    numbers = np.empty(2 * n, np.int64)
    factors = np.empty(n, np.uint32)
    values = np.empty(LEVELS * n, np.uint32)
    bounds = np.empty(n, np.int64)
    worth = np.empty(n, np.float64)
    for i in range(n):
        numbers[i] = located[positive[i]]
        factors[i] = multipliers[positive[i]]
        weak = n_lists + numbers[i]
        bounds[i] = multipliers[positive[i]] * np.int64(tops[weak])
        # Between "what it adds" and "what it adds per posting".
        worth[i] = bounds[i] / np.sqrt(weak_counts[numbers[i]] + 1.0)
    order = np.arange(n)
    sort_best_first(worth, order)
    rest = np.zeros(2 * n + 1, np.int64)
    for i in range(n - 1, -1, -1):
        numbers[n + i] = n_lists + numbers[order[i]]
        for level in range(LEVELS):
            top = level_top(level, tops[numbers[n + i]])
            values[LEVELS * i + level] = factors[order[i]] * top
        rest[n + i] = rest[n + i + 1] + bounds[order[i]]
    return numbers, factors, values, rest


@inner
def _add_wide(weak, start, stop, values, first, sums):  # type: ignore[no-untyped-def]
    """Add to each place what its level is worth: ``values[first]`` and the three that follow."""
    mask = np.uint64(LIST_WINDOW - 1)
    at = np.uint64(start)
    for pair in range(np.uint64((stop - start) // 2)):
        i = at + pair * np.uint64(2)
        place = np.uint64(weak[i]) | np.uint64(weak[i + np.uint64(1)]) << np.uint64(8)
        sums[place & mask] += values[np.uint64(first) + (place >> np.uint64(PLACE_BITS))]


@inner
def _add_steps(weak, start, stop, values, first, sums):  # type: ignore[no-untyped-def]
    """Do the same for a list of steps.

    Steps that are no postings count as such of level 0: that only raises a bound, by little, while
    telling them apart makes searches up to a quarter slower.
    """
    mask = np.uint64(LIST_WINDOW - 1)
    place = np.uint64(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        byte = np.uint64(weak[i])
        place += byte // np.uint64(LEVELS)
        # Masked, because a damaged file must not damage the process.
        sums[place & mask] += values[np.uint64(first) + byte % np.uint64(LEVELS)]


@inner
def _add_weak(lists, number, window, values, first, sums):  # type: ignore[no-untyped-def]
    """Add a window's postings of a weak list; return how many bytes they have."""
    offsets, _, _, starts, tops, weak, weak_counts = lists
    n_lists = tops.size // 2
    base = offsets[number] - offsets[n_lists]
    # In order and within the bytes, unless a file was damaged.
    start, stop = clip(
        base + np.int64(starts[number, window]),
        base + np.int64(starts[number, window + 1]),
        weak.size,
    )
    if is_wide(offsets[number + 1] - offsets[number], weak_counts[number - n_lists]):
        _add_wide(weak, start, stop, values, first, sums)
    else:
        _add_steps(weak, start, stop, values, first, sums)
    return stop - start


@njit(nogil=True, cache=True)
def _sweep(accumulators, bar, first, end, base, documents):  # type: ignore[no-untyped-def]
    """Gather the window's documents whose partial score exceeds the bar; clear them all."""
    count = 0
    for group in range(0, accumulators.size, _GROUP):
        if largest(accumulators, group, group + _GROUP) > bar:
            for piece in range(group, group + _GROUP, _PIECE):
                if largest(accumulators, piece, piece + _PIECE) <= bar:
                    continue
                for i in range(piece, piece + _PIECE):
                    # Never beyond the end, unless a file was damaged.
                    if accumulators[i] > bar and first + i < end:
                        documents[count] = base + first + i
                        count += 1
        clear(accumulators, group, group + _GROUP)
    return count


@njit(nogil=True, cache=True)
def _search_one(layers, allowed, base, opened, query, buffers, keys, size, threshold):  # type: ignore[no-untyped-def]
    lists, forward = layers
    offsets, places, codes, starts, _, _, _ = lists
    _, shift = forward[3]
    _, lower = query
    n_rows = forward[0].size - 1
    numbers, factors, values, rest = opened
    n_strong = factors.size
    accumulators, documents = buffers
    k = keys.size // 2
    share = _REST_SHARE / (1 + k / _REST_K)
    walked = numbers.size
    for window in range(starts.shape[1] - 1):
        # Scores only rise, so fewer and fewer lists need be walked.
        while walked > n_strong and rest[walked - 1] << shift <= threshold * share:
            walked -= 1
        missing = (rest[walked] << shift) + lower
        # Nor need documents in none of the lists walked be scored. A code is less than twice what
        # is left of it when shifted (1 at least), so the other lists add less than `rest` says
        # twice, and that is not more than the score to beat.
        bar = max((threshold - missing) >> shift, 0)
        first = window * LIST_WINDOW
        end = min(first + LIST_WINDOW, n_rows)
        if next_allowed(allowed, first, end) == end:
            continue
        added = np.int64(0)
        for i in range(n_strong):
            start = offsets[numbers[i]] + np.int64(starts[numbers[i], window])
            stop = offsets[numbers[i]] + np.int64(starts[numbers[i], window + 1])
            add_postings(places, codes, start, stop, factors[i], accumulators)
            added += max(stop - start, 0)
        for i in range(n_strong, walked):
            own = LEVELS * (i - n_strong)
            added += _add_weak(lists, numbers[i], window, values, own, accumulators)
        if added == 0:
            continue
        clear_others(accumulators, allowed, first)
        count = _sweep(accumulators, bar, first, end, base, documents)
        size, threshold = score_documents(
            forward, base, documents[:count], query, k, keys, size, threshold, ZERO
        )
    return size, threshold


@njit(nogil=True, cache=True)
def search_layers(layers, allowed, base, queries, tops, scratch, start, stop):  # type: ignore[no-untyped-def]
    """Offer a segment's documents to the top k of queries ``start .. stop - 1``.

    Parameters
    ----------
    layers : tuple of (lists, forward)
        The layered lists (see `kernels.layering`) and the forward index (see `kernels.rows`).
    allowed, base, queries, tops, start, stop
        As for `kernels.exact.search_segment`.
    scratch : tuple of (sums, weights)
        As for `kernels.approximate.gather_candidates`.
    """
    lists, forward = layers
    query_offsets, located, multipliers = queries
    keys, sizes, thresholds = tops
    sums, weights = scratch
    # No posting counts twice, but steps that are none add up to as much again: 32 bits, no sign.
    accumulators = sums.view(np.uint32)
    buffers = accumulators, np.empty(LIST_WINDOW, np.int64)
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        lower = set_weights(weights, forward, located[low:high], multipliers[low:high])
        opened = _open(lists, located[low:high], multipliers[low:high])
        sizes[i], thresholds[i] = _search_one(
            layers, allowed, base, opened, (weights, lower), buffers, keys[i], sizes[i],
            thresholds[i],
        )  # fmt: skip
        clear_weights(weights, forward, located[low:high])
