"""A query's posting lists in one segment, and adding stretches of them to accumulators.

A segment's lists are a tuple of

- ``offsets, rows, codes, max_codes``: int64 [terms + 1]; uint32 and uint8 or uint16 [postings]; the
  largest code of each list [terms].
- ``dense_lists, planes``: which lists are stored as dense rows as well, int64 [dense], and those
  rows, uint8: one code a document, 0 where a document is not in the list. Codes of more than 8 bits
  are split: row ``i`` of the planes holds the upper bits, row ``dense + i`` the lower `LOW_BITS`.
  A query treats the two as two lists. Adding the upper one takes half the memory traffic of whole
  codes, and the lower one can add so little that it is seldom more than looked into.
- ``long_lists, window_starts``: the lists of at least `LONG` postings, int64 [long], and where in
  the list each window of `WINDOW` documents starts, uint32 [long, windows + 1].

An open query is a tuple ``(cursors, ends, factors, dense, skips)``, one entry a list, the one with
the largest upper bound first: where it stands; where it starts and ends, [lists, 2]; its
multiplier; its row in the planes or -1; its row in ``window_starts`` or -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "LONG",
    "LOW_BITS",
    "WINDOW",
    "add_sparse",
    "lower_bound",
    "open_lists",
    "split_codes",
    "stretch",
    "walk",
    "window_starts",
]

WINDOW = 32768
"""Documents whose accumulators (int32) are worked on at a time: 128 KiB, a second-level cache. Part
of the file format, as the windows that `window_starts` knows."""

LONG = 128
LOW_BITS = 4


def split_codes(codes: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.uint8]:
    """Return the planes of dense rows.

    Parameters
    ----------
    codes : ndarray of uint8 or uint16 [dense, documents]
        At most 12 bits.

    Returns
    -------
    ndarray of uint8 [dense, documents] or [2 dense, documents]
    """
    if codes.dtype == np.uint8:
        return codes.astype(np.uint8, copy=False)
    low = codes & ((1 << LOW_BITS) - 1)
    return np.concatenate([codes >> LOW_BITS, low]).astype(np.uint8)


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


def window_starts(
    offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.uint32], n_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Return ``long_lists`` and ``window_starts`` of a segment's lists."""
    long_lists = np.flatnonzero(np.diff(offsets) >= LONG)
    starts = np.empty((len(long_lists), -(-n_rows // WINDOW) + 1), np.uint32)
    _fill_starts(offsets, rows, long_lists, starts)
    return long_lists, starts


@njit(nogil=True, cache=True)
def _fill_starts(offsets, rows, long_lists, starts):  # type: ignore[no-untyped-def]
    for i in range(long_lists.size):
        first, stop = offsets[long_lists[i]], offsets[long_lists[i] + 1]
        position = first
        for window in range(starts.shape[1]):
            position = lower_bound(rows, position, stop, window * WINDOW)
            starts[i, window] = position - first


@njit(nogil=True, cache=True)
def _sort_by_bound(bounds, order):  # type: ignore[no-untyped-def]
    """Sort bounds, largest first, and the entries of ``order`` with them."""
    # Shell sort: as short as an insertion sort, and still quick for queries of thousands of terms.
    gap = bounds.size // 2
    while gap > 0:
        for i in range(gap, bounds.size):
            bound, entry, position = bounds[i], order[i], i
            while position >= gap and bounds[position - gap] < bound:
                bounds[position] = bounds[position - gap]
                order[position] = order[position - gap]
                position -= gap
            bounds[position], order[position] = bound, entry
        gap //= 2


@njit(nogil=True, cache=True)
def open_lists(lists, located, multipliers):  # type: ignore[no-untyped-def]
    """Open a query's lists.

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
    offsets, _, _, max_codes, dense_lists, planes, long_lists, _ = lists
    split = planes.shape[0] > dense_lists.size
    room = 2 * located.size
    which = np.empty(room, np.int64)
    factors = np.empty(room, np.int32)
    dense = np.empty(room, np.int64)
    bounds = np.empty(room, np.int64)
    count = 0
    for i in range(located.size):
        term = located[i]
        if term < 0:
            continue
        factor = multipliers[i]
        top = np.int64(max_codes[term])
        at = np.searchsorted(dense_lists, term)
        is_dense = at < dense_lists.size and dense_lists[at] == term
        which[count] = term
        dense[count] = at if is_dense else -1
        if is_dense and split:
            which[count + 1] = term
            dense[count + 1] = dense_lists.size + at
            factors[count + 1] = factor
            bounds[count + 1] = factor * ((1 << LOW_BITS) - 1)
            factors[count] = factor << LOW_BITS
            bounds[count] = (factor << LOW_BITS) * (top >> LOW_BITS)
            count += 2
        else:
            factors[count] = factor
            bounds[count] = factor * top
            count += 1
    order = np.arange(count)
    bounds = bounds[:count]
    _sort_by_bound(bounds, order)
    suffix = np.zeros(count + 1, np.int64)
    ends = np.empty((count, 2), np.int64)
    skips = np.empty(count, np.int64)
    for i in range(count - 1, -1, -1):
        suffix[i] = suffix[i + 1] + max(bounds[i], 0)
        term = which[order[i]]
        ends[i, 0], ends[i, 1] = offsets[term], offsets[term + 1]
        at = np.searchsorted(long_lists, term)
        skips[i] = at if at < long_lists.size and long_lists[at] == term else -1
    return (ends[:, 0].copy(), ends, factors[order], dense[order], skips), suffix


@njit(nogil=True, cache=True)
def add_sparse(rows, codes, start, stop, multiplier, first, accumulators):  # type: ignore[no-untyped-def]
    """Add the postings ``start .. stop - 1`` of a list to the accumulators of row ``first`` on."""
    # Unsigned, because a signed index would be checked for counting from the end.
    origin = np.uint64(first)
    size = np.uint64(accumulators.size)
    for i in range(np.uint64(start), np.uint64(stop)):
        local = np.uint64(rows[i]) - origin
        # Always so, unless the file was damaged, which must not damage the process.
        if local < size:
            accumulators[local] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def _add_dense(codes, multiplier, accumulators, size):  # type: ignore[no-untyped-def]
    for i in range(size):
        accumulators[i] += multiplier * np.int32(codes[i])


@njit(nogil=True, cache=True)
def stretch(lists, state, i, first, end):  # type: ignore[no-untyped-def]
    """Return where in list ``i`` the postings of rows ``first .. end - 1`` start and stop.

    The rows must lie in one window, and may not precede those of earlier calls.
    """
    rows, starts = lists[1], lists[7]
    cursors, ends, _, _, skips = state
    low, high = cursors[i], ends[i, 1]
    if skips[i] >= 0:
        window = first // WINDOW
        low = max(low, ends[i, 0] + np.int64(starts[skips[i], window]))
        high = ends[i, 0] + np.int64(starts[skips[i], window + 1])
    start = lower_bound(rows, low, high, first)
    if skips[i] >= 0 and end % WINDOW == 0:
        return start, high
    return start, lower_bound(rows, start, high, end)


@njit(nogil=True, cache=True)
def walk(lists, state, i, first, end, accumulators):  # type: ignore[no-untyped-def]
    """Add what list ``i`` holds of rows ``first .. end - 1``, as in `stretch`.

    Parameters
    ----------
    lists, state : tuple
        The segment's lists and the open query.
    i, first, end : int
    accumulators : ndarray of int32
        Of row ``first`` and on.
    """
    rows, codes, planes = lists[1], lists[2], lists[5]
    cursors, _, factors, dense, _ = state
    if dense[i] >= 0:
        _add_dense(planes[dense[i], first:end], factors[i], accumulators, end - first)
    else:
        start, stop = stretch(lists, state, i, first, end)
        add_sparse(rows, codes, start, stop, factors[i], first, accumulators)
        cursors[i] = stop
