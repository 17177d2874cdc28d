"""Compiling every kernel before anybody waits for it, by using small indexes in every way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from sparsearch.encoders import Bm25Config, Bm25Encoder
from sparsearch.index.config import IndexConfig
from sparsearch.index.feedback import Feedback
from sparsearch.index.index import Index
from sparsearch.index.search import plan_queries
from sparsearch.kernels.exact import guess_thresholds
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["warm_up"]

_FEW = 200
_MANY = 33_000
"""Documents from which on a search for many hits starts with a sample. Here they have more terms
than 16 bits can number, which other kernels take care of."""
_HALF_OF_16_BITS = 2**15


def warm_up(progress: Callable[[int, int], None] | None = None, index: Index | None = None) -> None:
    """Compile kernels now; where they are compiled already, this takes some seconds.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of steps done and of all.
    index : Index, optional
        What kernels are compiled for: about a third of all. Those for segments of more than
        65,536 terms are among them if it has half as many.

    Raises
    ------
    StorageUnavailableError
        If there is no room for small indexes in the system's temporary folder.
    EncoderUnavailableError
        If the encoder of `index` cannot be loaded.
    """
    uses = _ALL if index is None else _suited_to(index)
    for number, use in enumerate(uses):
        if progress is not None:
            progress(number, len(uses))
        _compile(use)


@cache
def _compile(use: _Use) -> None:
    """Compile what a use needs; once is enough for a process."""
    with tempfile.TemporaryDirectory(prefix="sparsearch-") as folder:
        use.run(Path(folder) / "index")


def _suited_to(index: Index) -> list[_Use]:
    bits = index.config.weight_bits
    if index.splits_words or not index.can_approximate:
        return [_Words(bits)]
    may_be_many = index.info().terms > _HALF_OF_16_BITS
    return [_Vectors(bits, count) for count in ((_FEW, _MANY) if may_be_many else (_FEW,))]


@dataclass(frozen=True)
class _Words:
    """An index of words, with weights of so many bits."""

    weight_bits: int

    def run(self, path: Path) -> None:
        """Make the index, and use it in every way."""
        encoder = Bm25Encoder(Bm25Config(pair_weight=1.0))
        with Index.create(path, encoder, IndexConfig(weight_bits=self.weight_bits)) as index:
            for portion in range(2):
                numbers = range(portion * _FEW, (portion + 1) * _FEW)
                index.add({"id": str(i), "text": f"Some words, {i}.", "n": i} for i in numbers)
                index.delete([str(numbers[0])])
                _search(index, index.encode_queries(["some words", "1"]))
            index.optimize()
            _search(index, index.encode_queries(["some words", "1"]))
            index.explain("some words", "1")
            _sample(index)


@dataclass(frozen=True)
class _Vectors:
    """An index of vectors from outside, with weights of so many bits."""

    weight_bits: int
    n_documents: int

    def run(self, path: Path) -> None:
        """Make the index, and use it in every way."""
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


def _sample(index: Index) -> None:
    """Take a sample as a search for many hits does of many thousand documents."""
    snapshot = index._snapshot
    plan = plan_queries(snapshot, index.encode_queries(["1"]), index.config.max_code)
    queries = plan.offsets, plan.located[0], plan.multipliers[0]
    segment, everything = snapshot.segments[0], np.empty(0, np.bool_)
    thresholds = np.zeros(1, np.int64)
    guess_thresholds(
        segment.count_lists, everything, segment.n_documents, queries, (1, 1), thresholds, 0, 1
    )


_Use = _Words | _Vectors
_ALL: Final[tuple[_Use, ...]] = (
    *(_Words(bits) for bits in (12, 8)),
    *(_Vectors(bits, count) for bits in (12, 8) for count in (_FEW, _MANY)),
)
