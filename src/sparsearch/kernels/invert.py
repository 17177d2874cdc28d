"""From documents' vectors to posting lists, and from segments' posting lists to merged ones."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["invert", "merge_lists"]


@njit(nogil=True, cache=True)
def invert(offsets, local_terms, weights, n_terms):  # type: ignore[no-untyped-def]
    """Transpose a CSR batch by counting sort.

    Parameters
    ----------
    offsets : ndarray of int64 [rows + 1]
    local_terms : ndarray of uint32 [nnz]
        Terms renumbered to ``0 .. n_terms - 1``.
    weights : ndarray [nnz]
    n_terms : int

    Returns
    -------
    list_offsets : ndarray of int64 [n_terms + 1]
    rows : ndarray of uint32 [nnz]
        Ascending within a list.
    list_weights : ndarray [nnz]
    """
    nnz = local_terms.size
    list_offsets = np.zeros(n_terms + 1, np.int64)
    for i in range(nnz):
        list_offsets[local_terms[i] + 1] += 1
    for term in range(n_terms):
        list_offsets[term + 1] += list_offsets[term]
    ends = list_offsets[:-1].copy()
    rows = np.empty(nnz, np.uint32)
    list_weights = np.empty(nnz, weights.dtype)
    for row in range(offsets.size - 1):
        for i in range(offsets[row], offsets[row + 1]):
            term = local_terms[i]
            position = ends[term]
            rows[position] = row
            list_weights[position] = weights[i]
            ends[term] = position + 1
    return list_offsets, rows, list_weights


@njit(nogil=True, cache=True)
def merge_lists(ends, targets, offsets, rows, values, new_rows, out_rows, out_values):  # type: ignore[no-untyped-def]
    """Append one segment's live postings to the merged lists.

    Parameters
    ----------
    ends : ndarray of int64 [merged terms]
        Where each merged list ends so far; advanced in place.
    targets : ndarray of int64 [terms]
        Merged position of each of the segment's terms.
    offsets, rows, values
        The segment's lists.
    new_rows : ndarray of int64 [documents]
        Row of each document in the merged segment; -1 for deleted ones.
    out_rows, out_values : ndarray
        The merged lists, filled in place.
    """
    for term in range(targets.size):
        target = targets[term]
        position = ends[target]
        for i in range(offsets[term], offsets[term + 1]):
            row = new_rows[rows[i]]
            if row >= 0:
                out_rows[position] = row
                out_values[position] = values[i]
                position += 1
        ends[target] = position
