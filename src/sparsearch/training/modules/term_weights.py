"""A learned weight for each token of a text: DeepCT, DeepImpact, uniCOIL, TILDEv2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparsearch.encoders.torch_activations import ELEMENTWISE
from sparsearch.training.modules._saving import WeightedModule

__all__ = ["TermWeights"]


class TermWeights(WeightedModule):
    """``activation(linear(hidden state))`` of each token; a term takes its largest.

    With the identity as activation, negative weights are passed on in training, where a regression
    needs them, and are 0 otherwise.

    Parameters
    ----------
    hidden_size, vocabulary_size : int
    activation : str
        One of `sparsearch.encoders.checkpoint_parts.ELEMENTWISE_ACTIVATIONS`.
    ignored : sequence of int
        Term ids that never get a weight: special tokens.
    """

    config_keys = ["hidden_size", "vocabulary_size", "activation", "ignored"]  # noqa: RUF012

    def __init__(
        self,
        hidden_size: int,
        vocabulary_size: int,
        activation: str = "relu",
        ignored: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.hidden_size, self.vocabulary_size = hidden_size, vocabulary_size
        self.activation, self.ignored = activation, sorted(ignored)
        self.linear = nn.Linear(hidden_size, 1)
        # From 0 half of the weights would start at zero, where relu has no gradient.
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.constant_(self.linear.bias, 0.5)
        kept = torch.ones(vocabulary_size, dtype=torch.bool)
        kept[self.ignored] = False
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Set ``sentence_embedding``, ``[batch, vocabulary]``."""
        logits = self.linear(features["token_embeddings"]).squeeze(-1).float()
        weights = ELEMENTWISE[self.activation](logits)
        if self.activation == "identity" and not self.training:
            weights = torch.relu(weights)
        terms = features["input_ids"]
        weights = weights * (features["attention_mask"].bool() & self.kept[terms])
        features["sentence_embedding"] = _largest(terms, weights, self.vocabulary_size)
        return features

    def get_embedding_dimension(self) -> int:
        """Return the size of the vocabulary."""
        return self.vocabulary_size


def _largest(terms: Tensor, weights: Tensor, vocabulary_size: int) -> Tensor:
    """Return the largest weight of each term; 0 for terms that do not occur."""
    zeros = weights.new_zeros(len(weights), vocabulary_size)
    return zeros.scatter_reduce(1, terms, weights, "amax", include_self=False)
