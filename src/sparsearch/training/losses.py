"""What models learn from.

Each loss has ``compute_loss_from_embeddings(embeddings, labels)`` as those of sentence-transformers
have, which are used where there are any: `embeddings` holds the vectors of the queries, then those
of their first documents, of their second, and so on, each ``[batch, vocabulary]``; `labels` are a
teacher's scores, ``[batch, documents]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from sentence_transformers.sparse_encoder.losses import (
    SparseDistillKLDivLoss,
    SparseMarginMSELoss,
    SparseMultipleNegativesRankingLoss,
)
from torch import Tensor, nn
from torch.nn import functional

from sparsearch.training.recipe import LossPart

__all__ = [
    "AntiZeroLoss",
    "CandidatesLoss",
    "MarginLoss",
    "RankingLoss",
    "TermRecallLoss",
    "build_loss",
    "candidate_scores",
]


def candidate_scores(embeddings: Sequence[Tensor]) -> Tensor:
    """Return the scores of each query's own documents, ``[batch, documents]``."""
    queries, *documents = embeddings
    return torch.stack([(queries * column).sum(1) for column in documents], dim=1)


class CandidatesLoss(nn.Module):
    """Cross-entropy of a query's first document against its others, none from the batch."""

    def compute_loss_from_embeddings(
        self, embeddings: Sequence[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the mean over queries of ``-log softmax(scores)[first]``."""
        scores = candidate_scores(embeddings)
        return functional.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long))


class MarginLoss(nn.Module):
    """MarginMSE of sentence-transformers, given the teacher's scores and not their margins."""

    def __init__(self) -> None:
        super().__init__()
        self._loss = SparseMarginMSELoss(None)

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the mean of ``((s_1 - s_i) - (t_1 - t_i)) ** 2`` over queries and ``i > 1``."""
        margins = labels[:, :1] - labels[:, 1:]
        loss: Tensor = self._loss.compute_loss_from_embeddings(list(embeddings), margins)
        return loss


class TermRecallLoss(nn.Module):
    """DeepCT's regression: a term of a document should weigh 1 if the query has it, else 0.

    Terms of a document are those with a weight that is not 0. Zeros are no terms: the encoder's
    activation must be the identity while training, which makes no other zeros.
    """

    def compute_loss_from_embeddings(
        self, embeddings: Sequence[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the mean over the documents' terms of ``(weight - occurs in the query) ** 2``."""
        queries, documents, *_ = embeddings
        terms = documents != 0
        errors = (documents - (queries > 0).to(documents.dtype)).square()
        return (errors * terms).sum() / terms.sum().clamp_min(1)


class AntiZeroLoss(nn.Module):
    """Keeps vectors from vanishing: ``1 / (sum of q)^2 + 1 / (sum of d)^2``, as naver/splade does.

    The sums are over the whole batch, of queries and of first documents.
    """

    def compute_loss_from_embeddings(
        self, embeddings: Sequence[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the loss; bounded at vectors that are zero already."""
        least = torch.finfo(torch.float32).eps
        queries, documents, *_ = embeddings
        sums = torch.stack([queries.sum(), documents.sum()])
        return sums.square().clamp_min(least).reciprocal().sum()


class RankingLoss(nn.Module):
    """The weighted sum of a recipe's losses."""

    def __init__(self, parts: Sequence[LossPart]) -> None:
        super().__init__()
        self.weights = [part.weight for part in parts]
        self.losses = nn.ModuleList(build_loss(part) for part in parts)

    def compute_loss_from_embeddings(
        self, embeddings: Sequence[Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Return the weighted sum."""
        terms = [
            weight * loss.compute_loss_from_embeddings(list(embeddings), labels)
            for weight, loss in zip(self.weights, self.losses, strict=True)
        ]
        return torch.stack(terms).sum()


def build_loss(part: LossPart) -> nn.Module:
    """Build one loss of a recipe."""
    kinds: dict[str, Callable[[], nn.Module]] = {
        "infonce": lambda: SparseMultipleNegativesRankingLoss(None, scale=1.0),
        "candidates": CandidatesLoss,
        "margin_mse": MarginLoss,
        "kl": lambda: SparseDistillKLDivLoss(None, temperature=1.0),
        "term_recall": TermRecallLoss,
        "anti_zero": AntiZeroLoss,
    }
    return kinds[part.kind]()
