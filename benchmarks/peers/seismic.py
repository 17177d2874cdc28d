"""Seismic (pyseismic-lsr): blocks of pruned posting lists with summaries, and a forward index.

Bruch, Nardini, Rulli, Venturini: Efficient Inverted Indexes for Approximate Retrieval over Learned
Sparse Representations, SIGIR 2024.

Two forms of its forward index are measured. ``f16`` is `SeismicIndexRaw`, whose queries are
integers; ``dotvbyte`` is the compressed one, which the Python package offers only with token
strings, so that looking these up is part of its latency. Its 8-bit values are fixed-point numbers
below 4: larger weights would be cut off, so the documents are scaled to fit.
"""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seismic

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
from peers.files import load_vectors, save_vectors
from sparsearch import SparseVectors

# The published settings for MS MARCO keep about a tenth of all postings; smaller collections need
# larger shares, since the same few results come from shorter lists. Heap factors above 1 are not
# published, but on made-up vectors the fastest up to a recall of .98.
SHARES = (0.05, 0.1, 0.2, 0.4, 0.8)
CUTS = (2, 3, 4, 5, 6, 8, 10, 12)
FACTORS = (0.8, 0.9, 1.0, 1.1, 1.2)
LARGEST_VALUE = 255 / 64


class Seismic(Engine):
    """Pruned posting lists with two kinds of values, and an exhaustive search of all vectors."""

    packages = ("pyseismic-lsr",)

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        searches = grid(query_cut=CUTS, heap_factor=FACTORS, n_knn=(0,))
        with_neighbours = grid(query_cut=CUTS, heap_factor=FACTORS, n_knn=(0, 5, 10))

        def build(share: float, **others: Any) -> dict[str, Any]:
            postings = max(1, round(share * collection.mean_list_length))
            common = {"centroid_fraction": 0.1, "summary_energy": 0.4, "nknn": 0}
            return {"values": "f16", "n_postings": postings, **common, **others}

        if quick:
            # What matters is how many postings a document keeps.
            large = collection.documents > 400_000 and collection.mean_terms > 100
            shares = (0.05, 0.1) if large else (0.1, 0.2, 0.4)
            return [Case(build(share), searches) for share in shares]
        cases = [
            Case(build(share, centroid_fraction=fraction, summary_energy=energy), searches)
            for share in SHARES
            for fraction, energy in ((0.1, 0.4), (0.2, 0.4), (0.2, 0.5))
        ]
        cases += [Case(build(share, values="dotvbyte"), searches) for share in SHARES]
        cases += [Case(build(share, nknn=10), with_neighbours) for share in (0.1, 0.2)]
        return [*cases, Case({"values": "exhaustive"}, exact=({},))]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        if parameters["values"] == "exhaustive":  # lives in memory only
            save_vectors(folder, [documents])
            return 0.0
        settings = {"max_fraction": 6.0, "min_cluster_size": 2, **parameters}
        if settings.pop("values") == "dotvbyte":
            dataset = make_dataset(scaled_to(documents, LARGEST_VALUE))
            start = time.perf_counter()
            index = seismic.SeismicIndexDotVByte.build_from_dataset(dataset, **settings)
        else:
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / "documents.bin"
                write_binary(path, documents)
                start = time.perf_counter()
                index = seismic.SeismicIndexRaw.build(str(path), **settings)
        index.save(str(folder / "index"))
        if parameters["nknn"]:
            index.save_knn(str(folder / "neighbours"))
        return time.perf_counter() - start

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        if parameters["values"] == "exhaustive":
            return ExhaustiveSearcher(make_dataset(load_vectors(folder)))
        path = str(next(folder.glob("index*")))
        if parameters["values"] == "dotvbyte":
            return TokenSearcher(seismic.SeismicIndexDotVByte.load(path))
        index = seismic.SeismicIndexRaw.load(path)
        if parameters["nknn"] and not index.knn_len:
            index.load_knn(str(next(folder.glob("neighbours*"))))
        return RawSearcher(index)


class RawSearcher(Searcher):
    """Queries are integers; batches are read from a file."""

    batch_threads = (1, 2)

    def __init__(self, index: Any) -> None:
        self._index = index

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        rows = map(queries.row, range(len(queries)))
        return [(terms.astype(np.int32), weights.copy()) for terms, weights in rows]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        terms, weights = query
        cut, factor = parameters["query_cut"], parameters["heap_factor"]
        return self._index.search(terms, weights, k, cut, factor, parameters["n_knn"], True)

    def ids(self, result: Any) -> Ids:
        return np.array([number for _, number in result], dtype=np.int64)

    def prepare_batch(self, queries: SparseVectors, scratch: Path) -> Any:
        write_binary(scratch / "queries.bin", queries)
        return str(scratch / "queries.bin")

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        cut, factor = parameters["query_cut"], parameters["heap_factor"]
        neighbours = parameters["n_knn"]
        self._index.batch_search(batch, k, cut, factor, neighbours, True, num_threads=threads)


class TokenSearcher(Searcher):
    """Queries are token strings."""

    batch_threads = (1, 2)

    def __init__(self, index: Any) -> None:
        self._index = index

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        rows = map(queries.row, range(len(queries)))
        return [(as_tokens(terms), weights.copy()) for terms, weights in rows]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        return self._index.search("", *query, k, **parameters)

    def ids(self, result: Any) -> Ids:
        return np.array([int(name) for _, _, name in result], dtype=np.int64)

    def prepare_batch(self, queries: SparseVectors, scratch: Path) -> Any:
        names = as_tokens(np.arange(len(queries)))
        prepared = self.prepare(queries)
        return names, [terms for terms, _ in prepared], [weights for _, weights in prepared]

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        self._index.batch_search(*batch, k, **parameters, num_threads=threads)


class ExhaustiveSearcher(TokenSearcher):
    """`SeismicDataset`: the whole forward index is read for each query."""


def as_tokens(numbers: Any) -> Any:
    """Return numbers as the token strings that `add_documents_by_id` gives to its components."""
    return numbers.astype(str).astype(seismic.get_seismic_string())


def make_dataset(documents: SparseVectors) -> Any:
    """Return Seismic's collection in memory."""
    dataset = seismic.SeismicDataset(documents.dimension)
    names = [str(row) for row in range(len(documents))]
    terms = documents.term_ids.astype(np.int64)
    weights, offsets = np.array(documents.weights), np.array(documents.offsets)
    dataset.add_documents_by_id(names, terms, weights, offsets)
    return dataset


def write_binary(path: Path, vectors: SparseVectors) -> None:
    """Write Seismic's inner format: for each row its length, term ids and weights, 32 bits each."""
    with path.open("wb") as file:
        file.write(np.uint32(len(vectors)).tobytes())
        for row in range(len(vectors)):
            terms, weights = vectors.row(row)
            file.write(np.uint32(terms.size).tobytes() + terms.tobytes() + weights.tobytes())
