"""Searching an index of one segment: from query vectors to documents in one call.

A call from Python to a kernel costs about a microsecond, and some more for every array that is
passed, while a short query takes as little as thirty. So everything that a search of one segment
takes is called from here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.approximate import search_candidates
from sparsearch.kernels.compiling import ZERO
from sparsearch.kernels.exact import search_segment
from sparsearch.kernels.layers import search_layers, set_thresholds
from sparsearch.kernels.plan import plan_for_one
from sparsearch.kernels.topk import sort_keys, unpack

__all__ = ["search_one_counted", "search_one_segment"]


@njit(nogil=True, cache=True)
def _search_exactly(segment, allowed, first, queries, tops, scratch, start, stop):  # type: ignore[no-untyped-def]
    _, _, lists, max_codes, forward = segment
    strong = lists, max_codes
    search_candidates(strong, forward, allowed, queries, first, tops, scratch, start, stop)
    set_thresholds(tops)
    search_layers((lists, forward), allowed, ZERO, queries, tops, scratch, start, stop)


@njit(nogil=True, cache=True)
def _search_approximately(segment, allowed, efforts, queries, tops, scratch, n):  # type: ignore[no-untyped-def]
    _, _, lists, max_codes, forward = segment
    walk, first = efforts
    keys, sizes, thresholds = tops
    strong = lists, max_codes
    search_candidates(strong, forward, allowed, queries, walk, tops, scratch, ZERO, n)
    for i in range(n):
        # Whatever was missed, k documents are returned where there are as many.
        if sizes[i] < keys.shape[1] // 2:
            sizes[i] = thresholds[i] = 0
            top = keys[i : i + 1], sizes[i : i + 1], thresholds[i : i + 1]
            _search_exactly(segment, allowed, first, queries, top, scratch, i, i + 1)


@njit(nogil=True, cache=True)
def _plan(vectors, terms_and_scales, max_code, start, stop):  # type: ignore[no-untyped-def]
    """Return queries ``start .. stop - 1`` as kernels take them, and their units."""
    offsets, terms, weights = vectors
    low, high = offsets[start], offsets[stop]
    own = offsets[start : stop + 1] - low, terms[low:high], weights[low:high]
    units = np.empty(stop - start, np.float64)
    located, multipliers = np.empty(high - low, np.int64), np.empty(high - low, np.int64)
    plan_for_one(own, terms_and_scales, max_code, (units, located, multipliers))
    return (own[0], located, multipliers), units


@njit(nogil=True, cache=True)
def _unpack(tops, units, found, start, stop):  # type: ignore[no-untyped-def]
    keys, sizes, _ = tops
    sort_keys(keys, sizes)
    unpack(keys, sizes, units, (found[0][start:stop], found[1][start:stop], found[2][start:stop]))


@njit(nogil=True, cache=True)
def search_one_segment(vectors, segment, allowed, settings, found, scratch, start, stop):  # type: ignore[no-untyped-def]
    """Find the top k of queries ``start .. stop - 1``.

    Parameters
    ----------
    vectors : tuple of (offsets, terms, weights)
        Of all queries.
    segment : tuple of (terms, scales, lists, max_codes, forward)
        The term of each list, what a step of its codes is worth, the layered lists, the largest
        code of each term, and the forward index.
    allowed : ndarray of bool [documents] or [0]
        Documents that may be returned; empty when all may.
    settings : tuple of (max_code, walk, first)
        The largest code of a posting; effort of an approximate search, as `search_candidates`
        takes it, with no candidates for an exact one; effort of the approximate search that gives
        exact search a score to beat.
    found : tuple of (documents, scores, counts)
        As for `kernels.topk.unpack`, k at least 1.
    scratch : tuple of (sums, weights)
        As for `kernels.approximate.gather_candidates`.
    start, stop : int
    """
    terms, scales, _, _, _ = segment
    max_code, walk, first = settings
    n = stop - start
    queries, units = _plan(vectors, (terms, scales), max_code, start, stop)
    keys = np.empty((n, 2 * found[0].shape[1]), np.int64)
    tops = keys, np.zeros(n, np.int64), np.zeros(n, np.int64)
    if walk[1] == 0:
        _search_exactly(segment, allowed, first, queries, tops, scratch, ZERO, n)
    else:
        _search_approximately(segment, allowed, (walk, first), queries, tops, scratch, n)
    _unpack(tops, units, found, start, stop)


@njit(nogil=True, cache=True)
def search_one_counted(vectors, segment, allowed, settings, found, start, stop):  # type: ignore[no-untyped-def]
    """Find the top k of queries ``start .. stop - 1`` in a segment of a saturating encoder.

    Parameters
    ----------
    vectors, allowed, found, start, stop
        As for `search_one_segment`.
    segment : tuple of (terms, scales, lists)
        The term of each list, what a step of its codes is worth, and the lists as
        `kernels.exact.search_segment` takes them.
    settings : tuple of (max_code, n_rows)
        The largest code of a posting, and how many documents the segment has.
    """
    terms, scales, lists = segment
    max_code, n_rows = settings
    n = stop - start
    queries, units = _plan(vectors, (terms, scales), max_code, start, stop)
    keys = np.empty((n, 2 * found[0].shape[1]), np.int64)
    tops = keys, np.zeros(n, np.int64), np.zeros(n, np.int64)
    search_segment(lists, allowed, n_rows, ZERO, queries, tops, ZERO, n)
    _unpack(tops, units, found, start, stop)
