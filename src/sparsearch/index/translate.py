"""Moving vectors from one vocabulary to another."""

from __future__ import annotations

import numpy as np

from sparsearch.errors import EncoderError, shorten
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["checked_output", "translate"]


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


def checked_output(
    made: object, n_texts: int, vocabulary: Vocabulary, *, grow: bool
) -> SparseVectors:
    """Return what an encoder made of texts over the encoder's vocabulary.

    Parameters
    ----------
    made : object
        Vectors; their terms may be strings of another vocabulary, as in what
        `SparseVectors.from_dicts` makes.
    n_texts : int
    vocabulary : Vocabulary
        The encoder's.
    grow : bool
        As `translate` takes it.

    Raises
    ------
    EncoderError
        If it is no vectors, not one a text, or has ids that are none of the vocabulary.
    """
    if not isinstance(made, SparseVectors):
        raise EncoderError(f"the encoder made {shorten(made)} of texts, not SparseVectors")
    if len(made) != n_texts:
        raise EncoderError(f"the encoder made {len(made)} vectors of {n_texts} texts")
    if made.vocabulary is not None:
        return translate(made, vocabulary, grow=grow)
    largest = int(made.term_ids.max(initial=0))
    if made.nnz and largest >= len(vocabulary):
        reason = f"the encoder made a vector with the term id {largest}"
        raise EncoderError(f"{reason}, while its vocabulary has {len(vocabulary)} terms")
    return made
