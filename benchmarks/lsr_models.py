"""The learned sparse models whose vectors ``lsr_vectors`` imitates, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS", "LsrModel", "Rows"]


@dataclass(frozen=True)
class Rows:
    """The shape of the rows of one kind.

    Attributes
    ----------
    nnz, spread : float
        Mean and standard deviation of the number of terms, which is gamma-distributed.
    knots : tuple of (float, float)
        Points (share of a row's terms that weigh more, weight), by falling share. Between two
        points the weights are distributed exponentially.
    scale : float
        Spread of the logarithm of a factor common to all weights of a row.
    step : float
        Weights are multiples of this, if not 0.
    """

    nnz: float
    spread: float
    knots: tuple[tuple[float, float], ...]
    scale: float = 0.0
    step: float = 0.0

    def curve(self) -> NDArray[np.float32]:
        """Return the weight at 4,096 places in a row, strongest first."""
        shares, weights = np.array(self.knots[::-1]).T
        places = (np.arange(4096) + 0.5) / 4096
        curve: NDArray[np.float64] = np.interp(np.log(places), np.log(shares), weights)
        return curve.astype(np.float32)


@dataclass(frozen=True)
class LsrModel:
    """The vectors that one learned sparse model makes.

    Attributes
    ----------
    documents, queries : Rows
        The shape of either.
    expands : bool
        Queries hold related terms, and not only their own words, common ones included.
    idf : bool
        Weigh a query term by how rare it is, as inference-free models do, not by its rank.
    """

    documents: Rows
    queries: Rows
    expands: bool = True
    idf: bool = False


_SPLADE = ((1.0, 0.0), (0.5, 0.28), (0.1, 1.08), (0.01, 2.0), (0.001, 2.7))
_V3 = tuple((share, 0.717 * weight) for share, weight in _SPLADE)
_UNICOIL = ((1.0, 0.0), (0.5, 62.0), (0.1, 165.0), (0.01, 250.0), (0.001, 300.0))
# Read off the real queries, in thousandths (splade) and hundredths (splade-v3) of their integers.
_SPLADE_QUERY = (
    (1.0, 0.0), (0.95, 0.02), (0.9, 0.042), (0.75, 0.11), (0.5, 0.27), (0.25, 0.62),
    (0.1, 1.56), (0.05, 2.1), (0.01, 2.6), (0.002, 2.75),
)  # fmt: skip
_V3_QUERY = (
    (1.0, 0.0), (0.95, 0.02), (0.9, 0.042), (0.75, 0.10), (0.5, 0.23), (0.25, 0.54),
    (0.1, 0.99), (0.05, 1.2), (0.01, 1.4),
)  # fmt: skip
_UNICOIL_QUERY = (
    (1.0, 3.0), (0.95, 17.0), (0.9, 27.0), (0.75, 51.0), (0.5, 95.0), (0.25, 142.0),
    (0.1, 185.0), (0.01, 230.0),
)  # fmt: skip

MODELS = {
    "splade": LsrModel(Rows(120, 38, _SPLADE, 0.05), Rows(43.9, 16.2, _SPLADE_QUERY, 0.12)),
    "splade-v3": LsrModel(Rows(168, 50, _V3, 0.05), Rows(24.1, 7.4, _V3_QUERY, 0.12)),
    "unicoil": LsrModel(
        Rows(68, 24, _UNICOIL, 0.05, 1.0), Rows(6.6, 2.4, _UNICOIL_QUERY, 0.15, 1.0), expands=False
    ),
    "doc-only": LsrModel(
        Rows(180, 55, _SPLADE, 0.05), Rows(6.9, 2.4, _UNICOIL_QUERY), expands=False, idf=True
    ),
}
