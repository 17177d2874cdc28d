"""Documents that a filter or a deletion leaves out of a search."""

from __future__ import annotations

import numpy as np

from sparsearch.kernels.compiling import inner

__all__ = ["BLOCKED", "block_others", "clear_others", "next_allowed"]

BLOCKED = np.int32(-(2**31))
"""The sum of a document that may not be returned; no bar is as low."""

_STRIDE = 256
"""Documents that are looked at together, in vector instructions."""


@inner
def next_allowed(allowed, first, stop):  # type: ignore[no-untyped-def]
    """Return the first of documents ``first .. stop - 1`` that may be returned, else ``stop``.

    Filters often leave documents that were added one after another: all of a source, all before a
    date. The windows of documents in between need not be looked at.

    Parameters
    ----------
    allowed : ndarray of bool [segment's documents] or [0]
        As for `clear_others`.
    first, stop : int
    """
    if allowed.size == 0:
        return first
    while first < stop:
        end = min(first + _STRIDE, stop)
        any_allowed = False
        for i in range(np.uint64(first), np.uint64(end)):
            any_allowed |= allowed[i]
        if any_allowed:
            break
        first = end
    while first < stop and not allowed[first]:
        first += 1
    return first


@inner
def clear_others(accumulators, allowed, first):  # type: ignore[no-untyped-def]
    """Clear the sums of documents that may not be returned.

    A filter that leaves few documents leaves a low score to beat, which many others exceed: looked
    at one by one, they would take longer than all else.

    Parameters
    ----------
    accumulators : ndarray of uint16 [documents]
        Changed in place.
    allowed : ndarray of bool [segment's documents] or [0]
        Documents that may be returned; empty when all may.
    first : int
        The segment's document that ``accumulators[0]`` belongs to.
    """
    number = accumulators.dtype.type
    own = allowed[first : first + accumulators.size]
    # Written so that it becomes vector instructions.
    for i in range(own.size):
        accumulators[i] *= number(own[i])


@inner
def block_others(sums, start, stop, allowed, first):  # type: ignore[no-untyped-def]
    """Set the sums of documents that may not be returned to `BLOCKED`.

    Parameters
    ----------
    sums : ndarray of int32
        Of which ``start .. stop - 1`` are changed in place.
    start, stop : int
    allowed : ndarray of bool [segment's documents] or [0]
        As for `clear_others`.
    first : int
        The segment's document that ``sums[start]`` belongs to.
    """
    if allowed.size == 0:
        return
    low, at = np.uint64(start), np.uint64(first)
    for i in range(np.uint64(stop - start)):
        sums[low + i] = sums[low + i] if allowed[at + i] else BLOCKED
