"""Made-up vectors of learned-sparse shape: a few heavy terms, many light ones."""

from __future__ import annotations

import numpy as np

from sparsearch.vectors import SparseVectors

__all__ = ["made_up_vectors"]

_TERMS, _PER_ROW = 500, 40


def made_up_vectors(count: int, seed: int) -> SparseVectors:
    generator = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, _TERMS + 1)
    popularity /= popularity.sum()
    rows = []
    for _ in range(count):
        terms = generator.choice(_TERMS, _PER_ROW, replace=False, p=popularity)
        weights = generator.exponential(0.4, _PER_ROW) + 0.01
        rows.append(dict(zip(terms.tolist(), weights.tolist(), strict=True)))
    return SparseVectors.from_dicts(rows)
