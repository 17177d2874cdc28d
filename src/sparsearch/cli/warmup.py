"""``sparsearch warmup``: compiling now what would be compiled on first use."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparsearch.cli._progress import steps

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.vectors import SparseVectors

EXAMPLES = ("sparsearch warmup",)

_FEW = 200
_MANY = 33_000
"""Documents from which on a search for many hits starts with a sample. Here they have more terms
than 16 bits can number, which other kernels take care of."""


def warmup() -> None:
    """Compile all kernels now, so that nothing has to wait for it later.

    Kernels are otherwise compiled when first used, and kept on disk. This makes small indexes in a
    temporary folder and searches them in every way: of use when building a container image, or
    before measuring. Run again, it finds everything compiled and is done soon.
    """
    started = time.perf_counter()
    works = [_Vectors(bits, count) for bits in (8, 12) for count in (_FEW, _MANY)]
    with tempfile.TemporaryDirectory(prefix="sparsearch-") as folder, steps("compiling") as done:
        done(0, len(works) + 1)
        _use_text(Path(folder) / "text")
        for number, work in enumerate(works, start=1):
            done(number, len(works) + 1)
            work.use(Path(folder) / str(number))
    from sparsearch.kernels.exact import search_segment

    print(f"all kernels are compiled, in {time.perf_counter() - started:.1f} s")
    print(f"kept in {search_segment.stats.cache_path}")


def _use_text(path: Path) -> None:
    from sparsearch.index import Index

    with Index.create(path) as index:
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
        from sparsearch.index import Index, IndexConfig

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
        import numpy as np

        from sparsearch.vectors import SparseVectors, Vocabulary

        rows = np.arange(self.n_documents + _FEW)
        terms = np.stack([0 * rows, 2 * rows + 1, 2 * rows + 2], axis=1)
        words = Vocabulary(map(str, range(2 * len(rows) + 1))) if self.n_documents == _FEW else None
        offsets = 3 * np.arange(len(rows) + 1)
        return SparseVectors(offsets, terms.ravel(), 1.0 + terms.ravel() % 7, words)


def _search(index: Index, queries: SparseVectors) -> None:
    """Search for few and many hits, among all, many and few documents, exactly and not."""
    for k in (10, 100):
        for condition in (None, {"n": {">": 9}}, {"n": 5}):
            for recall in (None, 0.9):
                index.search_batch(queries, k, condition, recall=recall)
