"""A segment's vectors document by document, and its postings term by term, strong and weak apart.

Searches find documents in the lists and score them in full from the forward index. The *strong*
postings are the heaviest of every document: approximate search looks at no others. Pruning
documents by their mass is that of SINDI (Li et al., 2025); a threshold relative to each document's
own weights needs no sorting and does not depend on other documents.

- A forward index is ``(offsets, lists, codes)``: int64 [documents + 1]; the number of each
  posting's list, ascending within a document, uint16 or uint32; its code, uint8 or uint16.
- Layered lists are ``(offsets, places, codes, starts, tops)``. The strong postings of term ``i`` of
  n are list ``i``, its weak ones list ``n + i``. int64 [2 n + 1]; the document's place in its
  window of `LIST_WINDOW` documents, uint16; the upper 8 bits of its code, uint8; where in the list
  each window starts, uint32 [2 n, windows + 1]; the largest of the list's codes, uint8 [2 n].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.lists import LOW_BITS

__all__ = [
    "LIST_WINDOW",
    "STRONG_SHARE",
    "largest_weights",
    "layered_lists",
    "quantise",
    "upper_shift",
]

LIST_WINDOW = 16384
"""Documents to a window: accumulators of 16 bits fit a first-level cache, those of 32 bits a
second-level one. Part of the file format."""

STRONG_SHARE = 0.8
"""A posting is strong if it weighs at least this share of the mean weight of a unit of mass, which
is ``sum(w * w) / sum(w)`` over the document. For exponentially distributed weights, as those of
SPLADE are, a fifth of the postings are, and they hold half of the mass."""


def upper_shift(codes: npt.NDArray[np.unsignedinteger[Any]]) -> int:
    """Return by how many bits such codes are shifted to fit the 8 bits they have in lists."""
    return 0 if codes.dtype == np.uint8 else LOW_BITS


@njit(nogil=True, cache=True)
def largest_weights(numbers, weights, n_lists):  # type: ignore[no-untyped-def]
    """Return the largest weight of each list, 0 where it has none: float32 [n_lists]."""
    largest = np.zeros(n_lists, np.float32)
    for i in range(numbers.size):
        largest[numbers[i]] = max(largest[numbers[i]], weights[i])
    return largest


@njit(nogil=True, cache=True)
def quantise(numbers, weights, scales, max_code, codes):  # type: ignore[no-untyped-def]
    """Round weights down to whole steps of their lists' scales, but to one step at least.

    Parameters
    ----------
    numbers : ndarray of uint16 or uint32 [postings]
    weights : ndarray of float32 [postings]
    scales : ndarray of float32 [lists]
        Powers of two.
    max_code : int
    codes : ndarray of uint8 or uint16 [postings]
        Filled in place.

    Returns
    -------
    ndarray [lists]
        The largest code of each list.
    """
    steps = np.float32(1) / scales
    max_codes = np.zeros(scales.size, codes.dtype)
    for i in range(numbers.size):
        code = np.int64(weights[i] * steps[numbers[i]])
        codes[i] = min(max(code, 1), max_code)
        max_codes[numbers[i]] = max(max_codes[numbers[i]], codes[i])
    return max_codes


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


@njit(nogil=True, cache=True)
def layered_lists(forward, scales, shift):  # type: ignore[no-untyped-def]
    """Invert a forward index, strong and weak postings apart.

    Parameters
    ----------
    forward : tuple
        The forward index.
    scales : ndarray of float32 [lists]
        What one step of a code is worth.
    shift : int
        As `upper_shift` returns.

    Returns
    -------
    tuple
        The layered lists.
    """
    forward_offsets, numbers, codes = forward
    n_rows, n_lists = forward_offsets.size - 1, scales.size
    n_windows = (n_rows + LIST_WINDOW - 1) // LIST_WINDOW
    thresholds = np.empty(n_rows, np.float64)
    starts = np.zeros((2 * n_lists, n_windows + 1), np.uint32)
    for row in range(n_rows):
        part = slice(forward_offsets[row], forward_offsets[row + 1])
        thresholds[row] = _threshold(numbers[part], codes[part], scales)
        for i in range(forward_offsets[row], forward_offsets[row + 1]):
            number = np.int64(numbers[i])
            weak = np.float64(codes[i]) * np.float64(scales[number]) < thresholds[row]
            starts[number + weak * n_lists, row // LIST_WINDOW + 1] += 1
    offsets = np.zeros(2 * n_lists + 1, np.int64)
    for number in range(2 * n_lists):
        for window in range(n_windows):
            starts[number, window + 1] += starts[number, window]
        offsets[number + 1] = offsets[number] + starts[number, n_windows]
    ends = offsets[:-1].copy()
    places = np.empty(codes.size, np.uint16)
    upper_codes = np.empty(codes.size, np.uint8)
    tops = np.zeros(2 * n_lists, np.uint8)
    for row in range(n_rows):
        for i in range(forward_offsets[row], forward_offsets[row + 1]):
            number = np.int64(numbers[i])
            weak = np.float64(codes[i]) * np.float64(scales[number]) < thresholds[row]
            number += weak * n_lists
            at = ends[number]
            places[at] = row % LIST_WINDOW
            # What is left of a small code after the shift must still count as present.
            upper_codes[at] = max(np.int64(codes[i]) >> shift, 1)
            tops[number] = max(tops[number], upper_codes[at])
            ends[number] = at + 1
    return offsets, places, upper_codes, starts, tops
