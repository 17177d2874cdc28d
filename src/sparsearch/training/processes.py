"""Several processes, most often one a GPU, that train one model together.

Each encodes some of the texts of a step. All vectors are then gathered by all, so that each process
has the whole loss, with every other text of the batch in it; the gradient of a process's own
vectors goes back through its model, and the gradients of all are added up. So the outcome is that
of one process, but for the order of sums, where texts go through the models in the same parts:
dropout is seeded by part. They do with an `optimizer.micro_batch` that is no larger than a
process's share of the batch; otherwise several processes have smaller parts than one.

A launcher starts the processes: ``torchrun`` or ``accelerate launch``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather, reduce
from torch import Tensor

from sparsearch.errors import TrainingError

__all__ = ["Processes"]

_PATIENCE = timedelta(hours=12)
"""How long the others wait for the first, which alone mines, scores and measures."""


class Processes:
    """The processes of a run; one, unless a launcher started more.

    Parameters
    ----------
    device : str, optional
        As a run is configured.

    Raises
    ------
    TrainingError
        When there are several and `device` names one GPU.

    Attributes
    ----------
    count : int
        How many there are.
    index : int
        Which of them this is, from 0.
    device : str or None
        Where this one computes; None where it may choose.
    """

    def __init__(self, device: str | None = None) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))  # set by launchers
        self.index, self.device = 0, device
        self._state: PartialState | None = None
        if self.count > 1:
            if device not in (None, "cpu", "cuda"):
                reason = f"device is {device!r}, but {self.count} processes train together"
                raise TrainingError(f"{reason}, each on its own: leave it out")
            self._state = PartialState(cpu=device == "cpu", timeout=_PATIENCE)
            self.index, self.device = self._state.process_index, str(self._state.device)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and reports."""
        return self.index == 0

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Let the first process do something, and then, when it has done it well, the others."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        """Wait until all have come here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def of_first(self, value: float) -> float:
        """Return the first process's value."""
        if self._state is None:
            return value
        return float(broadcast(torch.tensor(value, dtype=torch.float64, device=self.device)))

    def gather(self, rows: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Return the rows of each process, which has so many of them."""
        if self._state is None:
            return [rows]
        missing = rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])
        gathered: Tensor = gather(torch.cat([rows, missing]))
        parts = gathered.chunk(self.count)
        return [part[:count] for part, count in zip(parts, counts, strict=True)]

    def add_up_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Make each gradient the sum of those that the processes have."""
        if self._state is None:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        here = torch.tensor([float(p.grad is not None) for p in trained], device=self.device)
        for parameter, somewhere in zip(trained, reduce(here).tolist(), strict=True):
            # What no text of the step used has no gradient, and must not decay either.
            if somewhere:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = reduce(own, "sum")
