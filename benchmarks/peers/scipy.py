"""scipy: a sparse matrix product over the posting lists of the query's terms, exact."""

# ruff: noqa: D102 (the methods are described in base.py)

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from peers.base import Case, Collection, Engine, Ids, Parameters, Searcher
from sparsearch import SparseVectors


class Scipy(Engine):
    """The posting lists as a matrix in compressed row form, one row a term."""

    packages = ("scipy",)

    def cases(self, collection: Collection, quick: bool) -> list[Case]:
        return [Case({}, exact=({},))]

    def build(self, documents: SparseVectors, parameters: Parameters, folder: Path) -> float:
        matrix = documents.to_scipy()
        start = time.perf_counter()
        scipy.sparse.save_npz(folder / "lists.npz", matrix.T.tocsr(), compressed=False)
        return time.perf_counter() - start

    def open(self, folder: Path, parameters: Parameters) -> Searcher:
        return ScipySearcher(scipy.sparse.load_npz(folder / "lists.npz"))


class ScipySearcher(Searcher):
    """Products of a sparse row and the lists, and a partition of the scores."""

    batch_threads = (1,)

    def __init__(self, lists: Any) -> None:
        self._lists = lists

    def prepare(self, queries: SparseVectors) -> Sequence[Any]:
        terms = self._lists.shape[0]
        if queries.dimension > terms:  # no document has the others
            columns = np.flatnonzero(queries.term_ids < terms)
            rows = np.searchsorted(queries.offsets, columns, side="right") - 1
            triples = queries.weights[columns], (rows, queries.term_ids[columns])
            matrix = scipy.sparse.coo_array(triples, shape=(len(queries), terms)).tocsr()
        else:
            matrix = queries.to_scipy(terms)
        return [matrix[[row]] for row in range(len(queries))]

    def search(self, query: Any, k: int, parameters: Parameters) -> Any:
        scores = query @ self._lists
        best = np.arange(scores.nnz)
        if scores.nnz > k:
            best = np.argpartition(scores.data, scores.nnz - k)[-k:]
        return scores.indices[best[np.argsort(-scores.data[best])]]

    def ids(self, result: Any) -> Ids:
        return np.asarray(result, dtype=np.int64)

    def search_batch(self, batch: Any, k: int, threads: int, parameters: Parameters) -> None:
        for query in batch:
            self.search(query, k, parameters)
