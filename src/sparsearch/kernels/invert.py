"""From documents' vectors to posting lists, and from segments' posting lists to merged ones."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.places import unpack_rows

__all__ = ["merge_lists", "transpose"]


@njit(nogil=True, cache=True)
def transpose(offsets, columns, values, n_columns, rows):  # type: ignore[no-untyped-def]
    """Transpose a sparse matrix by counting sort: vectors into posting lists, and back.

    Parameters
    ----------
    offsets : ndarray of int64 [rows + 1]
    columns : ndarray of unsigned integers [nnz]
        Below `n_columns`.
    values : ndarray [nnz]
    n_columns : int
    rows : ndarray of unsigned integers [nnz]
        Filled in place with the row of each entry, ascending within a column; its dtype holds all.

    Returns
    -------
    column_offsets : ndarray of int64 [n_columns + 1]
    column_values : ndarray [nnz]
    """
    column_offsets = np.zeros(n_columns + 1, np.int64)
    for i in range(columns.size):
        column_offsets[columns[i] + 1] += 1
    for column in range(n_columns):
        column_offsets[column + 1] += column_offsets[column]
    ends = column_offsets[:-1].copy()
    column_values = np.empty(values.size, values.dtype)
    for row in range(offsets.size - 1):
        for i in range(offsets[row], offsets[row + 1]):
            place = ends[columns[i]]
            rows[place] = row
            column_values[place] = values[i]
            ends[columns[i]] = place + 1
    return column_offsets, column_values


@njit(nogil=True, cache=True)
def merge_lists(ends, targets, places, values, new_rows, out_rows, out_values):  # type: ignore[no-untyped-def]
    """Append one segment's live postings to the merged lists.

    Parameters
    ----------
    ends : ndarray of int64 [merged terms]
        Where each merged list ends so far; advanced in place.
    targets : ndarray of int64 [terms]
        Merged position of each of the segment's terms.
    places : tuple
        The documents of the segment's lists (see `kernels.places`).
    values : ndarray [postings]
    new_rows : ndarray of int64 [documents]
        Row of each document in the merged segment; -1 for deleted ones.
    out_rows, out_values : ndarray
        The merged lists, filled in place.
    """
    rows = np.empty(new_rows.size, np.uint32)
    for term in range(targets.size):
        target = targets[term]
        position = ends[target]
        first = places[0][term]
        for i in range(unpack_rows(places, term, rows)):
            row = new_rows[rows[i]]
            if row >= 0:
                out_rows[position] = row
                out_values[position] = values[first + i]
                position += 1
        ends[target] = position
