"""What changes from step to step: learning rate, weight of a regulariser, watch over a collapse."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparsearch.errors import CollapseError, TrainingError

__all__ = ["CollapseWatch", "NnzController", "learning_rate_share", "ramp"]


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at a step, counted from 0.

    Linear from 0 over the first ``warmup * steps`` steps, then linear to 0 at the end.
    """
    rise = warmup * steps
    if step + 1 <= rise:
        return (step + 1) / rise
    return min(1.0, (steps - step) / max(1.0, steps - rise))


def ramp(step: int, steps: int, share: float) -> float:
    """Return ``(step / ramp) ** 2`` until the ramp, a share of all steps, is over; then 1."""
    length = share * steps
    return 1.0 if step + 1 >= length else ((step + 1) / length) ** 2


@dataclass
class NnzController:
    """Steers the mean number of non-zeros by the weight of a regulariser.

    After each step the logarithm of the weight moves by ``gain`` times the error,
    ``log(nnz / target)``, plus ``damping`` times the error's change: up while there are too many
    non-zeros or their number grows. The second part keeps the two from chasing each other.

    Parameters
    ----------
    target : float
        Non-zeros wanted.
    weight : float
        The regulariser's weight, above 0; changed by `update`.
    gain, damping : float
    error : float or None
        The last error; None before the first step.
    """

    target: float
    weight: float
    gain: float = 0.05
    damping: float = 1.0
    error: float | None = None

    def update(self, nnz: float) -> None:
        """Take note of a step's mean number of non-zeros."""
        error = math.log(max(nnz, 1e-3) / self.target)
        change = 0.0 if self.error is None else error - self.error
        move = self.gain * max(-2.0, min(2.0, error)) + self.damping * change
        self.weight = min(1e6, max(1e-9, self.weight * math.exp(max(-1.0, min(1.0, move)))))
        self.error = error


@dataclass
class CollapseWatch:
    """Makes a collapse an error: empty vectors give no gradient, so nothing would ever mend it.

    Parameters
    ----------
    patience : int
        Steps in a row with fewer than one non-zero a vector that are too many.
    empty : int
        How many there have been.
    """

    patience: int
    empty: int = 0

    def check(self, step: int, loss: float, query_nnz: float, document_nnz: float) -> None:
        """Look at a step.

        Raises
        ------
        CollapseError
            When vectors have been empty for too long.
        TrainingError
            When the loss is not finite.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {step}: the loss is {loss}; lower optimizer.learning_rate or the weights of "
                "the regularisers"
            )
        self.empty = self.empty + 1 if min(query_nnz, document_nnz) < 1 else 0
        if self.empty >= self.patience:
            side = "queries" if query_nnz < document_nnz else "documents"
            raise CollapseError(
                f"step {step}: the vectors of {side} have had fewer than one non-zero on average "
                f"for {self.empty} steps; lower the regulariser's weight (sparsity), or steer to a "
                "number of non-zeros (sparsity.document_target)"
            )
