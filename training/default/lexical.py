"""BM25 scores of texts, by the encoder that the index uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sparsearch.encoders import Bm25Config, Bm25Encoder
from sparsearch.vectors import SparseVectors


@dataclass(frozen=True)
class LexicalScores:
    """BM25 scores of passages for queries.

    Parameters
    ----------
    words, pairs : ndarray of float32 [queries, passages]
        Of words, and of pairs of neighbouring words as if each counted as much as a word.
    """

    words: NDArray[np.float32]
    pairs: NDArray[np.float32]


class _Counted:
    """Statistics of passages given as a matrix of counts."""

    def __init__(self, counts: sparse.csr_array, lengths: NDArray[np.int64]) -> None:
        self.n_documents = counts.shape[0]
        self.average_length = float(lengths.mean())
        self._frequencies = np.bincount(counts.indices, minlength=counts.shape[1])

    def document_frequencies(self, term_ids: NDArray[np.uint32], /) -> NDArray[np.int64]:
        return self._frequencies[term_ids]


def idf(frequencies: NDArray[np.int64], n_documents: int) -> NDArray[np.float64]:
    """Return BM25's inverse document frequencies; the largest for terms that no document holds."""
    others = n_documents - frequencies
    return np.asarray(np.log1p((others + 0.5) / (frequencies + 0.5)))


def lexical_scores(queries: list[str], passages: list[str]) -> LexicalScores:
    """Return the scores by the same `Bm25Encoder` that the index uses."""
    encoder = Bm25Encoder(Bm25Config(pair_weight=1.0))
    vectors = encoder.encode_documents(passages)
    counts, lengths = _matrix(vectors), encoder.saturation.lengths(vectors)
    statistics = _Counted(counts, lengths)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    weights = encoder.saturation.weights(counts.data, lengths[rows], statistics.average_length)
    saturated = sparse.csr_array((weights, counts.indices, counts.indptr), shape=counts.shape)
    asked = _matrix(encoder.encode_queries(queries, statistics))
    is_pair = encoder.saturation.is_pair(asked.indices)
    scores = (
        sparse.csr_array((asked.data * kept, asked.indices, asked.indptr), shape=asked.shape)
        for kept in (~is_pair, is_pair)
    )
    return LexicalScores(*((part @ saturated.T).toarray() for part in scores))


def _matrix(vectors: SparseVectors) -> sparse.csr_array:
    return sparse.csr_array(
        (vectors.weights, vectors.term_ids.astype(np.int64), vectors.offsets),
        shape=(len(vectors), vectors.dimension),
    )
