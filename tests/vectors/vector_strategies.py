"""Random vocabularies and batches of sparse vectors."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from sparsearch.vectors import SparseVectors, Vocabulary

weights = st.floats(width=32, allow_nan=False, allow_infinity=False)
terms = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)


def rows(max_id: int) -> st.SearchStrategy[list[dict[int, float]]]:
    return st.lists(st.dictionaries(st.integers(0, max_id), weights, max_size=8), max_size=8)


@st.composite
def batches(draw: st.DrawFn, max_id: int = 2**32 - 1) -> SparseVectors:
    """Batches built here entry by entry, not by the code under test."""
    vocabulary = None
    if draw(st.booleans()):
        vocabulary = Vocabulary(draw(st.lists(terms, min_size=1, max_size=20, unique=True)))
        max_id = len(vocabulary) - 1
    vectors = [sorted(row.items()) for row in draw(rows(max_id))]
    entries = [entry for vector in vectors for entry in vector]
    return SparseVectors(
        np.cumsum([0] + [len(vector) for vector in vectors]),
        np.array([term_id for term_id, _ in entries], dtype=np.uint32),
        np.array([weight for _, weight in entries], dtype=np.float32),
        vocabulary,
    )
