"""Compiling every kernel before anybody waits for it, by using small indexes in every way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparsearch.encoders import Bm25Config, Bm25Encoder
from sparsearch.index.config import IndexConfig
from sparsearch.index.feedback import Feedback
from sparsearch.index.index import Index
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["warm_up"]

_FEW = 200
_MANY = 33_000
"""Documents from which on a search for many hits starts with a sample. Here they have more terms
than 16 bits can number, which other kernels take care of."""


def warm_up(progress: Callable[[int, int], None] | None = None) -> None:
    """Compile all kernels now; where they are compiled already, this takes some seconds.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of steps done and of all.

    Raises
    ------
    StorageUnavailableError
        If there is no room for small indexes in the system's temporary folder.
    """
    works = [_Vectors(bits, count) for bits in (8, 12) for count in (_FEW, _MANY)]
    report = progress or (lambda done, total: None)
    with tempfile.TemporaryDirectory(prefix="sparsearch-") as folder:
        report(0, len(works) + 1)
        _use_text(Path(folder) / "text")
        for number, work in enumerate(works, start=1):
            report(number, len(works) + 1)
            work.use(Path(folder) / str(number))


def _use_text(path: Path) -> None:
    with Index.create(path, Bm25Encoder(Bm25Config(pair_weight=1.0))) as index:
        for portion in range(2):
            numbers = range(portion * _FEW, (portion + 1) * _FEW)
            index.add({"id": str(i), "text": f"Some words, {i}.", "n": i} for i in numbers)
            index.delete([str(numbers[0])])
            _search(index, index.encode_queries(["some words", "1"]))
        index.optimize()
        _search(index, index.encode_queries(["some words", "1"]))
        index.explain("some words", "1")


@dataclass(frozen=True)
class _Vectors:
    """An index of vectors from outside, with weights of so many bits."""

    weight_bits: int
    n_documents: int

    def use(self, path: Path) -> None:
        vectors = self._made_up()
        with Index.create(path, None, IndexConfig(weight_bits=self.weight_bits)) as index:
            for start, stop in ((0, self.n_documents), (self.n_documents, len(vectors))):
                fields = [{"n": i} for i in range(start, stop)]
                index.add_vectors([str(i) for i in range(start, stop)], vectors[start:stop], fields)
                index.delete([str(start)])
                _search(index, vectors[1:3])
            index.optimize()
            _search(index, vectors[1:3])
            index.tune(vectors[1:3])
            index.explain(vectors[1:2], "1")

    def _made_up(self) -> SparseVectors:
        """Return vectors of a term that all have and two of their own, and some to add later.

        The few vectors have a vocabulary, the many do not: their terms take different ways, too.
        """
        rows = np.arange(self.n_documents + _FEW)
        terms = np.stack([0 * rows, 2 * rows + 1, 2 * rows + 2], axis=1)
        words = Vocabulary(map(str, range(2 * len(rows) + 1))) if self.n_documents == _FEW else None
        offsets = 3 * np.arange(len(rows) + 1)
        return SparseVectors(offsets, terms.ravel(), 1.0 + terms.ravel() % 7, words)


def _search(index: Index, queries: SparseVectors) -> None:
    """Search for few and many hits, among all, many and few documents, exactly and not."""
    for k in (10, 100):
        for condition in (None, {"n": {">": 9}}, {"n": {"in": [5]}}):
            for recall in (None, 0.9):
                index.search_batch(queries, k, condition, recall=recall)
    index.search_batch(queries, feedback=Feedback())
