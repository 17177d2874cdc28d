"""Machine instructions do what NumPy does."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from sparsearch.kernels import reference
from sparsearch.kernels.intrinsics import LANES, ROWS, above_in_block, above_in_row, lowest_bit

BLOCK = LANES * ROWS
SUMS = st.sampled_from([-(2**31), -5, 0, 1, 2, 3, 2**31 - 1]) | st.integers(0, 9)


@njit
def in_block(sums, start, bounds, at, bar):  # type: ignore[no-untyped-def]
    return above_in_block(sums, start, bounds, at, bar)


@njit
def in_row(sums, start, bounds, at, bar):  # type: ignore[no-untyped-def]
    return above_in_row(sums, start, bounds, at, bar)


@njit
def lowest(mask):  # type: ignore[no-untyped-def]
    return lowest_bit(mask)


@given(
    st.lists(SUMS, min_size=BLOCK, max_size=BLOCK),
    st.lists(st.integers(0, 4), min_size=LANES, max_size=LANES),
    st.sampled_from([-7, 0, 1, 3, 2**31 - 1]),
    st.integers(0, 3),
)
def test_sums_above_a_bar(sums: list[int], bounds: list[int], bar: int, shift: int) -> None:
    """At any place: vectors need not be aligned."""
    filler = [9] * shift
    above, limits = np.array(filler + sums, np.int32), np.array(filler + bounds, np.int32)
    arguments = above, shift, limits, shift, np.int32(bar)
    assert in_block(*arguments) == reference.above_in_block(*arguments, LANES, ROWS)
    assert in_row(*arguments) == reference.above_in_block(*arguments, LANES, 1)


@given(st.integers(1, 2**64 - 1))
def test_lowest_bit(mask: int) -> None:
    assert lowest(np.uint64(mask)) == (mask & -mask).bit_length() - 1
