"""Engines that can be compared, one file each; a file is imported only when its engine is wanted.

bm25s is not among them: it can be given document weights, but the terms of a query have none.
"""

from __future__ import annotations

from importlib import import_module

from peers.base import Engine

ENGINES = {
    "ours": "Sparsearch",
    "seismic": "Seismic",
    "kannolo": "Kannolo",
    "qdrant": "Qdrant",
    "milvus": "Milvus",
    "scipy": "Scipy",
}


def load_engine(name: str) -> Engine:
    """Return an engine; raises ImportError if its package is not installed."""
    engine: Engine = getattr(import_module(f"peers.{name}"), ENGINES[name])()
    return engine
