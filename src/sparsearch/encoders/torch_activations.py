"""From logits to weights.

Elementwise activations are increasing functions, so they may be applied after max-pooling, where
there is less to apply them to. Sparsemax and entmax look at all terms of a text together.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ELEMENTWISE", "OVER_VOCABULARY", "entmax15", "sparsemax", "top_k"]


def _log1p_relu(logits: Tensor) -> Tensor:
    return torch.log1p(torch.relu(logits))


ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda logits: logits,
    "relu": torch.relu,
    "log1p": _log1p_relu,
    "log1p_log1p": lambda logits: torch.log1p(_log1p_relu(logits)),
    "log1p_softplus": lambda logits: torch.log1p(functional.softplus(logits)),
}


def sparsemax(logits: Tensor) -> Tensor:
    """Return the projection of each row onto the probability simplex.

    Most entries become exactly 0 where a few logits are well above the rest (Martins and Astudillo,
    ICML 2016).

    Parameters
    ----------
    logits : Tensor
        Of shape ``[rows, terms]``, finite.
    """
    ordered = logits.sort(dim=-1, descending=True).values
    ranks = torch.arange(1, logits.shape[-1] + 1, device=logits.device, dtype=logits.dtype)
    sums = ordered.cumsum(-1)
    support = (1 + ranks * ordered > sums).sum(-1, keepdim=True)
    threshold = (sums.gather(-1, support - 1) - 1) / support.to(logits.dtype)
    return torch.relu(logits - threshold)


def entmax15(logits: Tensor) -> Tensor:
    """Return the 1.5-entmax of each row, between softmax and sparsemax.

    It is ``relu(x / 2 - t) ** 2`` with the threshold *t* for which a row sums to 1 (Peters,
    Niculae and Martins, ACL 2019).

    Parameters
    ----------
    logits : Tensor
        Of shape ``[rows, terms]``, finite.
    """
    halves = (logits - logits.amax(-1, keepdim=True)) / 2
    ordered = halves.sort(dim=-1, descending=True).values
    ranks = torch.arange(1, logits.shape[-1] + 1, device=logits.device, dtype=logits.dtype)
    means = ordered.cumsum(-1) / ranks
    squares = ordered.square().cumsum(-1) / ranks
    # Of the two roots of sum((x - t)^2) = 1 over the k largest, the smaller is the threshold.
    inner = (1 / ranks - (squares - means.square())).clamp_min(0)
    # The square root has no gradient at 0, which only rows that leave the support reach.
    thresholds = means - torch.where(inner > 0, inner, torch.ones_like(inner)).sqrt() * (inner > 0)
    support = (thresholds <= ordered).sum(-1, keepdim=True)
    return torch.relu(halves - thresholds.gather(-1, support - 1)).square()


def top_k(weights: Tensor, k: int) -> Tensor:
    """Return the weights with all but the `k` largest of each row set to 0."""
    if k >= weights.shape[-1]:
        return weights
    values, places = weights.topk(k, dim=-1)
    return torch.zeros_like(weights).scatter(-1, places, values)


OVER_VOCABULARY: dict[str, Callable[[Tensor], Tensor]] = {
    "sparsemax": sparsemax,
    "entmax15": entmax15,
}
