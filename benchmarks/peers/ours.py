"""sparsearch."""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peers.base import Case, Collection, Engine, Ids, Parameters, Searcher, grid
from sparsearch import Index, IndexConfig, SparseVectors

# The grid, in one place: fields of IndexConfig, and keyword arguments of `Index.top_k`.
BUILDS = grid(weight_bits=(8, 12))
APPROXIMATE = grid(recall=(0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995))
EXACT: tuple[Parameters, ...] = ({},)

PORTION = 1_000_000


class Sparsearch(Engine):
    """An index of one segment."""

    packages = ("sparsearch", "numba", "numpy")

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        return [Case(build, APPROXIMATE, EXACT) for build in BUILDS]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        start = time.perf_counter()
        config = IndexConfig(**parameters)
        with Index.create(folder / "index", encoder=None, config=config) as index:
            for first in range(0, len(documents), PORTION):
                portion = documents[first : first + PORTION]
                index.add_vectors([str(first + row) for row in range(len(portion))], portion)
            index.optimize()
            seconds = time.perf_counter() - start
            # On its own documents: it has not seen the queries that it will be measured with.
            index.tune()
        return seconds

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        return SparsearchSearcher(Index.open(folder / "index"))


class SparsearchSearcher(Searcher):
    """`Index.top_k`, with one row a query or all of them."""

    batch_threads = (1, 2)

    def __init__(self, index: Index) -> None:
        self._index = index

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        return [queries[row : row + 1] for row in range(len(queries))]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        return self._index.top_k(query, k, **parameters)

    def ids(self, result: Any) -> Ids:
        # Documents were added in the order of their rows, and numbers are in that order.
        return np.asarray(result.numbers[0, : result.counts[0]], dtype=np.int64)

    def prepare_batch(self, queries: SparseVectors, scratch: Path) -> Any:
        return queries

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        self._index.top_k(batch, k, threads=threads, **parameters)
