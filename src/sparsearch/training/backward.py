"""Gradients of a batch, of any size, in the memory of a part of it.

A contrastive loss needs the vectors of all texts of a batch, but not the activations that led to
them. With gradient caching (Gao et al., arXiv 2101.06983) the texts are encoded part by part
without gradients; the loss gives the gradient of each vector; then each part is encoded again, now
with gradients, and what the loss wants of its vectors is propagated.

The same holds for the vectors that other processes have made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparsearch.training.forward import embed, tokenize
from sparsearch.training.processes import Processes

__all__ = ["Encoding", "Part", "backward", "parts_of"]

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """Texts that go through the model together, and the seed of their dropout."""

    task: str
    texts: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Encoding:
    """How texts are encoded in training.

    Parameters
    ----------
    model : SparseEncoder
    precision : str
    fused : bool
    """

    model: Any
    precision: str = "fp32"
    fused: bool = True

    def __call__(self, part: Part) -> Tensor:
        """Return the vectors of a part; twice the same, dropout included."""
        device = self.model.device
        torch.manual_seed(part.seed)
        features = tokenize(self.model, part.texts, part.task, device)
        enabled = self.precision == "bf16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            return embed(self.model, features, part.task, fused=self.fused)


def parts_of(texts: Sequence[str], task: str, size: int | None, seeds: Iterator[int]) -> list[Part]:
    """Return the texts of a task in parts of at most `size`, or in one."""
    step = size or len(texts)
    return [
        Part(task, tuple(texts[start : start + step]), next(seeds))
        for start in range(0, len(texts), step)
    ]


def backward(
    encoding: Encoding,
    parts: Sequence[Part],
    objective: Callable[[Tensor], Losses],
    cached: bool,
    processes: Processes,
) -> tuple[Losses, Tensor]:
    """Add the gradients of the loss of all parts to the model's.

    Parameters
    ----------
    encoding : Encoding
    parts : sequence of Part
        At least one for each process.
    objective : callable
        From the vectors of all parts, in their order, to the losses to be added up.
    cached : bool
        Whether gradients are cached.
    processes : Processes
        Those that share the parts.

    Returns
    -------
    losses : dict of str to Tensor
    vectors : Tensor
        Of all parts, without gradients.
    """
    own = parts[processes.index :: processes.count]
    with torch.set_grad_enabled(not cached):
        encoded = [encoding(part) for part in own]
    gathered = _gather([rows.detach() for rows in encoded], parts, processes)
    vectors = torch.cat(gathered).requires_grad_()
    losses = objective(vectors)
    torch.stack(list(losses.values())).sum().backward()
    gradients = vectors.grad.split([len(part.texts) for part in parts])
    for number, part in enumerate(own):
        rows = encoding(part) if cached else encoded[number]
        # Texts of a frozen encoder take no gradient.
        if rows.requires_grad:
            rows.backward(gradients[processes.index + number * processes.count])
    processes.add_up_gradients(encoding.model.parameters())
    return {name: loss.detach() for name, loss in losses.items()}, vectors.detach()


def _gather(own: list[Tensor], parts: Sequence[Part], processes: Processes) -> list[Tensor]:
    """Return the vectors of each part, from the processes that have encoded them."""
    shares = [parts[index :: processes.count] for index in range(processes.count)]
    counts = [sum(len(part.texts) for part in share) for share in shares]
    gathered: list[Tensor] = [torch.empty(0)] * len(parts)
    for index, rows in enumerate(processes.gather(torch.cat(own), counts)):
        sizes = [len(part.texts) for part in shares[index]]
        gathered[index :: processes.count] = rows.split(sizes)
    return gathered
