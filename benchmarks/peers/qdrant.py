"""Qdrant Edge: the segments of Qdrant in the process, exact search in a sparse inverted index.

(The local mode of qdrant-client is for tests: it compares a query with every document in Python.)
"""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from peers.base import Case, Collection, Engine, Ids, Parameters, Searcher, grid
from sparsearch import SparseVectors

PORTION = 2_000


class Qdrant(Engine):
    """A shard with one sparse vector a point."""

    packages = ("qdrant-edge-py",)

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        datatypes = ("Float16",) if quick else ("Float32", "Float16")
        return [Case(build, exact=({},)) for build in grid(datatype=datatypes)]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        start = time.perf_counter()
        shard = qdrant.EdgeShard.create(str(folder), configuration(parameters))
        for first in range(0, len(documents), PORTION):
            rows = range(first, min(first + PORTION, len(documents)))
            points = [qdrant.Point(row, {"": vector_of(documents, row)}, {}) for row in rows]
            shard.update(qdrant.UpdateOperation.upsert_points(points))
        shard.flush()
        shard.optimize()
        shard.close()
        return time.perf_counter() - start

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        return QdrantSearcher(qdrant.EdgeShard.load(str(folder), configuration(parameters)))


class QdrantSearcher(Searcher):
    """A shard searched by one thread."""

    batch_threads = (1,)

    def __init__(self, shard: Any) -> None:
        self._shard = shard

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        vectors = [vector_of(queries, row) for row in range(len(queries))]
        return [qdrant.Query.Nearest(vector, using="") for vector in vectors]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        return self._shard.query(qdrant.QueryRequest(k, query=query))

    def ids(self, result: Any) -> Ids:
        return np.array([point.id for point in result], dtype=np.int64)

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        requests = [qdrant.QueryRequest(k, query=query) for query in batch]
        self._shard.query_batch(qdrant.QueryBatchRequest(requests))


def configuration(parameters: Parameters) -> Any:
    datatype = getattr(qdrant.VectorStorageDatatype, parameters["datatype"])
    sparse = qdrant.EdgeSparseVectorParams(datatype=datatype)
    # Durable when `flush` returns; one segment and one thread, for the shortest searches.
    optimizers = qdrant.EdgeOptimizersConfig(default_segment_number=1)
    return qdrant.EdgeConfig(
        sparse_vectors={"": sparse}, optimizers=optimizers, max_search_threads=1, wal_enabled=False
    )


def vector_of(vectors: SparseVectors, row: int) -> Any:
    terms, weights = vectors.row(row)
    return qdrant.SparseVector(terms.tolist(), weights.tolist())
