"""The documents of posting lists, in two bytes each: places in windows of documents.

The documents of a segment, its rows, are worked on in windows of `WINDOW`. A posting stores the
place of its row in its window. The window follows

- in a long list from where in it each window starts;
- in any other from a window number beside each of its postings.

So the bulk of postings are added to the sums of a window without a look at anything but their
places and codes.

A segment's ``places`` are a tuple of

- ``offsets, places``: int64 [lists + 1]; uint16 [postings], in order of rows within a list;
- ``long_lists, window_starts``: ascending, int64 [long]; and where in the list each window starts,
  counted from the list's first posting, uint32 [long, windows + 1];
- ``long_before, windows``: how many postings of long lists precede each of these, and how many
  there are, int64 [long + 1]; and the window of each posting of the other lists, uint16, or uint32
  in a segment of more than 65,536 windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import ZERO, inner

__all__ = [
    "PLACES",
    "WINDOW",
    "find_posting",
    "find_stretch",
    "locate",
    "lower_bound",
    "pack_rows",
    "unpack_rows",
]

Array = npt.NDArray[Any]

WINDOW = 8192
"""Documents worked on at a time: their sums (int32) fill 32 KiB, a first-level cache. Part of the
file format."""

PLACES = 1 << 16
"""Sums to make room for: with one for each number of 16 bits, a damaged place does no harm."""

_LONG = 128
_LONG_WINDOWS = 4
"""Postings of a long list, at least, and how many for each window: then knowing where windows start
takes no more room than the number of each posting's window."""


@inner
def lower_bound(numbers, start, stop, wanted):  # type: ignore[no-untyped-def]
    """Gallop to the first position in ``[start, stop)`` whose number is at least ``wanted``."""
    step = 1
    low = start
    high = start
    while high < stop and numbers[high] < wanted:
        low = high + 1
        high += step
        step *= 2
    high = min(high, stop)
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def pack_rows(
    offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.uint32], n_rows: int
) -> dict[str, Array]:
    """Return the ``places`` of posting lists, by name, without their offsets.

    Parameters
    ----------
    offsets : ndarray of int64 [lists + 1]
    rows : ndarray of uint32 [postings]
        Ascending in each list.
    n_rows : int
        Documents of the segment.
    """
    sizes = np.diff(offsets)
    n_windows = -(-n_rows // WINDOW)
    is_long = sizes >= max(_LONG, _LONG_WINDOWS * n_windows)
    long_lists = np.flatnonzero(is_long)
    long_before = np.concatenate([[0], np.cumsum(sizes[is_long])]).astype(np.int64)
    starts = np.empty((len(long_lists), n_windows + 1), np.uint32)
    _fill_starts(offsets, rows, long_lists, starts)
    places = rows.astype(np.uint16)
    places %= WINDOW
    dtype = np.uint16 if n_windows <= 1 << 16 else np.uint32
    windows = np.empty(len(rows) - long_before[-1], dtype)
    _fill_windows(offsets, rows, is_long, windows)
    return {
        "places": places,
        "long_lists": long_lists,
        "window_starts": starts,
        "long_before": long_before,
        "windows": windows,
    }


@njit(nogil=True, cache=True)
def _fill_starts(offsets, rows, long_lists, starts):  # type: ignore[no-untyped-def]
    for i in range(long_lists.size):
        first, stop = offsets[long_lists[i]], offsets[long_lists[i] + 1]
        position = first
        for window in range(starts.shape[1]):
            position = lower_bound(rows, position, stop, window * WINDOW)
            starts[i, window] = position - first


@njit(nogil=True, cache=True)
def _fill_windows(offsets, rows, is_long, windows):  # type: ignore[no-untyped-def]
    count = 0
    for number in range(is_long.size):
        if not is_long[number]:
            for i in range(offsets[number], offsets[number + 1]):
                windows[count] = rows[i] // WINDOW
                count += 1


@inner
def locate(places, number):  # type: ignore[no-untyped-def]
    """Return where a list is: its first posting, its end, ``skip`` and ``before``.

    ``skip`` is its row in ``window_starts``, -1 where it has none, and ``before`` how many postings
    of long lists precede it. It lies within the arrays, and is empty if a file was damaged so
    that it would not, which must not damage the process.
    """
    offsets, own, long_lists, _, long_before, windows = places
    start, stop = offsets[number], offsets[number + 1]
    at = np.searchsorted(long_lists, number)
    before = long_before[at]
    is_long = at < long_lists.size and long_lists[at] == number
    n_postings = own.size if is_long else min(own.size, windows.size + before)
    if not max(before, 0) <= start <= stop <= n_postings:
        start = stop = before = ZERO
    return start, stop, at if is_long else -1, before


@inner
def find_stretch(located, window, window_starts, windows):  # type: ignore[no-untyped-def]
    """Return where the postings of a window start and stop in a list.

    Parameters
    ----------
    located : tuple
        As `locate` returns it.
    window : int
    window_starts, windows : ndarray
        As in ``places``.
    """
    start, stop, skip, before = located
    if skip >= 0:
        first = start + np.int64(window_starts[skip, window])
        last = start + np.int64(window_starts[skip, window + 1])
    else:
        first = lower_bound(windows, start - before, stop - before, window) + before
        last = lower_bound(windows, first - before, stop - before, window + 1) + before
    return min(first, stop), min(last, stop)


@njit(nogil=True, cache=True)
def find_posting(places, number, row):  # type: ignore[no-untyped-def]
    """Return which posting is that of a row in a list, -1 where it has none.

    Parameters
    ----------
    places : tuple
        The segment's.
    number, row : int
        The list and the row.
    """
    _, own, _, window_starts, _, windows = places
    window, place = row // WINDOW, row % WINDOW
    start, stop = find_stretch(locate(places, number), window, window_starts, windows)
    found = lower_bound(own, start, stop, place)
    return found if found < stop and own[found] == place else -1


@njit(nogil=True, cache=True)
def unpack_rows(places, number, rows):  # type: ignore[no-untyped-def]
    """Write down the rows of one list.

    Parameters
    ----------
    places : tuple
        The segment's.
    number : int
        The list.
    rows : ndarray of uint32
        Filled in place from the beginning, as far as there is room.

    Returns
    -------
    int
        How many rows were filled in.
    """
    _, own, _, window_starts, _, windows = places
    start, stop, skip, before = locate(places, number)
    count = min(stop - start, rows.size)
    if skip < 0:
        for i in range(count):
            rows[i] = windows[start - before + i] * WINDOW + own[start + i]
        return count
    done = ZERO
    for window in range(window_starts.shape[1] - 1):
        end = min(np.int64(window_starts[skip, window + 1]), count)
        for i in range(done, end):
            rows[i] = window * WINDOW + own[start + i]
        done = max(done, end)
    return done
