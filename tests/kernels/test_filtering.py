"""Documents that may not be returned: clearing their sums, and passing over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels.filtering import clear_others, next_allowed


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


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 600)), max_size=6),
    st.integers(0, 2000),
    st.integers(0, 2000),
)
def test_the_next_allowed_document(runs, first, stop):
    allowed = np.repeat([kind for kind, _ in runs], [size for _, size in runs]).astype(bool)
    stop = min(stop, allowed.size)
    if allowed.size == 0:
        assert next_allowed(allowed, first, stop) == first
        return
    first = min(first, stop)
    found = first + np.flatnonzero(allowed[first:stop])
    assert next_allowed(allowed, first, stop) == (found[0] if found.size else stop)
