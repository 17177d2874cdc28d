"""Sorting the few terms of a query, or the few documents that it found.

Numba's own sorts take seconds to compile. Shell's is as fast up to about 64 entries, short, and
still quick for queries of thousands of terms.
"""

from __future__ import annotations

from sparsearch.kernels.compiling import inner

__all__ = ["sort_ascending", "sort_best_first"]


@inner
def sort_ascending(values, size):  # type: ignore[no-untyped-def]
    """Sort ``values[:size]`` in place."""
    gap = _first_gap(size)
    while gap > 0:
        for i in range(gap, size):
            value, place = values[i], i
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
        gap //= 3


@inner
def sort_best_first(values, order):  # type: ignore[no-untyped-def]
    """Sort values in place, largest first, and the entries of ``order`` with them.

    Where values are equal, the smaller entry comes first.
    """
    gap = _first_gap(values.size)
    while gap > 0:
        for i in range(gap, values.size):
            value, entry, place = values[i], order[i], i
            while place >= gap and _is_behind(values, order, place - gap, value, entry):
                values[place], order[place] = values[place - gap], order[place - gap]
                place -= gap
            values[place], order[place] = value, entry
        gap //= 3


@inner
def _is_behind(values, order, place, value, entry):  # type: ignore[no-untyped-def]
    if values[place] == value:
        return order[place] > entry
    return values[place] < value


@inner
def _first_gap(size):  # type: ignore[no-untyped-def]
    """Return the largest gap to begin with: 1, 4, 13, 40, ... (Knuth)."""
    gap = 1
    while gap < size // 9:
        gap = 3 * gap + 1
    return gap
