"""Inverting and merging equal their NumPy twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import places

from sparsearch.kernels import invert as kernels
from sparsearch.kernels import reference

rows_of_terms = st.lists(st.sets(st.integers(0, 9), max_size=6), max_size=12)


def csr(rows: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    terms = np.array([term for row in rows for term in sorted(row)], np.uint32)
    return offsets, terms


def transposed(
    offsets: np.ndarray, columns: np.ndarray, values: np.ndarray, n_columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.empty(len(columns), np.uint32)
    found = kernels.transpose(offsets, columns, values, n_columns, rows)
    return found[0], rows, found[1]


@given(rows_of_terms, st.sampled_from([np.float32, np.uint8, np.uint16, np.uint32]))
def test_transpose(rows: list[set[int]], dtype: type) -> None:
    offsets, terms = csr(rows)
    weights = (np.arange(len(terms)) % 200 + 1).astype(dtype)
    actual = transposed(offsets, terms, weights, 10)
    expected = reference.transpose(offsets, terms, weights, 10)
    for got, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert [part.dtype for part in actual] == [np.int64, np.uint32, dtype]
    back = transposed(*actual, len(rows))
    for got, wanted in zip(back, (offsets, terms, weights), strict=True):
        np.testing.assert_array_equal(got, wanted)


@st.composite
def parts(draw: st.DrawFn) -> list[tuple[np.ndarray, ...]]:
    """Segments over ten merged terms, with some documents deleted."""
    found = []
    base = 0
    for rows in draw(st.lists(rows_of_terms, min_size=1, max_size=4)):
        offsets, terms = csr(rows)
        targets, local = np.unique(terms, return_inverse=True)
        weights = np.arange(len(terms), dtype=np.float32) + 1000 * len(found)
        lists = transposed(offsets, local.astype(np.uint32), weights, len(targets))
        deleted = np.array(draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
        live = ~deleted.astype(np.bool_)
        new_rows = np.where(live, np.cumsum(live) - 1 + base, -1).astype(np.int64)
        base += int(live.sum())
        found.append((targets.astype(np.int64), *lists, new_rows))
    return found


@given(parts())
def test_merge_lists(segments: list[tuple[np.ndarray, ...]]) -> None:
    counts = np.zeros(10, np.int64)
    for targets, offsets, *_ in segments:
        counts[targets] += np.diff(offsets)
    starts = np.cumsum(counts) - counts
    ends = starts.copy()
    rows = np.zeros(counts.sum(), np.uint32)
    values = np.zeros(counts.sum(), np.float32)
    for targets, own, own_rows, own_values, new_rows in segments:
        packed = places(own, own_rows, len(new_rows))
        kernels.merge_lists(ends, targets, packed, own_values, new_rows, rows, values)
    offsets, expected_rows, expected_values = reference.merge_lists(segments, 10)
    for term in range(10):
        part, expected = slice(starts[term], ends[term]), slice(offsets[term], offsets[term + 1])
        np.testing.assert_array_equal(rows[part], expected_rows[expected])
        np.testing.assert_array_equal(values[part], expected_values[expected])


@pytest.mark.parametrize("n_rows", [0, 3])
def test_transpose_nothing(n_rows: int) -> None:
    offsets = np.zeros(n_rows + 1, np.int64)
    lists = transposed(offsets, np.empty(0, np.uint32), np.empty(0, np.float32), 0)
    assert [part.tolist() for part in lists] == [[0], [], []]
