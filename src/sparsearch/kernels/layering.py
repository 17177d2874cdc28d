"""Documents' weights made codes, and their postings term by term, strong and weak apart.

Searches find documents in the lists and score them in full from the forward index. The *strong*
postings are the heaviest of every document: approximate search looks at no others. Pruning
documents by their mass is that of SINDI (Li et al., 2025); a threshold relative to each document's
own weights needs no sorting and does not depend on other documents.

- Entries and the forward index, which is made of them, are those of `kernels.rows`.
- Layered lists are ``(offsets, places, codes, starts, tops)``. The strong postings of term ``i`` of
  n are list ``i``, its weak ones list ``n + i``. int64 [2 n + 1]; the document's place in its
  window of `LIST_WINDOW` documents, uint16; the upper 8 bits of its code, uint8 [strong postings];
  where in the list each window starts, uint32 [2 n, windows + 1]; the largest of the list's codes,
  uint8 [2 n]. Of weak postings only the level is known, which quarter of the codes up to the list's
  largest the code lies in (see `level_top`): it stands in the two upper bits of the place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.lists import LOW_BITS

__all__ = [
    "LEVELS",
    "LIST_WINDOW",
    "PLACE_BITS",
    "STRONG_SHARE",
    "add_up_counts",
    "count_layers",
    "fill_layers",
    "level_top",
    "quantise",
    "raise_largest",
    "upper_shift",
]

PLACE_BITS = 14
"""Bits of a place in a window. A weak posting has the level of its code in those above."""

LIST_WINDOW = 1 << PLACE_BITS
"""Documents to a window: accumulators of 16 bits fit a first-level cache, those of 32 bits a
second-level one. Part of the file format."""

LEVELS = 1 << (16 - PLACE_BITS)

STRONG_SHARE = 0.8
"""A posting is strong if it weighs at least this share of the mean weight of a unit of mass, which
is ``sum(w * w) / sum(w)`` over the document. For exponentially distributed weights, as those of
SPLADE are, a fifth of the postings are, and they hold half of the mass."""


def upper_shift(codes: npt.NDArray[np.unsignedinteger[Any]]) -> int:
    """Return by how many bits such codes are shifted to fit the 8 bits they have in lists."""
    return 0 if codes.dtype == np.uint8 else LOW_BITS


@njit(nogil=True, cache=True)
def raise_largest(term_ids, weights, largest):  # type: ignore[no-untyped-def]
    """Raise the largest weight known of each term, in place, to what some postings have.

    Parameters
    ----------
    term_ids : ndarray of uint32 [postings]
    weights : ndarray of float32 [postings]
    largest : ndarray of float32 [terms]
    """
    for i in range(term_ids.size):
        largest[term_ids[i]] = max(largest[term_ids[i]], weights[i])


@njit(nogil=True, cache=True)
def quantise(entries, places, scales, max_code, numbers, codes):  # type: ignore[no-untyped-def]
    """Write postings as list and code: weights rounded down to whole steps, but one at least.

    Parameters
    ----------
    entries : tuple of (term_ids, weights)
        uint32 and float32 [postings].
    places : ndarray of the dtype of `numbers` [terms]
        The number of each term's list.
    scales : ndarray of float32 [lists]
        What one step of a code is worth: powers of two.
    max_code : int
    numbers, codes : ndarray [postings]
        Filled in place.
    """
    term_ids, weights = entries
    steps = np.float32(1) / scales
    for i in range(term_ids.size):
        number = places[term_ids[i]]
        numbers[i] = number
        codes[i] = min(max(np.int64(weights[i] * steps[number]), 1), max_code)


@njit(nogil=True, cache=True)
def _threshold(numbers, codes, scales):  # type: ignore[no-untyped-def]
    """Return the weight from which a document's postings are strong."""
    mass = 0.0
    squares = 0.0
    for i in range(numbers.size):
        weight = np.float64(codes[i]) * np.float64(scales[numbers[i]])
        mass += weight
        squares += weight * weight
    return STRONG_SHARE * squares / mass if mass > 0 else 0.0


@inner
def level_top(level, top):  # type: ignore[no-untyped-def]
    """Return the largest code of a level, 0 to 3, of a list whose largest code is ``top``."""
    return ((level + 1) * np.int64(top) + LEVELS - 1) // LEVELS


@inner
def _upper(code, shift):  # type: ignore[no-untyped-def]
    """Return the upper bits of a code; what is left of a small one must still count as present."""
    return np.uint8(max(np.int64(code) >> shift, 1))


@njit(nogil=True, cache=True)
def count_layers(entries, layering, windows, starts, tops):  # type: ignore[no-untyped-def]
    """Count the postings of each list in some windows of documents, and find their largest codes.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    layering : tuple of (scales, thresholds, shift)
        What one step of a code is worth, float32 [lists]; the weight from which a document's
        postings are strong, float64 [documents], filled in place for these windows; by how many
        bits codes are shifted to fit the lists, as `upper_shift` returns.
    windows : tuple of (first, stop)
    starts : ndarray of uint32 [2 lists, windows + 1]
        Column ``i + 1`` is filled in place with how many postings each layered list has in window
        ``i``.
    tops : ndarray of uint8 [2 lists]
        Raised in place to the largest codes.
    """
    offsets, numbers, codes = entries
    scales, thresholds, shift = layering
    n_lists, n_rows = scales.size, offsets.size - 1
    # Of its own, because a column of a large array takes a cache line for each count.
    counts = np.empty(2 * n_lists, np.uint32)
    for window in range(windows[0], windows[1]):
        counts[:] = 0
        first = window * LIST_WINDOW
        for row in range(first, min(first + LIST_WINDOW, n_rows)):
            part = slice(offsets[row], offsets[row + 1])
            thresholds[row] = _threshold(numbers[part], codes[part], scales)
            for i in range(offsets[row], offsets[row + 1]):
                number = np.int64(numbers[i])
                weak = np.float64(codes[i]) * np.float64(scales[number]) < thresholds[row]
                number += weak * n_lists
                counts[number] += 1
                tops[number] = max(tops[number], _upper(codes[i], shift))
        for number in range(2 * n_lists):  # an assignment to the column takes 2 s to compile
            starts[number, window + 1] = counts[number]


@njit(nogil=True, cache=True)
def add_up_counts(starts):  # type: ignore[no-untyped-def]
    """Turn counts, as `count_layers` leaves them, into starts; return the lists' offsets."""
    n_windows = starts.shape[1] - 1
    offsets = np.zeros(starts.shape[0] + 1, np.int64)
    for number in range(starts.shape[0]):
        for window in range(n_windows):
            starts[number, window + 1] += starts[number, window]
        offsets[number + 1] = offsets[number] + starts[number, n_windows]
    return offsets


@njit(nogil=True, cache=True)
def _sort_window(entries, layering, window, starts, buffers):  # type: ignore[no-untyped-def]
    """Sort a window's postings by list into buffers; leave in ``ends`` where each list ends."""
    offsets, numbers, codes = entries
    scales, thresholds, shift = layering
    ends, sorted_places, sorted_codes = buffers
    n_lists = scales.size
    count = np.uint32(0)
    for number in range(2 * n_lists):
        ends[number] = count
        count += starts[number, window + 1] - starts[number, window]
    first = window * LIST_WINDOW
    for row in range(first, min(first + LIST_WINDOW, offsets.size - 1)):
        for i in range(offsets[row], offsets[row + 1]):
            number = np.int64(numbers[i])
            weak = np.float64(codes[i]) * np.float64(scales[number]) < thresholds[row]
            number += weak * n_lists
            at = ends[number]
            sorted_places[at] = row - first
            sorted_codes[at] = _upper(codes[i], shift)
            ends[number] = at + 1


@inner
def _add_level(place, code, top):  # type: ignore[no-untyped-def]
    """Return a place with the level of a code in the bits above."""
    level = 0
    for i in range(LEVELS - 1):
        level += code > level_top(i, top)
    return np.uint16(place | level << PLACE_BITS)


@njit(nogil=True, cache=True)
def fill_layers(entries, layering, windows, lists):  # type: ignore[no-untyped-def]
    """Write the postings of some windows of documents into the layered lists.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    layering, windows
        As `count_layers` leaves them, and for the same windows.
    lists : tuple
        The layered lists. Places and codes are filled in place, the rest is read.
    """
    row_offsets, n_rows = entries[0], entries[0].size - 1
    offsets, places, strong_codes, starts, tops = lists
    largest = 0
    for window in range(windows[0], windows[1]):
        stop = row_offsets[min((window + 1) * LIST_WINDOW, n_rows)]
        largest = max(largest, stop - row_offsets[window * LIST_WINDOW])
    # A window's postings are sorted in a place small enough for a cache, then copied.
    ends = np.empty(tops.size, np.uint32)
    sorted_places, sorted_codes = np.empty(largest, np.uint16), np.empty(largest, np.uint8)
    for window in range(windows[0], windows[1]):
        _sort_window(entries, layering, window, starts, (ends, sorted_places, sorted_codes))
        start = np.int64(0)
        for number in range(tops.size):
            to = offsets[number] + np.int64(starts[number, window]) - start
            end = np.int64(ends[number])
            if number < tops.size // 2:
                for i in range(start, end):
                    places[to + i] = sorted_places[i]
                    strong_codes[to + i] = sorted_codes[i]
            else:
                for i in range(start, end):
                    places[to + i] = _add_level(sorted_places[i], sorted_codes[i], tops[number])
            start = end
