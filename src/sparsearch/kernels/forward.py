"""A segment's vectors document by document, and its strong postings term by term.

Approximate search finds candidates in the *strong lists*, which hold the heaviest postings of every
document, and scores them in full from the *forward index*. Pruning documents by their mass is that
of SINDI (Li et al., 2025); a threshold relative to each document's own weights needs no sorting and
does not depend on other documents.

- A forward index is ``(offsets, lists, codes)``: int64 [documents + 1]; the number of each
  posting's list, ascending within a document, uint16 or uint32; its code, uint8 or uint16.
- Strong lists are ``(offsets, places, codes, starts)``: int64 [lists + 1]; the document's place in
  its window of `STRONG_WINDOW` documents, uint16; the upper 8 bits of its code, uint8; where in the
  list each window starts, uint32 [lists, windows + 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.lists import LOW_BITS

__all__ = ["STRONG_SHARE", "STRONG_WINDOW", "strong_lists", "strong_shift"]

STRONG_WINDOW = 8192
"""Documents to a window, whose accumulators (uint16) fit the first-level cache with room to spare.
Part of the file format."""

STRONG_SHARE = 0.8
"""A posting is strong if it weighs at least this share of the mean weight of a unit of mass, which
is ``sum(w * w) / sum(w)`` over the document. For exponentially distributed weights, as those of
SPLADE are, a fifth of the postings are, and they hold half of the mass."""


def strong_shift(codes: npt.NDArray[np.unsignedinteger[Any]]) -> int:
    """Return by how many bits such codes are shifted to fit the 8 bits of a strong one."""
    return 0 if codes.dtype == np.uint8 else LOW_BITS


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
def strong_lists(forward, scales, shift):  # type: ignore[no-untyped-def]
    """Gather the strong postings of all documents.

    Parameters
    ----------
    forward : tuple
        The forward index.
    scales : ndarray of float32 [lists]
        What one step of a code is worth.
    shift : int
        As `strong_shift` returns.

    Returns
    -------
    tuple
        The strong lists.
    """
    forward_offsets, numbers, codes = forward
    n_rows = forward_offsets.size - 1
    n_windows = (n_rows + STRONG_WINDOW - 1) // STRONG_WINDOW
    thresholds = np.empty(n_rows, np.float64)
    starts = np.zeros((scales.size, n_windows + 1), np.uint32)
    for row in range(n_rows):
        part = slice(forward_offsets[row], forward_offsets[row + 1])
        thresholds[row] = _threshold(numbers[part], codes[part], scales)
        for i in range(forward_offsets[row], forward_offsets[row + 1]):
            weight = np.float64(codes[i]) * np.float64(scales[numbers[i]])
            if weight >= thresholds[row]:
                starts[numbers[i], row // STRONG_WINDOW + 1] += 1
    offsets = np.zeros(scales.size + 1, np.int64)
    for number in range(scales.size):
        for window in range(n_windows):
            starts[number, window + 1] += starts[number, window]
        offsets[number + 1] = offsets[number] + starts[number, n_windows]
    ends = offsets[:-1].copy()
    places = np.empty(offsets[-1], np.uint16)
    strong_codes = np.empty(offsets[-1], np.uint8)
    for row in range(n_rows):
        for i in range(forward_offsets[row], forward_offsets[row + 1]):
            weight = np.float64(codes[i]) * np.float64(scales[numbers[i]])
            if weight >= thresholds[row]:
                at = ends[numbers[i]]
                places[at] = row % STRONG_WINDOW
                # What is left of a small code after the shift must still count as present.
                strong_codes[at] = max(np.int64(codes[i]) >> shift, 1)
                ends[numbers[i]] = at + 1
    return offsets, places, strong_codes, starts
