"""The teacher: dense similarity and BM25, mixed as two systems would be, and its best passages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from config import TrainingConfig
from dense import DenseTexts
from numpy.typing import NDArray
from scipy import sparse
from texts import TrainingText

from sparsearch.encoders import Bm25Encoder
from sparsearch.vectors import SparseVectors

_LEAST_BEST = 3.0
"""BM25 scores of queries that hardly match anything are divided by this instead of their best."""

_MIXED, _EACH = 24, 12


@dataclass(frozen=True)
class Bm25Matrices:
    """BM25 as a product of two matrices.

    Parameters
    ----------
    queries, passages : csr_array of float32, one row a text
    """

    queries: sparse.csr_array
    passages: sparse.csr_array


@dataclass(frozen=True)
class Teacher:
    """What the teacher needs to score any passage for any query.

    Parameters
    ----------
    bm25 : Bm25Matrices
    best : ndarray of float32 [queries]
        The best BM25 score of each query.
    candidates : ndarray of int32 [queries, 48]
        Passages worth ranking for each query: the best of the mixture and of each part.
    """

    bm25: Bm25Matrices
    best: NDArray[np.float32]
    candidates: NDArray[np.int32]


class _Counted:
    """Statistics of passages given as a matrix of counts."""

    def __init__(self, counts: sparse.csr_array) -> None:
        self.n_documents = counts.shape[0]
        self.lengths = np.asarray(counts.sum(axis=1)).ravel()
        self.average_length = float(self.lengths.mean())
        self._frequencies = np.bincount(counts.indices, minlength=counts.shape[1])

    def document_frequencies(self, term_ids: NDArray[np.uint32], /) -> NDArray[np.int64]:
        return self._frequencies[term_ids]


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


def make_teacher(
    text: TrainingText,
    passages: DenseTexts,
    queries: DenseTexts,
    config: TrainingConfig,
    cache: Path,
) -> Teacher:
    """Score all passages for all queries, and keep the best; or read that from the cache."""
    bm25 = bm25_matrices(text.queries, text.passages)
    path = cache / f"candidates-{len(text.queries)}-{len(text.passages)}-{config.dense_range}.npz"
    if not path.is_file():
        by_term = bm25.passages.T.tocsr()
        best, candidates = [], []
        for start in range(0, len(text.queries), 512):
            lexical = (bm25.queries[start : start + 512] @ by_term).toarray()
            cosine = queries.vectors[start : start + 512] @ passages.vectors.T
            top = np.maximum(lexical.max(axis=1), _LEAST_BEST)
            mixed = lexical / top[:, None] + cosine / config.dense_range
            best.append(top)
            candidates.append(
                np.hstack([_best(mixed, _MIXED), _best(cosine, _EACH), _best(lexical, _EACH)])
            )
        np.savez(path, best=np.concatenate(best), candidates=np.vstack(candidates))
    with np.load(path) as stored:
        return Teacher(bm25, stored["best"].astype(np.float32), stored["candidates"])


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    return np.argpartition(-scores, count, axis=1)[:, :count].astype(np.int32)


def _matrix(vectors: SparseVectors) -> sparse.csr_array:
    return sparse.csr_array(
        (vectors.weights, vectors.term_ids.astype(np.int64), vectors.offsets),
        shape=(len(vectors), vectors.dimension),
    )
