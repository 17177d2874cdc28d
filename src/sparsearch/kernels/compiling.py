"""How kernels are compiled that only look at arrays and change them.

Numba counts references to arrays by atomic instructions: for a slice, for each array of a tuple
that is taken apart, and often for each array that is passed on. A search of fifty microseconds made
a thousand of them, a tenth of its time, and more where threads share the arrays. A kernel that
makes no array of its own needs no counting, as its caller holds all of them.

Numba compiles a kernel, and all that it calls, once more for each literal integer that another
kernel passes to it. So these pass ``np.int64(0)`` or `ZERO`, and callers in Python arrays that can
be written to, as kernels make them: one variant instead of up to four.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["ZERO", "inner"]

ZERO: Final = np.int64(0)
"""What kernels pass to others instead of a literal 0."""

inner = njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
"""Compiles a kernel without counting references; Numba refuses one that makes an array."""
