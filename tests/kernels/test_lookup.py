"""Postings of some documents, searched for or gone through; places of strings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st
from kernel_cases import places

from sparsearch.kernels.lookup import find_strings, postings_of
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


def test_documents_in_several_windows() -> None:
    wanted = {3, 8190, 9000, 9001, 24_000, 29_997, 29_998}
    check([set(range(0, 30_000, 3)), {9000}, set(range(9000, 29_999, 2))], wanted)


def check(lists: Lists, wanted: set[int]) -> None:
    offsets = np.cumsum([0, *map(len, lists)])
    rows = np.array([row for each in lists for row in sorted(each)], np.uint32)
    documents: npt.NDArray[np.int64] = np.array(sorted(wanted), np.int64)
    found = postings_of(places(offsets, rows, int(rows.max(initial=0)) + 1), documents)
    np.testing.assert_array_equal(found, reference(offsets, rows, documents))


def packed(strings: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    encoded = [string.encode() for string in strings]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    return data, np.cumsum([0, *map(len, encoded)])


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.sets(words, max_size=30), st.lists(words, max_size=10))
@example(
    {"", "a", "aa", "ab", "\uffff", "\U0001f600"}, ["", "aa", "aaa", "\uffff", "\U0001f600", "b"]
)
def test_strings_are_found_where_they_stand(known: set[str], wanted: list[str]) -> None:
    ordered = sorted(known)
    places = np.empty(len(wanted), np.int64)
    find_strings(*packed(ordered), *packed(wanted), places)
    expected = [ordered.index(word) if word in known else -1 for word in wanted]
    assert places.tolist() == expected


def test_damaged_offsets_are_survived() -> None:
    data, offsets = packed(["a", "b", "c"])
    places = np.empty(1, np.int64)
    for wrong in (offsets + 2**40, offsets - 2**40, offsets[::-1].copy()):
        find_strings(data, wrong, *packed(["b"]), places)
        assert places[0] in (-1, 0, 1, 2)
