"""Directions as they are before they are fitted, and what they are fitted to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dense import DenseTexts, encode_vocabulary
from lexical import idf
from sparsearch.training.directions import Bags

_USUAL_SUM = 8.0
"""Untrained directions are divided by it, so that their sums are about as long as a vector."""


def bags_of(texts: list[DenseTexts], longest: int) -> Bags:
    """Return the bags of several batches of texts, of at most so many tokens each."""
    bags = [
        batch.distinct(row)[:longest].astype(np.int64)
        for batch in texts
        for row in range(len(batch.vectors))
    ]
    return Bags.of(bags, np.vstack([batch.vectors for batch in texts]))


def untrained_directions(passages: DenseTexts) -> NDArray[np.float32]:
    """Return each token's own dense vector, centred, times its idf in the passages."""
    own = encode_vocabulary()
    own -= own.mean(axis=0)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    holders = [passages.distinct(row) for row in range(len(passages.vectors))]
    frequencies = np.bincount(np.concatenate(holders), minlength=len(own))
    usual = idf(frequencies, len(holders)).astype(np.float32)
    directions: NDArray[np.float32] = own * usual[:, None] / _USUAL_SUM
    return directions
