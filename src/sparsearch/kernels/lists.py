"""A query's posting lists in one segment, and adding stretches of them to accumulators.

A segment's lists are a tuple of

- ``offsets, rows, codes, max_codes``: int64 [terms + 1]; uint32 and uint8 or uint16 [postings]; the
  largest code of each list [terms].
- ``dense_lists, planes``: which lists are stored as dense rows as well, int64 [dense], and those
  rows, uint8: one code a document, 0 where a document is not in the list. Codes of more than 8 bits
  are split: row ``i`` of the planes holds the upper bits, row ``dense + i`` the lower `LOW_BITS`.
  A query treats the two as two lists. Adding the upper one takes half the memory traffic of whole
  codes, and the lower one can add so little that it is seldom more than looked into.
- ``maxima``: the largest of each 8 codes of the dense rows' upper bits, uint8 [dense, groups]. A
  group is one of the `LANES` lanes of a block of `BLOCK` documents: every sixteenth of them, so
  that vector instructions compare whole lanes. They tell in which few groups a document may need
  what the dense rows would add.
- ``long_lists, window_starts``: the lists of at least `LONG` postings, int64 [long], and where in
  the list each window of `WINDOW` documents starts, uint32 [long, windows + 1].

An open query is an array, int64 [lists, 6], with the columns `START`, `CURSOR`, `END`: where the
list starts, where it stands, where it ends; `FACTOR`: its multiplier; `DENSE`: its row in the
planes or -1; `SKIP`: its row in ``window_starts`` or -1. Sparse lists come first, then the dense
rows of lower bits, then those of upper bits; among themselves the one with the largest upper bound
first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.intrinsics import LANES, ROWS
from sparsearch.kernels.sorting import sort_best_first

__all__ = [
    "BLOCK",
    "CURSOR",
    "DENSE",
    "END",
    "FACTOR",
    "LONG",
    "LOW_BITS",
    "WINDOW",
    "add_bounds",
    "add_row",
    "add_sparse",
    "lower_bound",
    "open_lists",
    "plane_maxima",
    "split_codes",
    "stretch",
    "walk",
    "window_starts",
]

WINDOW = 32768
"""Documents whose accumulators (int32) are worked on at a time: 128 KiB, a second-level cache. Part
of the file format, as the windows that `window_starts` knows."""

BLOCK = ROWS * LANES
"""Documents of a block, whose groups are its lanes. Part of the file format."""

LONG = 128
LOW_BITS = 4

START, CURSOR, END, FACTOR, DENSE, SKIP = range(6)
"""Columns of an open query."""

_SPARSE, _LOWER, _UPPER = range(3)
"""Kinds of lists."""


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


def plane_maxima(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the ``maxima`` of dense rows of upper bits, uint8 [dense, documents]."""
    n_dense, n_documents = rows.shape
    n_blocks = -(-n_documents // BLOCK)
    maxima = np.empty((n_dense, n_blocks * LANES), np.uint8)
    whole = np.zeros(n_blocks * BLOCK, np.uint8)
    for row, found in zip(rows, maxima, strict=True):
        whole[:n_documents] = row
        found[:] = whole.reshape(n_blocks, ROWS, LANES).max(axis=1).ravel()
    return maxima


@inner
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


@inner
def _put(row, term, factor, bound, dense, kind):  # type: ignore[no-untyped-def]
    # Assigning a tuple to a row takes seconds to compile.
    row[0], row[1], row[2], row[3], row[4] = term, factor, bound, dense, kind


@njit(nogil=True, cache=True)
def _terms_of(lists, located, multipliers):  # type: ignore[no-untyped-def]
    """Return for each list of a query its term, multiplier, bound, dense row or -1, and kind."""
    _, _, _, max_codes, dense_lists, planes, _, _, _ = lists
    n_dense = dense_lists.size
    split = planes.shape[0] > n_dense
    found = np.empty((2 * located.size, 5), np.int64)
    count = 0
    for i in range(located.size):
        term, factor = located[i], multipliers[i]
        if term < 0:
            continue
        top = np.int64(max_codes[term])
        at = np.searchsorted(dense_lists, term)
        if at == n_dense or dense_lists[at] != term:
            _put(found[count], term, factor, factor * top, -1, _SPARSE)
        elif not split:
            _put(found[count], term, factor, factor * top, at, _UPPER)
        else:
            upper, lower = factor << LOW_BITS, factor * ((1 << LOW_BITS) - 1)
            _put(found[count], term, factor, lower, n_dense + at, _LOWER)
            count += 1
            _put(found[count], term, upper, upper * (top >> LOW_BITS), at, _UPPER)
        count += 1
    return found[:count]


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
    query : ndarray of int64 [lists, 6]
        The open query.
    suffix : ndarray of int64
        ``suffix[i]`` is the most that lists ``i`` and later can add to a score.
    n_sparse, n_others : int
        How many lists are sparse, and how many no dense rows of upper bits.
    """
    offsets, long_lists = lists[0], lists[7]
    found = _terms_of(lists, located, multipliers)
    count = found.shape[0]
    order = np.empty(count, np.int64)
    bounds = np.empty(count, np.int64)
    kind_ends = np.zeros(_UPPER + 1, np.int64)
    stop = 0
    for kind in range(_UPPER + 1):
        start = stop
        for i in range(count):
            if found[i, 4] == kind:
                order[stop], bounds[stop] = i, found[i, 2]
                stop += 1
        sort_best_first(bounds[start:stop], order[start:stop])
        kind_ends[kind] = stop
    suffix = np.zeros(count + 1, np.int64)
    query = np.empty((count, 6), np.int64)
    for i in range(count - 1, -1, -1):
        suffix[i] = suffix[i + 1] + max(bounds[i], 0)
        own = found[order[i]]
        term = own[0]
        at = np.searchsorted(long_lists, term)
        skip = at if at < long_lists.size and long_lists[at] == term else -1
        query[i, START] = query[i, CURSOR] = offsets[term]
        query[i, END] = offsets[term + 1]
        query[i, FACTOR], query[i, DENSE], query[i, SKIP] = own[1], own[3], skip
    return query, suffix, kind_ends[_SPARSE], kind_ends[_LOWER]


@inner
def add_sparse(rows, codes, start, stop, factor, sums):  # type: ignore[no-untyped-def]
    """Add the postings ``start .. stop - 1`` of a list to the sums of a window.

    There are a power of two of them, and row r is added to ``sums[r % sums.size]``: so a damaged
    row cannot damage the process.
    """
    last = np.uint32(sums.size - 1)
    multiplier = np.int32(factor)
    # Unsigned, because a signed index would be checked for counting from the end.
    for i in range(np.uint64(start), np.uint64(stop)):
        sums[np.uint64(rows[i] & last)] += multiplier * np.int32(codes[i])


@inner
def stretch(rows, starts, query, i, first, end):  # type: ignore[no-untyped-def]
    """Return where in list ``i`` the postings of rows ``first .. end - 1`` start and stop.

    The rows must lie in one window, and may not precede those of earlier calls.
    """
    low, high, skip = query[i, CURSOR], query[i, END], query[i, SKIP]
    if skip >= 0:
        window = first // WINDOW
        low = max(low, query[i, START] + np.int64(starts[skip, window]))
        high = query[i, START] + np.int64(starts[skip, window + 1])
    start = lower_bound(rows, low, high, first)
    stop = high
    if skip < 0 or end % WINDOW > 0:
        stop = lower_bound(rows, start, high, end)
    return start, stop


@inner
def walk(rows, codes, starts, query, count, first, end, sums):  # type: ignore[no-untyped-def]
    """Add what the first ``count`` lists, which are sparse, hold of rows ``first .. end - 1``.

    Parameters
    ----------
    rows, codes, starts, query : ndarray
        The segment's rows, codes and window starts, and the open query.
    count, first, end : int
        As `stretch` takes them.
    sums : ndarray of int32
        As `add_sparse` takes them.
    """
    for i in range(count):
        start, stop = stretch(rows, starts, query, i, first, end)
        add_sparse(rows, codes, start, stop, query[i, FACTOR], sums)
        query[i, CURSOR] = stop


@inner
def add_row(planes, row, factor, first, end, sums):  # type: ignore[no-untyped-def]
    """Add rows ``first .. end - 1`` of a dense row to the sums of a window."""
    low = np.uint64(first % sums.size)
    own, at, multiplier = np.uint64(row), np.uint64(first), np.int32(factor)
    for i in range(np.uint64(end - first)):
        sums[low + i] += multiplier * np.int32(planes[own, at + i])


@inner
def add_bounds(maxima, row, factor, first, end, bounds):  # type: ignore[no-untyped-def]
    """Add the maxima of a dense row to the bounds of a window's groups ``first .. end - 1``.

    Groups are counted as the maxima are.
    """
    low = np.uint64(first % bounds.size)
    own, at, multiplier = np.uint64(row), np.uint64(first), np.int32(factor)
    for i in range(np.uint64(end - first)):
        bounds[low + i] += multiplier * np.int32(maxima[own, at + i])
