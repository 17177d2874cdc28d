"""Heads over the whole vocabulary that sentence-transformers lacks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparsearch.encoders.torch_activations import ELEMENTWISE
from sparsearch.encoders.torch_heads import pooled
from sparsearch.training.fused import max_logits
from sparsearch.training.modules._saving import WeightedModule

__all__ = ["EpicHead", "TiedHead", "VocabularyPooling"]


class TiedHead(WeightedModule):
    """Logits ``hidden . e_v + b_v`` against a table of term embeddings, without a transform.

    For SPARTA, for decoders, and for checkpoints that have no masked-language-model head. The
    table is a copy of the input embeddings at first and learned on its own.

    Parameters
    ----------
    vocabulary_size, hidden_size : int
    """

    config_keys = ["vocabulary_size", "hidden_size"]  # noqa: RUF012

    def __init__(self, vocabulary_size: int, hidden_size: int) -> None:
        super().__init__()
        self.vocabulary_size, self.hidden_size = vocabulary_size, hidden_size
        self.weight = nn.Parameter(torch.zeros(vocabulary_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def start_from(self, embeddings: Tensor, centred: bool = False) -> TiedHead:
        """Copy input embeddings; `centred` makes them differ by direction only.

        Centred and of length 1, even embeddings that were never trained for it give meaningful
        logits: what all terms have in common would drown the rest.
        """
        table = embeddings.detach().float()
        if centred:
            table = functional.normalize(table - table.mean(0), dim=1)
        with torch.no_grad():
            self.weight.copy_(table)
        return self

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Replace hidden states in ``token_embeddings`` by logits of all terms."""
        hidden = features["token_embeddings"]
        features["token_embeddings"] = functional.linear(hidden, self.weight, self.bias)
        return features


class EpicHead(WeightedModule):
    """EPIC's document side (MacAvaney et al., SIGIR 2020).

    ``w_v = sigmoid(b . h_0) * max over tokens of log1p(softplus(i_j * (e_v . h_j)))`` with the
    importance of a token ``i_j = log1p(softplus(a . h_j))``.

    Parameters
    ----------
    vocabulary_size, hidden_size : int
    """

    config_keys = ["vocabulary_size", "hidden_size"]  # noqa: RUF012

    def __init__(self, vocabulary_size: int, hidden_size: int) -> None:
        super().__init__()
        self.vocabulary_size, self.hidden_size = vocabulary_size, hidden_size
        self.expansion = TiedHead(vocabulary_size, hidden_size)
        self.importance = nn.Linear(hidden_size, 1)
        self.quality = nn.Linear(hidden_size, 1)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Set ``sentence_embedding``, ``[batch, vocabulary]``."""
        hidden, activation = features["token_embeddings"], ELEMENTWISE["log1p_softplus"]
        # Importance times logit is the logit of the hidden state times the importance.
        scaled = hidden * activation(self.importance(hidden))
        logits = max_logits(scaled, self.expansion.weight, None, features["attention_mask"])
        features["sentence_embedding"] = activation(logits) * torch.sigmoid(
            self.quality(hidden[:, 0]).float()
        )
        return features

    def get_embedding_dimension(self) -> int:
        """Return the size of the vocabulary."""
        return self.vocabulary_size


class VocabularyPooling(WeightedModule):
    """Pooling and activations that `SpladePooling` lacks.

    Parameters
    ----------
    pooling : str
        ``max``, ``sum`` or ``last`` (the last token that is not padding).
    activation : str
        Elementwise ones come before a sum; sparsemax and entmax15 come after the pooling.
    """

    config_keys = ["pooling", "activation"]  # noqa: RUF012

    def __init__(self, pooling: str = "max", activation: str = "log1p") -> None:
        super().__init__()
        self.pooling, self.activation = pooling, activation

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Set ``sentence_embedding`` from logits in ``token_embeddings``."""
        logits, mask = features["token_embeddings"].float(), features["attention_mask"].bool()
        features["sentence_embedding"] = pooled(logits, mask, self.pooling, self.activation)
        return features
