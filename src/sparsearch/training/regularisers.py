"""What keeps vectors sparse.

Each has ``compute_loss_from_embeddings(vectors)``, as sentence-transformers' `SpladeLoss` asks of
its ``document_regularizer`` and ``query_regularizer``. FLOPS, with the l0 mask, is its `FlopsLoss`.
"""

from __future__ import annotations

import math

import torch
from sentence_transformers.sparse_encoder.losses import FlopsLoss
from torch import Tensor, nn

from sparsearch.training.recipe import RegulariserPart

__all__ = ["DfFlopsLoss", "L1Loss", "build_regulariser"]


class L1Loss(nn.Module):
    """Mean over texts of the sum of weights."""

    def compute_loss_from_embeddings(self, embeddings: Tensor) -> Tensor:
        """Return the loss of vectors ``[texts, vocabulary]``."""
        return embeddings.abs().sum(1).mean()


class DfFlopsLoss(nn.Module):
    """FLOPS in which terms of many documents cost more (Porco et al., arXiv 2505.15070).

    The loss is ``sum over terms of (w_t * mean weight of t) ** 2`` with
    ``w_t = 1 / (1 + (x ** log_alpha(2) - 1) ** beta)`` and *x* the share of documents in which the
    term is active: 1/2 at ``x = alpha``, near 0 well below and near 1 well above it.

    Shares are counted over a window of documents seen in training, and weights computed anew when
    it is full; before that all terms cost the same.

    Parameters
    ----------
    terms : int
        Size of the vocabulary.
    alpha : float
        The share of documents at which a term costs half, in (0, 1).
    beta : float
        How steep the weight is there.
    window : int
        Documents counted before weights are computed anew.
    """

    counts: Tensor
    weights: Tensor
    seen: Tensor

    def __init__(
        self, terms: int, alpha: float = 0.1, beta: float = 10.0, window: int = 3200
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.window = alpha, beta, window
        self.register_buffer("counts", torch.zeros(terms))
        self.register_buffer("weights", torch.ones(terms))
        self.register_buffer("seen", torch.zeros(1))

    def compute_loss_from_embeddings(self, embeddings: Tensor) -> Tensor:
        """Return the loss of vectors ``[texts, vocabulary]``; while training, count them."""
        if self.training:
            self._count(embeddings.detach())
        return (self.weights * embeddings.abs().mean(0)).square().sum()

    def weights_of(self, shares: Tensor) -> Tensor:
        """Return the weights of terms that are active in these shares of the documents."""
        exponent = math.log(2) / math.log(self.alpha)
        # A share of 0 gives an infinite power, and with it the weight 0 that is meant.
        odds = (shares.clamp(0, 1) ** exponent - 1).clamp_min(0)
        return 1 / (1 + odds**self.beta)

    def _count(self, embeddings: Tensor) -> None:
        self.counts += (embeddings != 0).sum(0)
        self.seen += embeddings.shape[0]
        if float(self.seen) >= self.window:
            self.weights.copy_(self.weights_of(self.counts / self.seen))
            self.counts.zero_()
            self.seen.zero_()


def build_regulariser(part: RegulariserPart, terms: int) -> nn.Module:
    """Build the regulariser of a recipe, over a vocabulary of so many terms."""
    if part.kind == "l1":
        return L1Loss()
    if part.kind == "df_flops":
        return DfFlopsLoss(terms)
    return FlopsLoss(None, threshold=part.threshold)
