"""Places in flat arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["places_of"]


def places_of(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of stretches ``start .. start + size - 1``, one after the other: int64."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + sizes, sizes)
