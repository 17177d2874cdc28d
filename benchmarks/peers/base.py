"""What an engine must offer to be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsearch import SparseVectors

Parameters = Mapping[str, Any]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Collection:
    """The facts of a collection that a sensible grid of parameters depends on."""

    documents: int
    postings: int
    dimension: int

    @property
    def mean_list_length(self) -> float:
        """Postings per term of the vocabulary."""
        return self.postings / max(1, self.dimension)

    @property
    def mean_terms(self) -> float:
        """Postings per document."""
        return self.postings / max(1, self.documents)


@dataclass(frozen=True)
class Case:
    """One index to build, and all the ways to search it.

    Attributes
    ----------
    build : mapping
        Parameters of the index.
    searches : tuple of mapping
        Parameters of approximate searches.
    exact : tuple of mapping
        Parameters of searches that look at every document that could be among the best, with
        whatever precision the engine stores weights.
    """

    build: Parameters
    searches: tuple[Parameters, ...] = ()
    exact: tuple[Parameters, ...] = ()


class Searcher(ABC):
    """An index opened for searching.

    Whatever an engine wants done to queries before, and to results after, happens in `prepare` and
    `ids`, outside the clock: each is timed with the input it likes best.

    Attributes
    ----------
    batch_threads : tuple of int
        With how many threads `search_batch` can be asked for.
    """

    batch_threads: tuple[int, ...] = ()

    @abstractmethod
    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        """Return each query in the form `search` takes."""

    @abstractmethod
    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        """Return the best k documents of a query, in the engine's own form, on one thread."""

    @abstractmethod
    def ids(self, result: Any) -> Ids:
        """Return the row numbers of the documents in a result, best first."""

    def prepare_batch(self, queries: SparseVectors, scratch: Path) -> Any:
        """Return all queries in the form `search_batch` takes; `scratch` is for files."""
        return self.prepare(queries)

    @abstractmethod
    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        """Search all queries in one call."""


class Engine(ABC):
    """An engine that can build an index in a folder and open it again.

    Attributes
    ----------
    packages : tuple of str
        The distributions whose versions matter.
    """

    packages: tuple[str, ...]

    @abstractmethod
    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        """Return the grid of parameters; `quick` asks for a few promising ones."""

    @abstractmethod
    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        """Build an index and write it to an empty folder; return the seconds it took.

        Turning the vectors into the input format of the engine is not counted.
        """

    @abstractmethod
    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        """Open an index that `build` wrote."""


def grid(**choices: Iterable[Any]) -> tuple[dict[str, Any], ...]:
    """Return every combination of the values given for each parameter."""
    return tuple(dict(zip(choices, values, strict=True)) for values in product(*choices.values()))


def scaled_to(vectors: SparseVectors, largest: float) -> SparseVectors:
    """Return vectors whose largest weight is `largest`: fixed-point formats cut larger ones off."""
    factor = np.float32(largest / max(float(vectors.weights.max(initial=0.0)), 1e-30))
    return SparseVectors(vectors.offsets, vectors.term_ids, vectors.weights * factor)
