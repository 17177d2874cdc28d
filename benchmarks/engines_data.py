"""The vectors that engines are compared on, and their exact nearest neighbours, on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peers.base import Collection, Ids
from peers.files import load_vectors, save_vectors
from sparsearch import SparseVectors
from sparsearch.vectors import read_bigann_csr

DEPTH = 128  # deeper than any measure, so that ties with its last place can be seen
BLOCK = 1 << 17
SEED = 0
MADE_UP = re.compile(r"(?P<model>[a-z0-9-]+)-(?P<count>\d+)(?P<unit>[km]?)")


@dataclass(frozen=True)
class Truth:
    """The best documents of each query by inner product in double precision.

    Attributes
    ----------
    ids : ndarray of int64, shape (queries, DEPTH)
        Best first; -1 where fewer documents have a positive score.
    scores : ndarray of float64, shape (queries, DEPTH)
    """

    ids: Ids
    scores: NDArray[np.float64]

    def recall(self, query: int, found: Ids, k: int) -> float:
        """Return how many of the best k were found; any document tied with the last one counts."""
        possible = min(k, int((self.ids[query] >= 0).sum()))
        if not possible:
            return 1.0
        right = self.ids[query][self.scores[query] >= self.scores[query, possible - 1]]
        return min(possible, int(np.isin(right, found[:k]).sum())) / possible


@dataclass(frozen=True)
class Dataset:
    """A folder with documents, queries and their truth, as memory-mapped arrays."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of the dataset and of its results."""
        return self.folder.name

    def documents(self) -> SparseVectors:
        """Return the documents; they stay on the disk until they are used."""
        return load_vectors(self.folder, "document_")

    def queries(self) -> SparseVectors:
        """Return the queries."""
        return load_vectors(self.folder, "query_")

    def truth(self) -> Truth:
        """Return the exact nearest neighbours."""
        return Truth(*(np.load(self.folder / f"truth_{name}.npy") for name in ("ids", "scores")))

    def collection(self) -> Collection:
        """Return the facts that grids of parameters depend on."""
        documents = self.documents()
        return Collection(len(documents), documents.nnz, documents.dimension)


def open_dataset(name: str, cache: Path, queries: int) -> Dataset:
    """Return a dataset, made on first use.

    Parameters
    ----------
    name : str
        A model of `lsr_vectors` and a number of documents, as in ``splade-1m``; or a folder with
        one ``base*.csr`` and one ``queries*.csr`` file in the format of the BigANN sparse track.
    cache : Path
        Where datasets are kept.
    queries : int
        How many queries at most.
    """
    source = Path(name)
    dataset = Dataset(cache / f"{source.name}-{queries}q" / source.name)
    done = dataset.folder / "done"
    if not done.exists():
        dataset.folder.mkdir(parents=True, exist_ok=True)
        read = _read_bigann(source, queries) if source.is_dir() else _make_up(name, queries)
        save_vectors(dataset.folder, read[0], "document_")
        save_vectors(dataset.folder, [read[1]], "query_")
        truth = exact_neighbours(dataset.documents(), dataset.queries())
        np.save(dataset.folder / "truth_ids.npy", truth.ids)
        np.save(dataset.folder / "truth_scores.npy", truth.scores)
        done.touch()
    return dataset


def _read_bigann(folder: Path, count: int) -> tuple[Iterable[SparseVectors], SparseVectors]:
    files = [list(folder.glob(f"{kind}*.csr")) for kind in ("base", "queries")]
    if any(len(found) != 1 for found in files):
        raise SystemExit(f"{folder} must hold one base*.csr and one queries*.csr file")
    documents, queries = (read_bigann_csr(found[0]) for found in files)
    return [documents], queries[:count]


def _make_up(name: str, count: int) -> tuple[Iterable[SparseVectors], SparseVectors]:
    # Compiles for seconds, and other datasets do without.
    from lsr_vectors import MODELS, documents, queries

    parts = MADE_UP.fullmatch(name)
    if parts is None or parts["model"] not in MODELS:
        known = ", ".join(f"{model}-1m" for model in MODELS)
        raise SystemExit(f"{name} is neither a folder nor a made-up dataset such as {known}")
    model = MODELS[parts["model"]]
    size = int(parts["count"]) * {"": 1, "k": 1_000, "m": 1_000_000}[parts["unit"]]
    return documents(model, size, SEED), queries(model, size, count, SEED)


def exact_neighbours(documents: SparseVectors, queries: SparseVectors) -> Truth:
    """Return the best documents of each query, block by block of documents."""
    ids = np.full((len(queries), DEPTH), -1, dtype=np.int64)
    scores = np.full((len(queries), DEPTH), -np.inf)
    for start in range(0, len(documents), BLOCK):
        block = documents[start : start + BLOCK]
        for query, (found, found_scores) in enumerate(_block_neighbours(block, queries)):
            all_ids = np.concatenate([ids[query], found + start])
            all_scores = np.concatenate([scores[query], found_scores])
            order = np.argsort(-all_scores, kind="stable")[:DEPTH]
            ids[query], scores[query] = all_ids[order], all_scores[order]
        print(f"exact neighbours: {start + len(block)} of {len(documents)} documents", flush=True)
    return Truth(ids, scores)


def _block_neighbours(
    block: SparseVectors, queries: SparseVectors
) -> Iterator[tuple[Ids, NDArray[np.float64]]]:
    """Yield, for each query, the best rows of a block with positive scores, and these."""
    lists = block.to_scipy(max(block.dimension, queries.dimension)).tocsc()
    depth = min(DEPTH, len(block))
    for query in range(len(queries)):
        scores = np.zeros(len(block))
        for term, weight in zip(*queries.row(query), strict=True):
            part = slice(lists.indptr[term], lists.indptr[term + 1])
            # A document stands in a list once, so that no addition is lost.
            scores[lists.indices[part]] += float(weight) * lists.data[part].astype(np.float64)
        rows = np.argpartition(scores, len(block) - depth)[-depth:]
        rows = np.sort(rows[scores[rows] > 0])
        yield rows, scores[rows]
