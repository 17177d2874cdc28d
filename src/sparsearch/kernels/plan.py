"""Turning float query weights into integer multipliers.

A stored weight is ``code * scale``, the scale a power of two. A query term's multiplier is
``rint(weight * scale / unit)`` and a score is ``unit * sum(multiplier * code)``. The unit, a power
of two too, is the smallest for which no sum can leave 31 bits. So a score does not depend on the
order of its sum; it differs from the exact inner product of query weights and stored weights by at
most half a unit times the sum of the codes. For a query of t terms that is at most t * 2**-23 with
8-bit codes, and t * 2**-19 with 12-bit codes, of the largest score the query could reach: about
what the codes themselves round away, or less.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["MAX_SUM", "choose_units", "find_terms", "plan_for_one", "set_multipliers"]

MAX_SUM = 2**31 - 1
"""Largest absolute value an accumulator (int32) may reach."""


@njit(nogil=True, cache=True)
def find_terms(terms, scales, query_terms, located, largest_scales):  # type: ignore[no-untyped-def]
    """Find each query term in a segment's sorted terms.

    Parameters
    ----------
    terms : ndarray of uint32 [terms]
    scales : ndarray of float32 [terms]
    query_terms : ndarray of uint32 [n]
    located : ndarray of int64 [n]
        Filled in place: the term's list, or -1.
    largest_scales : ndarray of float64 [n]
        Raised in place to the scales found; after all segments, the largest of each term.
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
        located[i] = -1
        if low < terms.size and terms[low] == term:
            located[i] = low
            largest_scales[i] = max(largest_scales[i], np.float64(scales[low]))


@njit(nogil=True, cache=True)
def choose_units(offsets, weights, largest_scales, max_code, units):  # type: ignore[no-untyped-def]
    """Choose each query's unit: the smallest power of two for which no sum can leave 31 bits.

    Parameters
    ----------
    offsets : ndarray of int64 [queries + 1]
    weights : ndarray of float32 [query terms]
    largest_scales : ndarray of float64 [query terms]
    max_code : int
    units : ndarray of float64 [queries]
        Filled in place.
    """
    for query in range(units.size):
        bound = 0.0
        for i in range(offsets[query], offsets[query + 1]):
            bound += abs(np.float64(weights[i])) * largest_scales[i] * max_code
        # Rounding can raise every multiplier by one; what that can add is kept free.
        room = MAX_SUM - (offsets[query + 1] - offsets[query]) * max_code
        units[query] = 2.0 ** np.ceil(np.log2(bound * (1 + 1e-9) / room)) if bound > 0 else 1.0


@njit(nogil=True, cache=True)
def set_multipliers(offsets, weights, units, scales, located, multipliers):  # type: ignore[no-untyped-def]
    """Turn query weights into integer multipliers for one segment's codes.

    Parameters
    ----------
    offsets, weights, units
        As for `choose_units`.
    scales : ndarray of float32 [terms]
    located : ndarray of int64 [query terms]
    multipliers : ndarray of int64 [query terms]
        Filled in place; never 0 for a term that is there and has a weight.
    """
    for query in range(units.size):
        for i in range(offsets[query], offsets[query + 1]):
            if located[i] < 0:
                multipliers[i] = 0
                continue
            exact = np.float64(weights[i]) * np.float64(scales[located[i]]) / units[query]
            rounded = np.int64(np.rint(exact))
            if rounded == 0:
                rounded = np.int64(np.sign(exact))
            multipliers[i] = rounded


@njit(nogil=True, cache=True)
def plan_for_one(queries, terms_and_scales, max_code, plan):  # type: ignore[no-untyped-def]
    """Plan queries for an index of one segment: one call instead of three.

    Parameters
    ----------
    queries : tuple of (offsets, terms, weights)
    terms_and_scales : tuple of (terms, scales)
    max_code : int
    plan : tuple of (units, located, multipliers)
        Filled in place.
    """
    offsets, query_terms, weights = queries
    terms, scales = terms_and_scales
    units, located, multipliers = plan
    largest_scales = np.zeros(query_terms.size, np.float64)
    find_terms(terms, scales, query_terms, located, largest_scales)
    choose_units(offsets, weights, largest_scales, max_code, units)
    set_multipliers(offsets, weights, units, scales, located, multipliers)
