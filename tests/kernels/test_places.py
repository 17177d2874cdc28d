"""What is stored of a posting list's documents, against the documents themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from kernel_cases import places

from sparsearch.kernels import reference
from sparsearch.kernels.places import WINDOW, find_posting, unpack_rows

N_ROWS = 3 * WINDOW - 5
LONG = 128
"""Postings of a list that is long in a segment of few windows."""

near_edges = st.sampled_from([0, WINDOW - 1, WINDOW, 2 * WINDOW - 1, 2 * WINDOW, N_ROWS - 1])
some_rows = st.lists(near_edges | st.integers(0, N_ROWS - 1), max_size=12)
long_rows = st.builds(
    lambda first, step: list(range(first, N_ROWS, step)),
    st.integers(0, WINDOW),
    st.sampled_from([1, 7, WINDOW // LONG]),
)


@given(st.lists(some_rows | long_rows, max_size=6), st.integers(0, N_ROWS - 1))
@example([[WINDOW] * LONG, [0], list(range(2 * WINDOW, 2 * WINDOW + LONG - 1))], WINDOW)
def test_rows_come_back(lists: list[list[int]], row: int) -> None:
    expected = [sorted(set(rows)) for rows in lists]
    offsets = np.cumsum([0, *map(len, expected)])
    rows = np.array([row for each in expected for row in each], np.uint32)
    packed = places(offsets, rows, N_ROWS)
    assert np.array_equal(reference.unpack_rows(packed), rows)
    found = np.empty(N_ROWS, np.uint32)
    for number, each in enumerate(expected):
        count = unpack_rows(packed, number, found)
        assert found[:count].tolist() == each
        assert unpack_rows(packed, number, found[:2]) == min(len(each), 2)
        for wanted in (row, *each[:3], *each[-3:]):
            at = offsets[number] + each.index(wanted) if wanted in each else -1
            assert find_posting(packed, number, wanted) == at


def test_a_segment_without_lists() -> None:
    packed = places(np.zeros(1, np.int64), np.empty(0, np.uint32), 3)
    assert len(reference.unpack_rows(packed)) == 0


@given(
    st.sampled_from([0, 1, 3, 4, 5]), st.sampled_from([-(2**40), -1, 2**31, 2**40]), st.booleans()
)
def test_damaged_numbers_lead_nowhere_outside(which: int, wrong: int, is_long: bool) -> None:
    rows = np.arange(LONG + 9 if is_long else 9, dtype=np.uint32)
    arrays = [array.copy() for array in places(np.array([0, 4, len(rows)]), rows, N_ROWS)]
    arrays[which][...] = np.array(wrong).astype(arrays[which].dtype)
    damaged = tuple(arrays)
    for number in (0, 1):
        assert 0 <= unpack_rows(damaged, number, np.empty(N_ROWS, np.uint32)) <= len(rows)
        for row in (0, 5, N_ROWS - 1):
            assert -1 <= find_posting(damaged, number, row) < len(rows)
