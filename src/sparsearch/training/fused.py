"""Vocabulary head and pooling as one, without logits for every token.

The plain way computes logits of shape batch x length x vocabulary (32 texts of 256 tokens over
30,522 terms: 1 GB in float32, and the same again for their gradient), only to keep the largest of
each column. Here the vocabulary is gone through in chunks; of each, only the largest logit a text
and term, and the token it is from, are kept. The backward pass goes through these tokens alone:
Sparton (arXiv 2603.25011) does the same in a GPU kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ["max_logits", "sum_weights"]

_CHUNK_LOGITS = 1 << 24
"""Logits computed at a time: 64 MiB in float32."""


def max_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor) -> Tensor:
    """Return the largest logit of each term over the tokens of each text.

    Parameters
    ----------
    hidden : Tensor
        Hidden states, ``[batch, length, size]``.
    weight : Tensor
        Of the head, ``[vocabulary, size]``.
    bias : Tensor or None
        ``[vocabulary]``.
    mask : Tensor
        ``[batch, length]``, not 0 for the tokens that count.

    Returns
    -------
    Tensor
        ``[batch, vocabulary]`` in float32. ``-inf`` for a text without tokens.
    """
    if bias is None:
        bias = weight.new_zeros(weight.shape[0])
    pooled: Tensor = _MaxLogits.apply(hidden, weight, bias, mask.bool())
    return pooled


def sum_weights(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the sum of activated logits of each term over the tokens of each text.

    As `max_logits`. A sum needs the gradient of every positive logit: each chunk is computed a
    second time in the backward pass, so that memory stays at one chunk.
    """

    def chunk(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        weights = activation(functional.linear(hidden, weight, bias).float())
        return (weights * mask[..., None].bool()).sum(1)

    parts = []
    for start, stop in _chunks(hidden, weight):
        rows = None if bias is None else bias[start:stop]
        parts.append(checkpoint(chunk, hidden, weight[start:stop], rows, use_reentrant=False))
    return torch.cat(parts, dim=1)


class _MaxLogits(torch.autograd.Function):
    """``max over tokens of (hidden @ weight.T + bias)``, remembering where each maximum is."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        batch, terms = hidden.shape[0], weight.shape[0]
        pooled = torch.empty(batch, terms, device=hidden.device, dtype=torch.float32)
        places = torch.empty(batch, terms, device=hidden.device, dtype=torch.int32)
        padding = ~mask[..., None]
        for start, stop in _chunks(hidden, weight):
            logits = functional.linear(hidden, weight[start:stop]).masked_fill_(padding, -torch.inf)
            values, where = logits.max(dim=1)
            pooled[:, start:stop] = values.float() + bias[start:stop].float()
            places[:, start:stop] = where
        ctx.save_for_backward(hidden, weight, bias, places)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        hidden, weight, bias, places = ctx.saved_tensors
        batch, length, size = hidden.shape
        # Activations pass no gradient to terms that are off: of sparse vectors, few are left.
        texts, terms = gradient.nonzero(as_tuple=True)
        values = gradient[texts, terms].float()
        tokens = texts * length + places[texts, terms]
        chosen = torch.sparse_coo_tensor(
            torch.stack([tokens, terms]),
            values,
            (batch * length, weight.shape[0]),
            check_invariants=False,  # they hold by construction
        )
        with torch.autocast(hidden.device.type, enabled=False):
            to_hidden = torch.sparse.mm(chosen, weight.float())
            to_weight = torch.sparse.mm(chosen.t(), hidden.reshape(-1, size).float())
        return (
            to_hidden.reshape(hidden.shape).to(hidden.dtype),
            to_weight.to(weight.dtype),
            gradient.sum(0).to(bias.dtype),
            None,
        )


def _chunks(hidden: Tensor, weight: Tensor) -> list[tuple[int, int]]:
    terms = weight.shape[0]
    step = max(1, min(terms, _CHUNK_LOGITS // max(1, hidden.shape[0] * hidden.shape[1])))
    return [(start, min(start + step, terms)) for start in range(0, terms, step)]
