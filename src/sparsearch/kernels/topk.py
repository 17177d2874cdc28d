"""The best k of a stream of documents, in a buffer of twice that size.

An entry is one integer, its *key*: the score in the upper bits, then the document number counted
down from `LAST_DOCUMENT`. The larger key is the better entry: a higher score, or an equal score and
an earlier document. When the buffer is full the best k are selected and the rest dropped, which
costs a constant per entry; a heap would cost log k.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.compiling import ZERO, inner
from sparsearch.kernels.sorting import sort_ascending

__all__ = ["LAST_DOCUMENT", "make_key", "select_best", "sort_keys", "unpack"]

_DOCUMENT_BITS = 32
LAST_DOCUMENT = 2**_DOCUMENT_BITS - 1
"""Largest document number a key can hold."""


@njit(nogil=True, cache=True, inline="always")
def make_key(score, document):  # type: ignore[no-untyped-def]
    """Return the key of a document: int64; the score must be below 2**31."""
    return (np.int64(score) << _DOCUMENT_BITS) | (LAST_DOCUMENT - np.int64(document))


@inner
def sort_keys(keys, sizes):  # type: ignore[no-untyped-def]
    """Sort the first ``sizes[q]`` keys of each query, some dozens at most, the best last."""
    for query in range(sizes.size):
        sort_ascending(keys[query], sizes[query])


@inner
def unpack(keys, sizes, units, found):  # type: ignore[no-untyped-def]
    """Turn keys into document numbers and scores, best first.

    Parameters
    ----------
    keys : ndarray of int64 [queries, capacity]
        Of which the first ``sizes`` are in use, sorted as by `sort_keys`.
    sizes : ndarray of int64 [queries]
    units : ndarray of float64 [queries]
        What one step of an integer score is worth.
    found : tuple of (documents, scores, counts)
        int64 [queries, k], float64 [queries, k] and int64 [queries]: filled in place, as far as
        there are entries.
    """
    documents, scores, counts = found
    for query in range(sizes.size):
        last = sizes[query] - 1
        counts[query] = min(sizes[query], documents.shape[1])
        for rank in range(counts[query]):
            key = keys[query, last - rank]
            documents[query, rank] = LAST_DOCUMENT - (key & LAST_DOCUMENT)
            scores[query, rank] = (key >> _DOCUMENT_BITS) * units[query]


@inner
def _bring_forward(keys, low, high, bar):  # type: ignore[no-untyped-def]
    """Bring the keys above ``bar`` to the front of ``keys[low : high + 1]``; return their end."""
    front = low
    for i in range(np.uint64(low), np.uint64(high + 1)):
        key = keys[i]
        keys[i], keys[front] = keys[front], key
        front += np.int64(key > bar)
    return front


@inner
def select_best(keys, size, k):  # type: ignore[no-untyped-def]
    """Move the k largest of ``keys[:size]`` to the front, in any order.

    Hoare's selection (1961), with a partition that has no branch a processor could fail to predict.

    Parameters
    ----------
    keys : ndarray of int64
        Reordered in place.
    size, k : int
        With ``1 <= k <= size``.

    Returns
    -------
    int
        The k-th largest key, now at ``keys[k - 1]``.
    """
    low, high, target = ZERO, size - 1, k - 1
    while low < high:
        # The median of three, so that sorted input is no worst case.
        middle = (low + high) // 2
        a, b, c = keys[low], keys[middle], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        front = _bring_forward(keys, low, high, pivot)
        if front == low:
            # Nothing is larger. Equal keys go at once: one at a time, they would take forever.
            low = _bring_forward(keys, low, high, pivot - 1)
            if target < low:
                break
        elif target < front:
            high = front - 1
        else:
            low = front
    return keys[target]
