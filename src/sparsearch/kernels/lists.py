"""A query's posting lists in one segment, and adding stretches of them to accumulators.

A segment's lists are a tuple of

- ``places``: which documents each list holds (see `kernels.places`).
- ``codes, max_codes``: of each posting, uint8 or uint16 [postings]; the largest of each list
  [lists].
- ``dense_lists, planes``: which lists are stored as dense rows as well, int64 [dense], and those
  rows, uint8: one code a document, 0 where a document is not in the list. Codes of more than 8 bits
  are split: row ``i`` of the planes holds the upper bits, row ``dense + i`` the lower `LOW_BITS`.
  A query treats the two as two lists. Adding the upper one takes half the memory traffic of whole
  codes, and the lower one can add so little that it is seldom more than looked into.
- ``maxima``: the largest of each 8 codes of the dense rows' upper bits, uint8 [dense, groups]. A
  group is one of the `LANES` lanes of a block of `BLOCK` documents: every sixteenth of them, so
  that vector instructions compare whole lanes. They tell in which few groups a document may need
  what the dense rows would add.

An open query is an array, int64 [lists, 7], with the columns `START`, `CURSOR`, `END`: where the
list starts, where it stands, where it ends; `FACTOR`: its multiplier; `DENSE`: its row in the
planes or -1; `SKIP` and `BEFORE`: as `places.locate` returns them. Sparse lists come first, then
the dense rows of lower bits, then those of upper bits; among themselves the one with the largest
upper bound first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.intrinsics import LANES, ROWS
from sparsearch.kernels.places import WINDOW, find_stretch, locate, lower_bound
from sparsearch.kernels.sorting import sort_best_first

__all__ = [
    "BLOCK",
    "CURSOR",
    "DENSE",
    "END",
    "FACTOR",
    "LOW_BITS",
    "add_bounds",
    "add_row",
    "add_sparse",
    "next_row",
    "open_lists",
    "plane_maxima",
    "split_codes",
    "stretch",
    "walk",
]

BLOCK = ROWS * LANES
"""Documents of a block, whose groups are its lanes. Part of the file format."""

LOW_BITS = 4

START, CURSOR, END, FACTOR, DENSE, SKIP, BEFORE = range(7)
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
def _put(row, term, factor, bound, dense, kind):  # type: ignore[no-untyped-def]
    # Assigning a tuple to a row takes seconds to compile.
    row[0], row[1], row[2], row[3], row[4] = term, factor, bound, dense, kind


@njit(nogil=True, cache=True)
def _terms_of(lists, located, multipliers):  # type: ignore[no-untyped-def]
    """Return for each list of a query its term, multiplier, bound, dense row or -1, and kind."""
    _, _, max_codes, dense_lists, planes, _ = lists
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
    query : ndarray of int64 [lists, 7]
        The open query.
    suffix : ndarray of int64
        ``suffix[i]`` is the most that lists ``i`` and later can add to a score.
    n_sparse, n_others : int
        How many lists are sparse, and how many no dense rows of upper bits.
    """
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
    query = np.empty((count, 7), np.int64)
    for i in range(count - 1, -1, -1):
        suffix[i] = suffix[i + 1] + max(bounds[i], 0)
        own = found[order[i]]
        start, stop, skip, before = locate(lists[0], own[0])
        query[i, START], query[i, CURSOR], query[i, END] = start, start, stop
        query[i, SKIP], query[i, BEFORE] = skip, before
        query[i, FACTOR], query[i, DENSE] = own[1], own[3]
    return query, suffix, kind_ends[_SPARSE], kind_ends[_LOWER]


@inner
def add_sparse(postings, start, stop, factor, sums):  # type: ignore[no-untyped-def]
    """Add the postings ``start .. stop - 1`` of a list to the sums of a window.

    There are `places.PLACES` sums, whatever the places.
    """
    places, codes, _, _ = postings
    multiplier = np.int32(factor)
    # Unsigned, because a signed index would be checked for counting from the end.
    for i in range(np.uint64(start), np.uint64(stop)):
        sums[np.uint64(places[i])] += multiplier * np.int32(codes[i])


@inner
def stretch(postings, query, i, first, end):  # type: ignore[no-untyped-def]
    """Return where in list ``i`` the postings of rows ``first .. end - 1`` start and stop.

    The rows must lie in one window, and may not precede those of earlier calls.
    """
    places, _, window_starts, windows = postings
    skip = query[i, SKIP]
    # Windows before the cursor's need not be gone through again.
    start = query[i, START] if skip >= 0 else query[i, CURSOR]
    located = start, query[i, END], skip, query[i, BEFORE]
    start, stop = find_stretch(located, first // WINDOW, window_starts, windows)
    start = lower_bound(places, max(start, query[i, CURSOR]), stop, first % WINDOW)
    if end % WINDOW > 0:
        stop = lower_bound(places, start, stop, end % WINDOW)
    # In order, unless a file was damaged, which must not damage the process.
    return min(start, stop), stop


@inner
def walk(postings, query, count, first, end, sums):  # type: ignore[no-untyped-def]
    """Add what the first ``count`` lists, which are sparse, hold of rows ``first .. end - 1``.

    Parameters
    ----------
    postings : tuple of (places, codes, window_starts, windows)
    query : ndarray
        Open.
    count, first, end : int
        As `stretch` takes them.
    sums : ndarray of int32
        As `add_sparse` takes them.
    """
    for i in range(count):
        start, stop = stretch(postings, query, i, first, end)
        add_sparse(postings, start, stop, query[i, FACTOR], sums)
        query[i, CURSOR] = stop


@inner
def next_row(postings, query, i, frontier):  # type: ignore[no-untyped-def]
    """Return the row where list ``i``, which is not at its end, stands, or an earlier one.

    It is in the window of row ``frontier`` or later.
    """
    places, _, window_starts, windows = postings
    cursor, skip = query[i, CURSOR], query[i, SKIP]
    if skip < 0:
        window = np.int64(windows[cursor - query[i, BEFORE]])
    else:
        window, last = frontier // WINDOW, window_starts.shape[1] - 2
        own = cursor - query[i, START]
        while window < last and np.int64(window_starts[skip, window + 1]) <= own:
            window += 1
    return window * WINDOW + np.int64(places[cursor])


@inner
def add_row(planes, row, factor, first, end, sums):  # type: ignore[no-untyped-def]
    """Add rows ``first .. end - 1`` of a dense row to the sums of a window."""
    low = np.uint64(first % WINDOW)
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
