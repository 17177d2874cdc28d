"""The loss of a step: what ranks, and what keeps vectors sparse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sparsearch.errors import InvalidInputError
from sparsearch.training.config import SparsityConfig
from sparsearch.training.losses import RankingLoss
from sparsearch.training.recipe import Recipe, RegulariserPart
from sparsearch.training.regularisers import build_regulariser
from sparsearch.training.schedules import NnzController, ramp

__all__ = ["Objective", "Penalty"]

_STEERED_START = 0.01
"""Share of its weight at which a steered regulariser starts, in place of a ramp."""


class Penalty(nn.Module):
    """A regulariser and its weight, which follows a ramp or is steered to a number of non-zeros.

    Parameters
    ----------
    part : RegulariserPart
    terms, steps : int
        Size of the vocabulary; length of the run.
    target : float, optional
        Non-zeros to steer to.
    """

    def __init__(self, part: RegulariserPart, terms: int, steps: int, target: float | None) -> None:
        super().__init__()
        self._part, self._steps = part, steps
        self.regulariser = build_regulariser(part, terms)
        self.controller: NnzController | None = None
        if target is not None:
            self.controller = NnzController(target, part.weight * _STEERED_START)

    def weight(self, step: int) -> float:
        """Return the weight at a step, counted from 0."""
        if self.controller is not None:
            return self.controller.weight
        return self._part.weight * ramp(step, self._steps, self._part.ramp)

    def forward(self, vectors: Tensor, step: int) -> Tensor:
        """Return the weighted loss of vectors ``[texts, vocabulary]``."""
        loss: Tensor = self.regulariser.compute_loss_from_embeddings(vectors)
        return self.weight(step) * loss


class Objective(nn.Module):
    """All losses of a recipe.

    Parameters
    ----------
    recipe : Recipe
    sparsity : SparsityConfig
        Replaces the weights of the recipe's regularisers, and may steer them.
    terms, steps : int
        Size of the vocabulary; length of the run.

    Raises
    ------
    InvalidInputError
        When `sparsity` has a setting for a regulariser that the recipe does not have.
    """

    def __init__(self, recipe: Recipe, sparsity: SparsityConfig, terms: int, steps: int) -> None:
        super().__init__()
        self.ranking = RankingLoss(recipe.losses)
        self.uses_others_documents = recipe.uses_others_documents
        self.penalties = nn.ModuleDict()
        sides = {
            "query": (recipe.query_regulariser, sparsity.query_weight, sparsity.query_target),
            "document": (
                recipe.document_regulariser,
                sparsity.document_weight,
                sparsity.document_target,
            ),
        }
        for side, (part, weight, target) in sides.items():
            if part is None:
                if weight is not None or target is not None:
                    reason = f"recipe {recipe.name} has no regulariser for a {side}"
                    raise InvalidInputError(f"sparsity: {reason}, so none can be set or steered")
                continue
            chosen = part if weight is None else replace(part, weight=weight)
            self.penalties[side] = Penalty(chosen, terms, steps, target)

    def forward(
        self, queries: Tensor, documents: Sequence[Tensor], scores: Tensor | None, step: int
    ) -> dict[str, Tensor]:
        """Return the losses to be added up: ``ranking``, and ``query`` and ``document`` if any.

        Parameters
        ----------
        queries : Tensor
            ``[batch, vocabulary]``.
        documents : sequence of Tensor
            First documents, second documents, ...; each ``[batch, vocabulary]``.
        scores : Tensor, optional
            A teacher's, ``[batch, documents]``.
        step : int
        """
        ranking = self.ranking.compute_loss_from_embeddings([queries, *documents], scores)
        losses = {"ranking": ranking}
        sides = {"query": queries, "document": torch.cat(list(documents))}
        for side, penalty in self.penalties.items():
            losses[side] = penalty(sides[side], step)
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """Return the weights of the regularisers at a step."""
        return {side: penalty.weight(step) for side, penalty in self.penalties.items()}

    def steer(self, nnz: dict[str, float]) -> None:
        """Take note of the mean numbers of non-zeros of a step."""
        for side, penalty in self.penalties.items():
            if penalty.controller is not None:
                penalty.controller.update(nnz[side])
