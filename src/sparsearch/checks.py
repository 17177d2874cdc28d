"""Checks of single values that callers give."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

__all__ = ["is_whole"]


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether a value is a whole number of at least `least`: Python's own or NumPy's, no bool."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value >= least)  # type: ignore[operator]
