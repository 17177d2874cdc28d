"""Columns put together are those of the documents that are left."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.index.column_merge import merge_columns
from sparsearch.index.columns import Column, ColumnBuilder, pack_columns, unpack_columns

values = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([-(2**63), 2**63 - 1, 2**70, -0.0, 1.0, 0.5, 1.5, 1e300, float("inf")]),
    st.sampled_from(["", "a", "b", "ab", "\u00e9", "\ud7ff", "\uffff", "\U0001f600", "\x00", "1"]),
)
metadata = st.dictionaries(
    st.sampled_from("xyz"), st.one_of(values, st.none(), st.lists(values, max_size=3)), max_size=3
)
documents = st.lists(st.tuples(metadata, st.booleans()), max_size=6)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Column]:
    builder = ColumnBuilder()
    for row, fields in enumerate(rows):
        builder.add(row, fields)
    return builder.build()


def as_stored(columns: dict[str, Column]) -> tuple[Any, ...]:
    arrays, layout = pack_columns(columns)
    return {name: array.tolist() for name, array in arrays.items()}, layout


@given(st.lists(documents, min_size=1, max_size=4))
def test_merged_columns_are_those_of_the_documents_left(segments: list[Any]) -> None:
    parts, left, seen = [], [], {}
    for segment in segments:
        rows = [fields for fields, _ in segment]
        stored = columns_of(rows)
        seen.update(dict.fromkeys(stored))
        kept = np.array([keep for _, keep in segment], dtype=bool)
        new_rows = np.where(kept, len(left) + np.cumsum(kept) - 1, -1)
        parts.append((unpack_columns(*pack_columns(stored)), new_rows))
        left += [fields for fields, keep in segment if keep]
    merged, expected = merge_columns(parts), columns_of(left)
    assert list(merged) == [name for name in seen if name in expected]
    assert as_stored(merged) == as_stored({name: expected[name] for name in merged})
