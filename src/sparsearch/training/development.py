"""How good a model in training is: rankings of our own index on a test collection."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.evaluation import evaluate, load_dataset
from sparsearch.index import Index
from sparsearch.runs import Run
from sparsearch.training.config import DevelopmentConfig
from sparsearch.training.live import LiveEncoder

__all__ = ["Development"]

_CUTOFF = re.compile(r"@([1-9][0-9]*)(?![.0-9])")
"""Of ranks; that of ``IPrec@0.1`` is one of recall."""

_DEFAULT_DEPTH = 1000


class Development:
    """A test collection; its documents are encoded and indexed anew for each measurement.

    Parameters
    ----------
    config : DevelopmentConfig
    precision : str
        ``fp32`` or ``bf16``.
    fused : bool
        Whether the vocabulary head and pooling may run as one.

    Raises
    ------
    NotFoundError
        When there is no such collection or split.
    InvalidInputError
        When it cannot be read, has no documents, or the measure cannot be computed on it.
    """

    def __init__(self, config: DevelopmentConfig, precision: str, *, fused: bool = True) -> None:
        self._dataset = load_dataset(config.path, config.split)
        self._measure = config.measure
        self._precision = precision
        self._fused = fused
        self._check(config)

    def _check(self, config: DevelopmentConfig) -> None:
        """Read a document and measure a ranking: what fails now would fail after a long time."""
        qrels = self._dataset.qrels
        evaluate(Run({query: [("none", 1.0)] for query in qrels}), qrels, [self._measure])
        if next(iter(self._dataset.documents()), None) is None:
            raise InvalidInputError(f"development: {shorten(config.path)} has no documents")

    def measure(self, model: Any) -> float:
        """Return the measure of a model."""
        with TemporaryDirectory(prefix="sparsearch-") as folder:
            encoder = LiveEncoder(model, self._precision, fused=self._fused)
            with Index.create(Path(folder) / "index", encoder=encoder) as index:
                index.add(self._dataset.documents())
                queries = self._dataset.judged_queries()
                run = index.search_batch(queries, _depth_of(self._measure))
        return float(evaluate(run, self._dataset.qrels, [self._measure]).mean[self._measure])


def _depth_of(measure: str) -> int:
    """Return how many hits a measure looks at."""
    cutoff = _CUTOFF.search(measure)
    return int(cutoff[1]) if cutoff else _DEFAULT_DEPTH
