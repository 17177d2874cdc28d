"""A query's posting lists in one segment, and adding stretches of them to accumulators.

A segment's lists are a tuple ``(offsets, rows, codes, max_codes, dense_lists, dense_codes)``: int64
[terms + 1], uint32 [postings], uint8 or uint16 [postings]; the largest code of each list [terms];
which lists are stored as dense rows as well, int64 [dense]; and those rows, one code a document, 0
where a document is not in the list [dense, documents].

An open query is a tuple ``(cursors, stops, factors, dense)``, one entry a list: where it stands,
where it ends, its multiplier, and its dense row or -1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["add_sparse", "lower_bound", "open_lists", "walk"]


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
def open_lists(lists, located, multipliers):  # type: ignore[no-untyped-def]
    """Open a query's lists, those with the largest upper bound first.

    Parameters
    ----------
    lists : tuple
        The segment's.
    located : ndarray of int64 [query terms]
        Each term's list, -1 where there is none.
    multipliers : ndarray of int64 [query terms]

    Returns
    -------
    state : tuple
        The open query.
    suffix : ndarray of int64
        ``suffix[i]`` is the most that lists ``i`` and later can add to a score.
    """
    offsets, _, _, max_codes, dense_lists, _ = lists
    order = np.empty(located.size, np.int64)
    suffix = np.empty(located.size + 1, np.int64)
    count = _order_by_bound(multipliers, max_codes, located, order, suffix)
    cursors = np.empty(count, np.int64)
    stops = np.empty(count, np.int64)
    factors = np.empty(count, np.int32)
    dense = np.empty(count, np.int64)
    for i in range(count):
        which = located[order[i]]
        cursors[i] = offsets[which]
        stops[i] = offsets[which + 1]
        factors[i] = multipliers[order[i]]
        at = np.searchsorted(dense_lists, which)
        dense[i] = at if at < dense_lists.size and dense_lists[at] == which else -1
    return (cursors, stops, factors, dense), suffix


@njit(nogil=True, cache=True)
def lower_bound(rows, start, stop, row):  # type: ignore[no-untyped-def]
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
def add_sparse(rows, codes, start, stop, multiplier, first, accumulators):  # type: ignore[no-untyped-def]
    """Add the postings ``start .. stop - 1`` of a list to the accumulators of row ``first`` on."""
    # Unsigned, because a signed index would be checked for counting from the end.
    origin = np.uint64(first)
    for i in range(np.uint64(start), np.uint64(stop)):
        accumulators[np.uint64(rows[i]) - origin] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def _add_dense(codes, multiplier, accumulators, size):  # type: ignore[no-untyped-def]
    for i in range(size):
        accumulators[i] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def walk(lists, state, i, first, end, accumulators):  # type: ignore[no-untyped-def]
    """Add what list ``i`` holds of rows ``first .. end - 1``; windows must ascend.

    Parameters
    ----------
    lists, state : tuple
        The segment's lists and the open query.
    i, first, end : int
    accumulators : ndarray of int32
        Of row ``first`` and on.
    """
    _, rows, codes, _, _, dense_codes = lists
    cursors, stops, factors, dense = state
    if dense[i] >= 0:
        _add_dense(dense_codes[dense[i], first:end], factors[i], accumulators, end - first)
    else:
        start = lower_bound(rows, cursors[i], stops[i], first)
        stop = lower_bound(rows, start, stops[i], end)
        add_sparse(rows, codes, start, stop, factors[i], first, accumulators)
        cursors[i] = stop
