"""What is learned from, what is learned, and what the shipped model keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dense import DenseTexts
from groups import Groups
from texts import TrainingText

TOP_K: Final = 128
"""Terms that a window of a document keeps, the heaviest."""


@dataclass(frozen=True)
class TrainingSet:
    """Texts and what the base model makes of them.

    Parameters
    ----------
    text : TrainingText
    passages, queries, short : DenseTexts
        Of the texts of these names.
    """

    text: TrainingText
    passages: DenseTexts
    queries: DenseTexts
    short: DenseTexts


@dataclass(frozen=True)
class Thresholds:
    """What a term's product with a text must exceed, and what its weight is counted from.

    Parameters
    ----------
    own : ndarray of float32 [terms]
        Where a token that stands for the term is in the text.
    others : ndarray of float32 [terms]
        Where it does not; at least as high.
    """

    own: NDArray[np.float32]
    others: NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A weight of each term from the mean-pooled, unit-normed states of a text.

    The weight of term `t` in a document is ``max(0, directions[t] . state - threshold)``.

    Parameters
    ----------
    directions : ndarray of float32 [terms, width]
    groups : Groups
        The terms.
    thresholds : Thresholds
    """

    directions: NDArray[np.float32]
    groups: Groups
    thresholds: Thresholds


@dataclass(frozen=True)
class Mixture:
    """A head with its query weights.

    Parameters
    ----------
    head : Head
    query_weights : ndarray of float32 [vocabulary]
        Of each token of a query, to be multiplied with its term's live inverse document frequency;
        0 for tokens that stand for no term.
    idf_exponent : float
        Of the learned terms' live inverse document frequencies.
    measured : mapping of str to float
        Mean MRR@10 over the sources, of BM25 and of all weights and exponents tried.
    """

    head: Head
    query_weights: NDArray[np.float32]
    idf_exponent: float
    measured: dict[str, float]
