"""Sparse vectors over a vocabulary, and the files that hold them."""

from __future__ import annotations

from sparsearch.vectors.batch import SparseVectors
from sparsearch.vectors.bigann import (
    GroundTruth,
    read_bigann_csr,
    read_ground_truth,
    write_bigann_csr,
)
from sparsearch.vectors.jsonl import (
    VectorBatch,
    free_names,
    read_json_vectors,
    write_json_vectors,
)
from sparsearch.vectors.npz import VectorFile, load_npz, save_npz
from sparsearch.vectors.term_ids import vectors_by_term_id
from sparsearch.vectors.vocabulary import MAX_TERMS, Vocabulary

__all__ = [
    "MAX_TERMS",
    "GroundTruth",
    "SparseVectors",
    "VectorBatch",
    "VectorFile",
    "Vocabulary",
    "free_names",
    "load_npz",
    "read_bigann_csr",
    "read_ground_truth",
    "read_json_vectors",
    "save_npz",
    "vectors_by_term_id",
    "write_bigann_csr",
    "write_json_vectors",
]
