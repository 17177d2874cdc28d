"""From posting lists back to documents, and from strings to their places."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.places import WINDOW, find_stretch, locate, lower_bound, unpack_rows

__all__ = ["find_strings", "postings_of"]

_SEARCH_STEPS = 80
"""What a binary search costs, in entries that could be gone through instead."""

_SPARSENESS = 64
"""Places of the table a document: few entries that are not wanted are looked at twice."""


@inner
def _search_list(places, number, wanted, found, n_found):  # type: ignore[no-untyped-def]
    """Find some documents in a long list; return how many were found in all by then.

    There is room in `found` for all of them.
    """
    _, own, _, window_starts, _, windows = places
    located = locate(places, number)
    at, stop, window = located[0], located[0], -1
    for i in range(wanted.size):
        if wanted[i] // WINDOW != window:
            window = wanted[i] // WINDOW
            at, stop = find_stretch(located, window, window_starts, windows)
        place = wanted[i] % WINDOW
        at = lower_bound(own, at, stop, place)
        if at < stop and own[at] == place:
            found[0, n_found], found[1, n_found], found[2, n_found] = i, number, at
            n_found += 1
    return n_found


@njit(nogil=True, cache=True)
def postings_of(places, wanted):  # type: ignore[no-untyped-def]
    """Find the postings of some documents.

    Long lists are searched. Short ones are gone through, with a small table that tells of most
    documents that they are not wanted.

    Parameters
    ----------
    places : tuple
        The documents of the lists (see `kernels.places`).
    wanted : ndarray of int64 [documents]
        Ascending.

    Returns
    -------
    ndarray of int64 [3, found]
        Where in `wanted`, list, and number of each posting, list by list.
    """
    size = 1 << 12
    while size < _SPARSENESS * wanted.size:
        size <<= 1
    last = np.uint32(size - 1)
    likely = np.zeros(size, np.bool_)
    for row in wanted:
        likely[np.uint32(row) & last] = True
    most = _SEARCH_STEPS * wanted.size
    rows = np.empty(min(most, (places[3].shape[1] - 1) * WINDOW), np.uint32)
    found = np.empty((3, 256 * (wanted.size + 1)), np.int64)
    n_found = 0
    for number in range(places[0].size - 1):
        # No list names a document twice, unless a file was damaged, which must not damage the
        # process.
        if n_found + wanted.size > found.shape[1]:
            larger = np.empty((3, 2 * (found.shape[1] + wanted.size)), np.int64)
            larger[:, :n_found] = found[:, :n_found]
            found = larger
        located = locate(places, number)
        if located[1] - located[0] > most:
            n_found = _search_list(places, number, wanted, found, n_found)
            continue
        for i in range(unpack_rows(places, number, rows)):
            if likely[rows[i] & last]:
                which = np.searchsorted(wanted, np.int64(rows[i]))
                is_wanted = which < wanted.size and wanted[which] == rows[i]
                if is_wanted and n_found < found.shape[1]:
                    at = located[0] + i
                    found[0, n_found], found[1, n_found], found[2, n_found] = which, number, at
                    n_found += 1
    return found[:, :n_found]


@inner
def _compared(data, start, stop, others, first, last):  # type: ignore[no-untyped-def]
    """Return -1, 0 or 1 as one string of bytes comes before another, is it, or comes after it."""
    for i in range(min(stop - start, last - first)):
        if data[start + i] != others[first + i]:
            return -1 if data[start + i] < others[first + i] else 1
    return np.sign((stop - start) - (last - first))


@njit(nogil=True, cache=True)
def find_strings(data, offsets, wanted, wanted_offsets, places):  # type: ignore[no-untyped-def]
    """Find strings among sorted ones.

    Parameters
    ----------
    data : ndarray of uint8
        The sorted strings, one after the other in UTF-8: it keeps the order of characters.
    offsets : ndarray of int64 [strings + 1]
        Where each starts, and the last one ends.
    wanted, wanted_offsets : ndarray
        The strings to find, in the same form.
    places : ndarray of int64 [wanted]
        Filled in place: which of the sorted strings each is, -1 where it is none.
    """
    for i in range(places.size):
        first, last = wanted_offsets[i], wanted_offsets[i + 1]
        low, high = 0, offsets.size - 1
        places[i] = -1
        while low < high:
            middle = (low + high) // 2
            # Within the data, unless a file was damaged, which must not damage the process.
            stop = max(min(offsets[middle + 1], data.size), 0)
            start = min(max(offsets[middle], 0), stop)
            order = _compared(data, start, stop, wanted, first, last)
            if order == 0:
                places[i] = middle
                break
            if order < 0:
                low = middle + 1
            else:
                high = middle
