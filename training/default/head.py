"""What is learned, and what the shipped model keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOP_K: Final = 128
"""Terms that a window of a document keeps, the heaviest."""


@dataclass(frozen=True)
class Head:
    """A weight of each term from the mean-pooled, unit-normed states of a text.

    The weight of term `t` in a document is ``max(0, directions[t] . state - thresholds[t])``.

    Parameters
    ----------
    directions : ndarray of float32 [vocabulary, width]
    thresholds : ndarray of float32 [vocabulary]
    terms : ndarray of int64 [terms]
        Tokens that documents may have.
    query_weights : ndarray of float32 [vocabulary]
        Of each token of a query; 0 for those not among `terms`.
    """

    directions: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    terms: NDArray[np.int64]
    query_weights: NDArray[np.float32]


@dataclass(frozen=True)
class Mixture:
    """A head with its query weights, and its weight beside BM25.

    Parameters
    ----------
    head : Head
    learned_weight : float
    measured : mapping of str to float
        Mean MRR@10 over the sources, of BM25 and of each weight tried.
    """

    head: Head
    learned_weight: float
    measured: dict[str, float]
