"""The small sorts equal Python's, ties included."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels.sorting import sort_ascending, sort_best_first

keys = st.lists(st.integers(0, 3) | st.integers(0, 2**62), max_size=200)
bounds = st.lists(st.integers(0, 3) | st.floats(0, 1e30), max_size=200)


@given(keys, st.integers(0, 200))
def test_only_the_values_asked_for_are_sorted(values: list[int], size: int) -> None:
    array, size = np.array(values, np.int64), min(size, len(values))
    sort_ascending(array, size)
    assert array.tolist() == [*sorted(values[:size]), *values[size:]]


@given(bounds)
def test_the_largest_come_first_and_equal_ones_in_order(values: list[float]) -> None:
    array, order = np.array(values, np.float64), np.arange(len(values))
    expected = np.argsort(-array, kind="stable").tolist()
    sort_best_first(array, order)
    assert order.tolist() == expected
    assert array.tolist() == [values[i] for i in expected]
