"""Milvus Lite: Milvus's client on posting lists kept in Python, exact search.

Its index is one Python tuple a posting: a million documents do not fit an ordinary machine.
"""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from peers.base import Case, Collection, Engine, Ids, Parameters, Searcher
from sparsearch import SparseVectors

PORTION = 1_000
NAME = "documents"


class Milvus(Engine):
    """A collection with one sparse field and its inverted index."""

    packages = ("milvus-lite", "pymilvus")

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        return [Case({}, exact=({},))]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        start = time.perf_counter()
        client = MilvusClient(str(folder / "milvus.db"))
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params={})
        client.create_collection(NAME, schema=schema, index_params=index)
        for first in range(0, len(documents), PORTION):
            vectors = documents[first : first + PORTION].to_dicts()
            rows = [{"id": first + row, "vector": vector} for row, vector in enumerate(vectors)]
            client.insert(NAME, rows)
        client.flush(NAME)
        client.load_collection(NAME)
        client.close()
        return time.perf_counter() - start

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        client = MilvusClient(str(folder / "milvus.db"))
        client.load_collection(NAME)
        return MilvusSearcher(client)


class MilvusSearcher(Searcher):
    """A client whose server is in the same process."""

    batch_threads = (1,)

    def __init__(self, client: Any) -> None:
        self._client = client

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        return queries.to_dicts()

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        return self._search([query], k)[0]

    def ids(self, result: Any) -> Ids:
        return np.array([hit["id"] for hit in result], dtype=np.int64)

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        self._search(batch, k)

    def _search(self, queries: Sequence[Any], k: int) -> Any:
        return self._client.search(
            NAME,
            queries,
            limit=k,
            anns_field="vector",
            output_fields=["id"],
            search_params={"metric_type": "IP"},
        )
