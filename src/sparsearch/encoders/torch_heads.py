"""Heads: from what a transformer says of each token to the weights of all terms.

Each is a module that is called with the states of the tokens, their ids and their mask, all
``[batch, length, ...]``, and returns weights, float32 ``[batch, terms]``, none below 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparsearch.encoders.torch_activations import ELEMENTWISE, OVER_VOCABULARY

__all__ = ["GatedHead", "TermWeightHead", "VocabularyHead", "pooled"]


class VocabularyHead(nn.Module):  # type: ignore[misc]  # torch is not looked at
    """Scores of all terms for each token, pooled over the tokens.

    Parameters
    ----------
    pooling, activation : str
        As `pooled` takes them.
    table, bias : Tensor, optional
        ``[terms, hidden]`` and ``[terms]``: scores are ``table @ state + bias``. By default the
        states are the scores.
    """

    def __init__(
        self,
        pooling: str,
        activation: str,
        table: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.pooling, self.activation = pooling, activation
        self.register_buffer("table", table)
        self.register_buffer("bias", bias)

    def forward(self, states: Tensor, input_ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the weights; without a mask all tokens count."""
        if self.table is not None:
            states = functional.linear(states, self.table, self.bias)
        return torch.relu(pooled(states, mask, self.pooling, self.activation))


class TermWeightHead(nn.Module):  # type: ignore[misc]
    """A weight for each token, which its term has: DeepImpact, uniCOIL, BGE-M3.

    Parameters
    ----------
    terms : int
    activation : str
        An elementwise one.
    weight, bias : Tensor
        ``[1, hidden]`` and ``[1]``.
    silent_ids : sequence of int
        Tokens that are given no weight.
    """

    def __init__(
        self, terms: int, activation: str, weight: Tensor, bias: Tensor, silent_ids: Sequence[int]
    ) -> None:
        super().__init__()
        self.terms, self.activation = terms, activation
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        heard = torch.ones(terms, dtype=torch.bool)
        heard[list(silent_ids)] = False
        self.register_buffer("heard", heard)

    def forward(self, states: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Return the weights: of each term the largest that it has in the text."""
        scores = functional.linear(states, self.weight, self.bias).squeeze(-1)
        weights = torch.relu(ELEMENTWISE[self.activation](scores))
        weights = weights * (mask.bool() & self.heard[input_ids]).to(weights.dtype)
        nothing = weights.new_zeros((input_ids.shape[0], self.terms))
        return nothing.scatter_reduce(1, input_ids, weights, reduce="amax")


class GatedHead(nn.Module):  # type: ignore[misc]
    """EPIC's head of documents; see `sparsearch.training.modules.EpicHead` for the formula.

    Parameters
    ----------
    tensors : dict of str to Tensor
        ``expansion.weight`` ``[terms, hidden]`` and ``.bias``, which is not used;
        ``importance.weight`` and ``quality.weight`` ``[1, hidden]``, their ``.bias`` ``[1]``.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def forward(self, states: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Return the weights."""
        activation = ELEMENTWISE["log1p_softplus"]
        importance = functional.linear(states, self.importance_weight, self.importance_bias)
        scores = functional.linear(states * activation(importance), self.expansion_weight)
        quality = functional.linear(states[:, 0], self.quality_weight, self.quality_bias)
        return pooled(scores, mask, "max", "log1p_softplus") * torch.sigmoid(quality)


def pooled(scores: Tensor, mask: Tensor | None, pooling: str, activation: str) -> Tensor:
    """Return one weight a term from its scores for each token.

    Parameters
    ----------
    scores : Tensor
        ``[batch, length, terms]``.
    mask : Tensor, optional
        ``[batch, length]``, 0 for tokens that do not count. A maximum needs none where all do.
    pooling : {"max", "sum", "last"}
        ``last`` takes the last token that counts.
    activation : str
        Elementwise ones are applied before a sum; those over the vocabulary after any pooling.

    Returns
    -------
    Tensor
        ``[batch, terms]``.
    """
    if pooling == "max":
        # Elementwise activations are monotone: after the maximum, one logarithm a term will do.
        if mask is not None:
            scores = scores.masked_fill(~mask.bool()[..., None], -torch.inf)
        return _activate(scores.amax(1), activation)
    assert mask is not None
    if pooling == "sum":
        counted = mask[..., None].to(scores.dtype)
        if activation in ELEMENTWISE:
            return (_activate(scores, activation) * counted).sum(1)
        return _activate((scores * counted).sum(1), activation)
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (places * mask.bool()).argmax(1)
    rows = torch.arange(scores.shape[0], device=mask.device)
    return _activate(scores[rows, last], activation)


def _activate(scores: Tensor, activation: str) -> Tensor:
    """Return weights from scores, ``[..., terms]``."""
    known = OVER_VOCABULARY if activation in OVER_VOCABULARY else ELEMENTWISE
    return known[activation](scores)
