"""Postings of some documents, searched for or gone through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

from sparsearch.kernels.lookup import postings_of
from sparsearch.kernels.reference import postings_of as reference

Lists = list[set[int]]


@given(
    lists=st.lists(st.sets(st.integers(0, 300)), max_size=12),
    wanted=st.sets(st.integers(0, 300), max_size=12),
)
@example(lists=[set(range(300)), set(), {7}], wanted={0, 7, 299})
@example(lists=[{2**32 - 1}], wanted={2**32 - 1})
def test_it_finds_what_looking_at_all_finds(lists: Lists, wanted: set[int]) -> None:
    check(lists, wanted)


def test_more_postings_than_were_made_room_for() -> None:
    check([set(range(3))] * 5000, {0, 2})
    check([set(range(2000))] * 3, set(range(0, 2000, 3)))


def check(lists: Lists, wanted: set[int]) -> None:
    offsets = np.cumsum([0, *map(len, lists)])
    rows = np.array([row for each in lists for row in sorted(each)], np.uint32)
    documents: npt.NDArray[np.int64] = np.array(sorted(wanted), np.int64)
    found = postings_of(offsets, rows, documents)
    np.testing.assert_array_equal(found, reference(offsets, rows, documents))
