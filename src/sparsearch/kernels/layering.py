"""Documents' weights made codes, and their postings term by term, strong and weak apart.

Searches find documents in the lists and score them in full from the forward index. The *strong*
postings are the heaviest of every document: approximate search looks at no others. Pruning
documents by their mass is that of SINDI (Li et al., 2025); a threshold relative to each document's
own weights needs no sorting and does not depend on other documents.

- Entries and the forward index, which is made of them, are those of `kernels.rows`.
- Layered lists are ``(offsets, places, codes, starts, tops, weak, weak_counts)``. The strong
  postings of term ``i`` of n are list ``i``, its weak ones list ``n + i``. Where each list starts,
  in strong postings and then in bytes of weak ones, int64 [2 n + 1]; of strong postings the place
  in a window of `LIST_WINDOW` documents, uint16, and the upper 8 bits of the code, uint8; where in
  the list each window starts, uint32 [2 n, windows + 1]; the largest of the list's codes, uint8
  [2 n]; the bytes of weak postings, uint8; how many of them each list has, uint32 [n].

Of a weak posting only the level is known, which quarter of the codes up to the list's largest its
code lies in (see `level_top`). Lists come in two forms, whichever is shorter. *Wide* ones have two
bytes a posting, the lower first: the place, and the level in the two upper bits. The others have a
byte: in its lower two bits the level, above them the step from the place before, the first of a
window from 0. A step of `LEADING`, whose level is 0, is no posting; it leads on to a farther one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.lists import LOW_BITS

__all__ = [
    "LEADING",
    "LEVELS",
    "LIST_WINDOW",
    "PLACE_BITS",
    "STRONG_SHARE",
    "count_layers",
    "fill_layers",
    "is_wide",
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

_LEVEL_BITS = 16 - PLACE_BITS
LEVELS = 1 << _LEVEL_BITS

LEADING = (1 << 8 - _LEVEL_BITS) - 1
"""The step in a byte that is no posting. Part of the file format."""

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
def is_wide(n_bytes, count):  # type: ignore[no-untyped-def]
    """Return whether a weak list of so many bytes and postings has two bytes a posting."""
    return n_bytes == 2 * np.int64(count)


@inner
def _upper(code, shift):  # type: ignore[no-untyped-def]
    """Return the upper bits of a code; what is left of a small one must still count as present."""
    return np.uint8(max(np.int64(code) >> shift, 1))


@njit(nogil=True, cache=True)
def count_layers(entries, layering, windows, counts, tops):  # type: ignore[no-untyped-def]
    """Count the postings of each list in some windows of documents, and find their largest codes.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    layering : tuple of (scales, thresholds, shift)
        What one step of a code is worth, float32 [lists]; the weight from which a document's
        postings are strong, float64 [documents], filled in place for these windows; by how many
        bits codes are shifted to fit the lists, as `upper_shift` returns.
    windows : tuple of (first, stop)
    counts : tuple of (postings, leading)
        How many postings each layered list has in each window, uint32 [2 lists, windows], and how
        many steps that are none its weak ones need, uint32 [lists, windows]; filled in place.
    tops : ndarray of uint8 [2 lists]
        Raised in place to the largest codes.
    """
    offsets, numbers, codes = entries
    scales, thresholds, shift = layering
    n_lists, n_rows = scales.size, offsets.size - 1
    postings, leading = counts
    # Of their own, because a column of a large array takes a cache line for each count.
    held = np.empty((3, 2 * n_lists), np.int64)
    own, led, last = held[0], held[1], held[2]
    for window in range(windows[0], windows[1]):
        for number in range(2 * n_lists):
            own[number] = led[number] = last[number] = 0
        first = window * LIST_WINDOW
        for row in range(first, min(first + LIST_WINDOW, n_rows)):
            part = slice(offsets[row], offsets[row + 1])
            thresholds[row] = _threshold(numbers[part], codes[part], scales)
            for i in range(offsets[row], offsets[row + 1]):
                number = np.int64(numbers[i])
                weak = np.float64(codes[i]) * np.float64(scales[number]) < thresholds[row]
                number += weak * n_lists
                own[number] += 1
                led[number] += (row - first - last[number]) // LEADING
                last[number] = row - first
                tops[number] = max(tops[number], _upper(codes[i], shift))
        for number in range(2 * n_lists):  # an assignment to the column takes 2 s to compile
            postings[number, window] = own[number]
        for number in range(n_lists):
            leading[number, window] = led[n_lists + number]


@njit(nogil=True, cache=True)
def _sort_window(entries, layering, window, postings, buffers):  # type: ignore[no-untyped-def]
    """Sort a window's postings by list into buffers; leave in ``ends`` where each list ends."""
    offsets, numbers, codes = entries
    scales, thresholds, shift = layering
    ends, sorted_places, sorted_codes = buffers
    n_lists = scales.size
    count = np.uint32(0)
    for number in range(2 * n_lists):
        ends[number] = count
        count += postings[number, window]
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
def _level(code, top):  # type: ignore[no-untyped-def]
    level = 0
    for i in range(LEVELS - 1):
        level += code > level_top(i, top)
    return level


@inner
def _write_wide(window, top, weak, at):  # type: ignore[no-untyped-def]
    """Write a window's weak postings of a list, two bytes each."""
    places, codes, start, end = window
    for i in range(start, end):
        value = np.int64(places[i]) | _level(codes[i], top) << PLACE_BITS
        weak[at] = value & 255
        weak[at + 1] = value >> 8
        at += 2


@inner
def _write_steps(window, top, weak, at):  # type: ignore[no-untyped-def]
    """Write a window's weak postings of a list as steps, a byte each."""
    places, codes, start, end = window
    before = np.int64(0)
    for i in range(start, end):
        step = np.int64(places[i]) - before
        before += step
        while step >= LEADING:
            weak[at] = LEADING << _LEVEL_BITS
            step -= LEADING
            at += 1
        weak[at] = step << _LEVEL_BITS | _level(codes[i], top)
        at += 1


@njit(nogil=True, cache=True)
def fill_layers(entries, layering, windows, postings, lists):  # type: ignore[no-untyped-def]
    """Write the postings of some windows of documents into the layered lists.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    layering, windows, postings
        As `count_layers` leaves them, and for the same windows.
    lists : tuple
        The layered lists. Places, codes and bytes are filled in place, the rest is read.
    """
    row_offsets, n_rows = entries[0], entries[0].size - 1
    offsets, places, strong_codes, starts, tops, weak, weak_counts = lists
    n_lists = tops.size // 2
    largest = 0
    for window in range(windows[0], windows[1]):
        stop = row_offsets[min((window + 1) * LIST_WINDOW, n_rows)]
        largest = max(largest, stop - row_offsets[window * LIST_WINDOW])
    # A window's postings are sorted in a place small enough for a cache, then copied.
    ends = np.empty(tops.size, np.uint32)
    sorted_places, sorted_codes = np.empty(largest, np.uint16), np.empty(largest, np.uint8)
    for window in range(windows[0], windows[1]):
        _sort_window(entries, layering, window, postings, (ends, sorted_places, sorted_codes))
        start = np.int64(0)
        for number in range(tops.size):
            at = offsets[number] + np.int64(starts[number, window])
            end = np.int64(ends[number])
            own = sorted_places, sorted_codes, start, end
            if number < n_lists:
                for i in range(start, end):
                    places[at + i - start] = sorted_places[i]
                    strong_codes[at + i - start] = sorted_codes[i]
            elif is_wide(offsets[number + 1] - offsets[number], weak_counts[number - n_lists]):
                _write_wide(own, tops[number], weak, at - offsets[n_lists])
            else:
                _write_steps(own, tops[number], weak, at - offsets[n_lists])
            start = end
