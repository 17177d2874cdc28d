"""Clearing the sums of documents that may not be returned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels.filtering import clear_others


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
@given(data=st.data())
def test_only_sums_of_allowed_documents_are_kept(kind, data):
    allowed = np.array(data.draw(st.lists(st.booleans(), max_size=80)), dtype=bool)
    first = data.draw(st.integers(0, allowed.size))
    size = data.draw(st.integers(0, 90))
    largest = min(np.iinfo(kind).max, 10**6)
    values = data.draw(st.lists(st.integers(0, largest), min_size=size, max_size=size))
    sums = np.array(values, dtype=kind)
    clear_others(sums, allowed, first)
    own = allowed[first : first + size]
    expected = np.array(values, dtype=kind)
    expected[: own.size][~own] = 0  # all others lie beyond the segment's end, and hold nothing
    np.testing.assert_array_equal(sums, expected)
