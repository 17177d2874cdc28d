"""Learned sparse retrieval: encode, index, search, explain and evaluate.

Public names are resolved on first use, so that importing the package stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsearch.client import AsyncClient, Client
    from sparsearch.encoders import Bm25Config, Bm25Encoder, Encoder
    from sparsearch.errors import SparsearchError
    from sparsearch.evaluation import compare, evaluate
    from sparsearch.index import Feedback, Index, IndexConfig
    from sparsearch.runs import Hit, Qrels, Run
    from sparsearch.training import TrainConfig, train
    from sparsearch.vectors import SparseVectors, Vocabulary

__version__ = "0.1.0"

_EXPORTS = {
    "AsyncClient": "sparsearch.client",
    "Bm25Config": "sparsearch.encoders",
    "Bm25Encoder": "sparsearch.encoders",
    "Client": "sparsearch.client",
    "Encoder": "sparsearch.encoders",
    "Feedback": "sparsearch.index",
    "Hit": "sparsearch.runs",
    "Index": "sparsearch.index",
    "IndexConfig": "sparsearch.index",
    "Qrels": "sparsearch.runs",
    "Run": "sparsearch.runs",
    "SparseVectors": "sparsearch.vectors",
    "SparsearchError": "sparsearch.errors",
    "TrainConfig": "sparsearch.training",
    "Vocabulary": "sparsearch.vectors",
    "compare": "sparsearch.evaluation",
    "evaluate": "sparsearch.evaluation",
    "train": "sparsearch.training",
}

__all__ = [
    "AsyncClient",
    "Bm25Config",
    "Bm25Encoder",
    "Client",
    "Encoder",
    "Feedback",
    "Hit",
    "Index",
    "IndexConfig",
    "Qrels",
    "Run",
    "SparseVectors",
    "SparsearchError",
    "TrainConfig",
    "Vocabulary",
    "__version__",
    "compare",
    "evaluate",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sparsearch' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
