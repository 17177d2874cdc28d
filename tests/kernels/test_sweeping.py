"""Looking through sums and clearing them, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparsearch.kernels.sweeping import clear, largest


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
@given(data=st.data())
def test_stretches(dtype: type, data: st.DataObject) -> None:
    most = np.iinfo(dtype).max
    sums = data.draw(hnp.arrays(dtype, st.integers(0, 700), elements=st.integers(0, most)))
    start = data.draw(st.integers(0, len(sums)))
    stop = data.draw(st.integers(start, len(sums)))
    assert largest(sums, start, stop) == sums[start:stop].max(initial=0)
    expected = sums.copy()
    expected[start:stop] = 0
    clear(sums, start, stop)
    np.testing.assert_array_equal(sums, expected)
