"""A bounded top-k as a binary heap in two arrays, its worst entry at the root.

An entry is worse than another when its score is lower, or the scores are equal and its document
came later. All documents are offered in insertion order, so an equal score never replaces one that
is already there.
"""

from __future__ import annotations

from numba import njit

__all__ = ["push", "sort_all"]


@njit(nogil=True, cache=True)
def _worse(score_a, document_a, score_b, document_b):  # type: ignore[no-untyped-def]
    return score_a < score_b or (score_a == score_b and document_a > document_b)


@njit(nogil=True, cache=True)
def _sift_down(scores, documents, size, position):  # type: ignore[no-untyped-def]
    score = scores[position]
    document = documents[position]
    while True:
        child = 2 * position + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _worse(
            scores[right], documents[right], scores[child], documents[child]
        ):
            child = right
        if not _worse(scores[child], documents[child], score, document):
            break
        scores[position] = scores[child]
        documents[position] = documents[child]
        position = child
    scores[position] = score
    documents[position] = document


@njit(nogil=True, cache=True)
def push(scores, documents, size, score, document):  # type: ignore[no-untyped-def]
    """Offer an entry to a heap of capacity ``scores.size``; return the heap's new size.

    Parameters
    ----------
    scores : ndarray of int32 [k]
    documents : ndarray of int64 [k]
    size : int
        Entries in use.
    score, document : int
        The entry; when the heap is full it must beat the root's score.
    """
    if size == scores.size:
        scores[0] = score
        documents[0] = document
        _sift_down(scores, documents, size, 0)
        return size
    position = size
    while position > 0:
        parent = (position - 1) // 2
        if not _worse(score, document, scores[parent], documents[parent]):
            break
        scores[position] = scores[parent]
        documents[position] = documents[parent]
        position = parent
    scores[position] = score
    documents[position] = document
    return size + 1


@njit(nogil=True, cache=True)
def _sort_descending(scores, documents, size):  # type: ignore[no-untyped-def]
    for last in range(size - 1, 0, -1):
        score = scores[0]
        document = documents[0]
        scores[0] = scores[last]
        documents[0] = documents[last]
        _sift_down(scores, documents, last, 0)
        scores[last] = score
        documents[last] = document


@njit(nogil=True, cache=True)
def sort_all(scores, documents, sizes, start, stop):  # type: ignore[no-untyped-def]
    """Sort heaps ``start .. stop - 1`` in place: by score descending, then document ascending."""
    for query in range(start, stop):
        _sort_descending(scores[query], documents[query], sizes[query])
