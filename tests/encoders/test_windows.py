"""Windows over long texts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.encoders.windows import WindowConfig
from sparsearch.errors import InvalidInputError


def test_a_short_text_is_one_window() -> None:
    assert WindowConfig(4, 1).cut(0) == [(0, 0)]
    assert WindowConfig(4, 1).cut(4) == [(0, 4)]


def test_the_last_window_begins_earlier_instead_of_being_short() -> None:
    assert WindowConfig(4, 1).cut(6) == [(0, 4), (2, 6)]
    assert WindowConfig(4, 1).cut(7) == [(0, 4), (3, 7)]
    assert WindowConfig(4, 1).cut(8) == [(0, 4), (3, 7), (4, 8)]


@given(st.integers(1, 40), st.data(), st.integers(0, 500))
def test_windows_cover_everything_and_overlap(length: int, data: st.DataObject, n: int) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    windows = WindowConfig(length, overlap).cut(n)
    assert windows[0][0] == 0
    assert windows[-1][1] == n
    if len(windows) > 1:
        assert all(stop - start == length for start, stop in windows)
    for (a, b), (c, _) in pairwise(windows):
        assert a < c <= b - overlap


@pytest.mark.parametrize(
    ("length", "overlap"), [(0, 0), (4, 4), (4, -1), (True, 0), (4.0, 1), (4, "1")]
)
def test_impossible_windows_are_refused(length: object, overlap: object) -> None:
    with pytest.raises(InvalidInputError, match="window"):
        WindowConfig(length, overlap)  # type: ignore[arg-type]
