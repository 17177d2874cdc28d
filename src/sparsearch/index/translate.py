"""Moving vectors from one vocabulary to another."""

from __future__ import annotations

import numpy as np

from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["translate"]


def translate(vectors: SparseVectors, vocabulary: Vocabulary, *, grow: bool) -> SparseVectors:
    """Return the same vectors over another vocabulary.

    Parameters
    ----------
    vectors : SparseVectors
        With a vocabulary.
    vocabulary : Vocabulary
        Where terms are looked up.
    grow : bool
        Add unknown terms to `vocabulary`; otherwise they are dropped, as terms that no document
        has.
    """
    source = vectors.vocabulary
    if source is None or source is vocabulary:
        return vectors
    used = np.unique(vectors.term_ids)
    target = np.full(len(source), -1, dtype=np.int64)
    look_up = vocabulary.add if grow else vocabulary.get
    for term_id in used.tolist():
        found = look_up(source.term(term_id))
        target[term_id] = -1 if found is None else found
    new_ids = target[vectors.term_ids]
    rows = np.repeat(np.arange(len(vectors)), np.diff(vectors.offsets))
    known = new_ids >= 0
    new_ids, rows, weights = new_ids[known], rows[known], vectors.weights[known]
    order = np.lexsort((new_ids, rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(vectors)))])
    return SparseVectors(offsets, new_ids[order], weights[order], vocabulary)
