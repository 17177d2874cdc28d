"""kANNolo: HNSW graphs over sparse vectors.

Delfino, Erriquez, Martinico, Nardini, Rulli, Venturini: kANNolo: Sweet and Smooth Approximate
k-Nearest Neighbors Search, ECIR 2025.

Its fixed-point forms keep values below 4 (8 bits) or 8 (16 bits): larger weights would be cut off,
so the documents are scaled to fit.
"""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kannolo
import numpy as np

from peers.base import (
    Case,
    Collection,
    Engine,
    Ids,
    Parameters,
    Searcher,
    grid,
    scaled_to,
)
from sparsearch import SparseVectors

KINDS = {
    "plain": kannolo.SparsePlainHNSW,
    "u16": kannolo.SparseFixedU16HNSW,
    "u8": kannolo.SparseFixedU8HNSW,
    "dotpacking8": kannolo.SparseDotPacking8HNSW,
}
LARGEST_VALUE = {"u16": 65535 / 8192, "u8": 255 / 64, "dotpacking8": 255 / 64}
# Wide beams, and the narrow ones with a growing threshold of the published best settings.
BEAMS = grid(ef_search=(10, 15, 20, 30, 40, 60, 80, 120, 200, 400), early_exit_threshold=(None,))
ADAPTIVE = grid(ef_search=(10, 15), early_exit_threshold=(0.02, 0.05, 0.08, 0.12, 0.16))


class Kannolo(Engine):
    """One graph for each kind of values, and the exhaustive search of its flat index."""

    packages = ("kannolo",)

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        searches = (*BEAMS, *ADAPTIVE)

        def build(kind: str, m: int, width: int) -> dict[str, Any]:
            return {"kind": kind, "m": m, "ef_construction": width, "graph_type": "permuted"}

        if quick:
            return [Case(build("plain", 16, 100), searches)]
        cases = [
            Case(build("plain", m, width), searches)
            for m, width in ((16, 200), (16, 500), (32, 200), (32, 500))
        ]
        cases += [Case(build(kind, 32, 500), searches) for kind in ("u8", "dotpacking8")]
        compressed = {**build("dotpacking8", 32, 500), "graph_type": "compressed"}
        return [*cases, Case(compressed, searches), Case({"kind": "flat"}, exact=({},))]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        kind = parameters["kind"]
        if kind in LARGEST_VALUE:
            documents = scaled_to(documents, LARGEST_VALUE[kind])
        arrays = flat_arrays(documents)
        start = time.perf_counter()
        if kind == "flat":
            index = kannolo.SparseFlatIndex.build_from_arrays(*arrays)
        else:
            index = KINDS[kind].build_from_arrays(
                *arrays,
                m=parameters["m"],
                ef_construction=parameters["ef_construction"],
                graph_type=parameters["graph_type"],
                **metric_of(kind),
            )
        index.save(str(folder / "index"))
        return time.perf_counter() - start

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        path = str(folder / "index")
        if parameters["kind"] == "flat":
            return KannoloSearcher(kannolo.SparseFlatIndex.load(path))
        kind = KINDS[parameters["kind"]]
        metric = metric_of(parameters["kind"])
        return KannoloSearcher(kind.load(path, graph_type=parameters["graph_type"], **metric))


class KannoloSearcher(Searcher):
    """Any of its indexes: they differ only in the parameters of a search."""

    batch_threads = (1, 2)

    def __init__(self, index: Any) -> None:
        self._index = index

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        rows = map(queries.row, range(len(queries)))
        return [(terms.astype(np.int32), weights.copy()) for terms, weights in rows]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        return self._index.search(*query, k, **parameters)

    def ids(self, result: Any) -> Ids:
        return np.asarray(result[1], dtype=np.int64)

    def prepare_batch(self, queries: SparseVectors, scratch: Path) -> Any:
        return flat_arrays(queries)

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        self._index.batch_search(*batch, k, **parameters, num_threads=threads)


def metric_of(kind: str) -> dict[str, str]:
    """Return the metric argument of those that do not always take the inner product."""
    return {"metric": "dotproduct"} if kind in ("u8", "u16") else {}


def flat_arrays(vectors: SparseVectors) -> tuple[Any, Any, Any]:
    return vectors.term_ids.astype(np.int32), np.array(vectors.weights), np.array(vectors.offsets)
