"""Documents that a filter or a deletion leaves out of a search."""

from __future__ import annotations

from numba import njit

__all__ = ["clear_others"]


@njit(nogil=True, cache=True)
def clear_others(accumulators, allowed, first):  # type: ignore[no-untyped-def]
    """Clear the sums of documents that may not be returned.

    A filter that leaves few documents leaves a low score to beat, which many others exceed: looked
    at one by one, they would take longer than all else.

    Parameters
    ----------
    accumulators : ndarray of uint16 or int32 [documents]
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
