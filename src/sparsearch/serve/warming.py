"""Using an index's kernels before anybody waits for them.

A kernel that was never used on a machine is compiled first, for seconds, in which no other thread
of the process gets far.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from sparsearch.errors import StorageUnavailableError
from sparsearch.index import Index
from sparsearch.vectors import SparseVectors

__all__ = ["warm_up"]

_log = logging.getLogger("sparsearch.serve")
_COUNT = 200


def warm_up(index: Index) -> None:
    """Search an index, and write to and search a small one of the same kind."""
    _search(index, index.sample_queries()[:4])
    try:
        with tempfile.TemporaryDirectory(prefix="sparsearch-") as folder:
            _use_another(Path(folder) / "index", index)
    except (OSError, StorageUnavailableError) as error:
        _log.warning("not warmed up, the first requests may take long: %s", error)


def _use_another(folder: Path, index: Index) -> None:
    encoder = "bm25" if index.info().encoder is not None else None
    with Index.create(folder, encoder, index.config) as another:
        for first in (0, _COUNT):
            ids = [str(i) for i in range(first, first + _COUNT)]
            if encoder is None:
                another.add_vectors(ids, _vectors(first, with_strings=not index.has_term_ids))
            else:
                another.add({"id": i, "text": f"some words {i}", "n": int(i)} for i in ids)
            another.delete(ids[:1])
            _search(another, another.sample_queries()[:4])
        another.optimize()


def _search(index: Index, queries: SparseVectors) -> None:
    for recall in (None, 0.9):
        for k in (10, 100):
            index.search_batch(queries, k, recall=recall)


def _vectors(first: int, *, with_strings: bool) -> SparseVectors:
    """Return vectors of a term that all have and one of their own."""
    rows = [{0: 1.0, first + row + 1: 0.5} for row in range(_COUNT)]
    if with_strings:
        strings = [{str(term): weight for term, weight in row.items()} for row in rows]
        return SparseVectors.from_dicts(strings)
    return SparseVectors.from_dicts(rows)
