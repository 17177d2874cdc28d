"""BM25 scores of texts, by the encoder that the index uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sparsearch.encoders import Bm25Encoder
from sparsearch.vectors import SparseVectors


@dataclass(frozen=True)
class Bm25Matrices:
    """BM25 as a product of two matrices.

    Parameters
    ----------
    queries, passages : csr_array of float32, one row a text
    """

    queries: sparse.csr_array
    passages: sparse.csr_array


class _Counted:
    """Statistics of passages given as a matrix of counts."""

    def __init__(self, counts: sparse.csr_array) -> None:
        self.n_documents = counts.shape[0]
        self.lengths = np.asarray(counts.sum(axis=1)).ravel()
        self.average_length = float(self.lengths.mean())
        self._frequencies = np.bincount(counts.indices, minlength=counts.shape[1])

    def document_frequencies(self, term_ids: NDArray[np.uint32], /) -> NDArray[np.int64]:
        return self._frequencies[term_ids]


def idf(frequencies: NDArray[np.int64], n_documents: int) -> NDArray[np.float64]:
    """Return BM25's inverse document frequencies; the largest for terms that no document holds."""
    others = n_documents - frequencies
    return np.asarray(np.log1p((others + 0.5) / (frequencies + 0.5)))


def bm25_matrices(queries: list[str], passages: list[str]) -> Bm25Matrices:
    """Encode with the same `Bm25Encoder` that the index uses."""
    encoder = Bm25Encoder()
    counts = _matrix(encoder.encode_documents(passages))
    statistics = _Counted(counts)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    weights = encoder.saturation.weights(
        counts.data, statistics.lengths[rows], statistics.average_length
    )
    saturated = sparse.csr_array((weights, counts.indices, counts.indptr), shape=counts.shape)
    return Bm25Matrices(_matrix(encoder.encode_queries(queries, statistics)), saturated)


def _matrix(vectors: SparseVectors) -> sparse.csr_array:
    return sparse.csr_array(
        (vectors.weights, vectors.term_ids.astype(np.int64), vectors.offsets),
        shape=(len(vectors), vectors.dimension),
    )
