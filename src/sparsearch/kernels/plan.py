"""Turning float query weights into integer multipliers.

A stored weight is ``code * scale``, the scale a power of two. A query term's multiplier is
``rint(weight * scale / unit)`` and a score is ``unit * sum(multiplier * code)``. The unit, a power
of two too, is the smallest for which no sum can leave 31 bits, so scores carry about 2**-30 of the
query's upper bound as rounding: as good as float32 sums, but independent of their order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["MAX_SUM", "find_terms", "raise_scales"]

MAX_SUM = 2**31 - 1
"""Largest absolute value an accumulator (int32) may reach."""


@njit(nogil=True, cache=True)
def find_terms(terms, query_terms, located):  # type: ignore[no-untyped-def]
    """Find each query term in a segment's sorted terms; -1 where it is absent.

    Parameters
    ----------
    terms : ndarray of uint32 [terms]
    query_terms : ndarray of uint32 [n]
    located : ndarray of int64 [n]
        Filled in place.
    """
    for i in range(query_terms.size):
        term = query_terms[i]
        low = 0
        high = terms.size
        while low < high:
            middle = (low + high) // 2
            if terms[middle] < term:
                low = middle + 1
            else:
                high = middle
        located[i] = low if low < terms.size and terms[low] == term else -1


@njit(nogil=True, cache=True)
def raise_scales(scales, located, largest):  # type: ignore[no-untyped-def]
    """Raise ``largest`` to the scales of the lists found; the maximum over segments results."""
    for i in range(located.size):
        if located[i] >= 0:
            largest[i] = max(largest[i], np.float64(scales[located[i]]))
