"""Looking through accumulators with vector instructions, and clearing them.

In most stretches of documents no sum is high enough to be looked at. LLVM turns these loops into
vector instructions only if it knows that no index is negative, which Numba would count from the
end; hence the unsigned ones.
"""

from __future__ import annotations

import numpy as np

from sparsearch.kernels.compiling import inner

__all__ = ["clear", "largest"]


@inner
def largest(sums, start, stop):  # type: ignore[no-untyped-def]
    """Return the largest of the sums ``start .. stop - 1``, none of which is negative."""
    found = sums.dtype.type(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        found = max(found, sums[i])
    return found


@inner
def clear(sums, start, stop):  # type: ignore[no-untyped-def]
    """Set the sums ``start .. stop - 1`` to zero.

    A kilobyte at a time: much more becomes a call of memset, which in a window of 16 KiB takes
    twice as long.
    """
    for i in range(np.uint64(start), np.uint64(stop)):
        sums[i] = 0
