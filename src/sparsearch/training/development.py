"""How good a model in training is: rankings of our own index on a test collection."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsearch.evaluation import evaluate, load_dataset
from sparsearch.index import Index
from sparsearch.training.config import DevelopmentConfig
from sparsearch.training.live import LiveEncoder

__all__ = ["Development"]

_CUTOFF = re.compile(r"@([0-9]{1,6})")
_DEFAULT_DEPTH = 1000


class Development:
    """A test collection; its documents are encoded and indexed anew for each measurement.

    Parameters
    ----------
    config : DevelopmentConfig
    precision : str
        ``fp32`` or ``bf16``.
    """

    def __init__(self, config: DevelopmentConfig, precision: str) -> None:
        self._dataset = load_dataset(config.path, config.split)
        self._measure = config.measure
        self._precision = precision

    def measure(self, model: Any) -> float:
        """Return the measure of a model."""
        cutoff = _CUTOFF.search(self._measure)
        depth = int(cutoff[1]) if cutoff else _DEFAULT_DEPTH
        with TemporaryDirectory(prefix="sparsearch-") as folder:
            encoder = LiveEncoder(model, self._precision)
            with Index.create(Path(folder) / "index", encoder=encoder) as index:
                index.add(self._dataset.documents())
                run = index.search_batch(self._dataset.judged_queries(), depth)
        return float(evaluate(run, self._dataset.qrels, [self._measure]).mean[self._measure])
