"""The default encoder beside BM25, dense vectors, and the two as two systems, on real collections.

All but the dense vectors search an index of sparsearch. What a model makes of a collection is kept
in a cache folder, so the table can be made anew without encoding again.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, markdown_table, write_results
from sparsearch.encoders import CollectionStatistics, Encoder, HybridEncoder, load_default
from sparsearch.encoders.hybrid_folder import load_hybrid
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.index.documents import check_documents

sys.path.insert(0, str(REPOSITORY / "training" / "default"))

COLLECTIONS = (
    "cranfield", "cacm", "med", "cystic-fibrosis", "csfcube", "msmarco-dl19-pool", "nq-mini",
    "dbpedia-entity-5k", "time", "cosqa", "pubmedqa-l", "squadshifts-newwiki", "xquad-en", "lisa",
    "vaswani-npl", "wikiqa", "checkthat20-claims", "locomo-turns",
)  # fmt: skip
LARGE = ("medquad-liveqa", "acm-cr")
"""Of 17 and 109 thousand documents: only BM25 and the default. Dense vectors would take hours."""
MEASURES = ("nDCG@10", "R@100")
DENSE_RANGE = 0.7
"""Cosine that counts as much as the best BM25 score of a query, in the mixture of two systems."""
K = 1000


class CachedEncoder(Encoder):
    """Another encoder, whose documents' vectors are kept on disk."""

    def __init__(self, inner: Encoder, cache: Path) -> None:
        self._inner = inner
        self._cache = cache

    @property
    def identity(self) -> dict[str, Any]:
        """As the other's."""
        return self._inner.identity

    @property
    def vocabulary(self) -> ss.Vocabulary:
        """As the other's."""
        return self._inner.vocabulary

    @property
    def saturation(self) -> None:
        """None: the other's weights are final."""
        return None

    def encode_documents(self, texts: Sequence[str]) -> ss.SparseVectors:
        """Return the other's vectors, from the cache if it has them."""
        key = "\0".join([str(self.identity), *texts])
        path = self._cache / f"sparse-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
        if not path.is_file():
            made = self._inner.encode_documents(texts)
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez(path, offsets=made.offsets, term_ids=made.term_ids, weights=made.weights)
        with np.load(path) as stored:
            arrays = (stored["offsets"], stored["term_ids"], stored["weights"])
        return ss.SparseVectors(*arrays, self.vocabulary)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> ss.SparseVectors:
        """Return the other's vectors."""
        return self._inner.encode_queries(texts, statistics)


def index_run(dataset: Dataset, encoder: Encoder, k: int = K) -> ss.Run:
    """Search an index of the collection."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ss.Index.create(Path(folder) / "index", encoder) as index,
    ):
        index.add(dataset.documents())
        index.optimize()
        return index.search_batch(dataset.judged_queries(), k=k)


def cached(hybrid: HybridEncoder, cache: Path) -> HybridEncoder:
    """Return the same encoder, with the learned part's vectors from the cache."""
    learned = CachedEncoder(hybrid.learned, cache)
    return HybridEncoder(hybrid.lexical, learned, hybrid.learned_weight)


def hybrid_run(dataset: Dataset, hybrid: HybridEncoder, cache: Path) -> ss.Run:
    """Search an index of the collection, with the learned part's vectors from the cache."""
    return index_run(dataset, cached(hybrid, cache))


def dense_scores(dataset: Dataset, cache: Path) -> NDArray[np.float32]:
    """Return the cosines of all-MiniLM-L6-v2, ``[queries, documents]``."""
    encode_cached = import_module("dense").encode_cached  # of training/default
    texts = [record.content for record in check_documents(dataset.documents())]
    documents = encode_cached(texts, cache).vectors
    queries = encode_cached(list(dataset.judged_queries().values()), cache).vectors
    scores: NDArray[np.float32] = queries @ documents.T
    return scores


def two_systems(dataset: Dataset, bm25: ss.Run, cache: Path) -> dict[str, ss.Run]:
    """Return the run of the dense vectors, and of their mixture with all BM25 scores."""
    ids = [str(document["id"]) for document in dataset.documents()]
    places = {document_id: place for place, document_id in enumerate(ids)}
    queries = list(dataset.judged_queries())
    dense = dense_scores(dataset, cache)
    lexical = np.zeros_like(dense)
    for row, query in enumerate(queries):
        for document_id, score in bm25[query]:
            lexical[row, places[document_id]] = score
    best = np.maximum(lexical.max(axis=1, keepdims=True), 1e-9)
    mixed = lexical / best + dense / DENSE_RANGE
    return {
        name: ss.Run.from_rankings(
            {query: _best(ids, scores[row]) for row, query in enumerate(queries)}, name
        )
        for name, scores in (("dense MiniLM", dense), ("BM25 + dense, two systems", mixed))
    }


def _best(ids: Sequence[str], scores: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
    order = np.argsort(-scores, kind="stable")[:K]
    return [ids[i] for i in order.tolist()], scores[order]


def runs_of(dataset: Dataset, tier0: Path | None, cache: Path) -> dict[str, ss.Run]:
    """Return the run of every system."""
    large = dataset.name in LARGE
    bm25 = index_run(dataset, ss.Bm25Encoder(), k=K if large else 10**9)
    runs = {"BM25": bm25}
    if not large:
        runs |= two_systems(dataset, bm25, cache)
    default = load_default()
    of_words = HybridEncoder(ss.Bm25Config(), default.learned, default.learned_weight)
    hybrids = {"default without pairs": of_words, "default": default}
    if tier0 is not None and not large:
        hybrids = {"tier 0": load_hybrid(tier0), **hybrids}
    return runs | {name: hybrid_run(dataset, hybrid, cache) for name, hybrid in hybrids.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS + LARGE)
    parser.add_argument("--tier0", type=Path, help="folder of build.py --epochs 0 --output FOLDER")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "encodings")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    marks: dict[str, dict[str, str]] = {}
    for name in arguments.collections:
        dataset = load_dataset(str(data_folder() / name))
        runs = runs_of(dataset, arguments.tier0, arguments.cache)
        figures[name] = {
            system: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean)
            for system, run in runs.items()
        }
        marks[name] = marks_of(dataset, runs, "BM25", "*")
        print(name, {s: round(m["nDCG@10"], 4) for s, m in figures[name].items()}, flush=True)
    groups = ([name for name in figures if (name in LARGE) == large] for large in (False, True))
    parts = [{name: figures[name] for name in group} for group in groups if group]
    tables = [table(part, marks, measure) for part in parts for measure in MEASURES]
    body = "\n\n".join(tables)
    note = (
        "Test splits. BM25: Snowball stemming, stop words left out, k1 1.2, b 0.75; the same words "
        "are the lexical part of tier 0 and of the default, which have pairs of neighbouring words "
        "besides. * differs from BM25 (paired t-test per "
        "collection, Holm's correction, p < 0.05). Dense: cosine over the first 256 word pieces. "
        "Two systems: BM25 score over its maximum plus cosine over 0.7, of all documents.\n\n"
    )
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "torch", "ir-measures"])
    report = {"measures": figures, "marks": marks}
    title, options = "Quality of the default encoder", "--tier0 FOLDER" if arguments.tier0 else ""
    write_results("encoders-quality", title, note + body, facts, report, options=options)


def marks_of(
    dataset: Dataset, runs: Mapping[str, ss.Run], baseline: str, mark: str
) -> dict[str, str]:
    """Return the mark for each run whose nDCG@10 differs significantly from the baseline's."""
    compared = ss.compare(runs, dataset.qrels, MEASURES[:1], baseline=baseline)
    return {row.run: mark for row in compared.rows if row.significant}


def table(
    figures: Mapping[str, Mapping[str, Mapping[str, float]]],
    marks: Mapping[str, Mapping[str, str]],
    measure: str,
) -> str:
    """Return the table of one measure; what is marked is nDCG@10."""
    systems = list(next(iter(figures.values())))
    values = np.array([[of[s][measure] for s in systems] for of in figures.values()])
    rows: list[list[object]] = []
    for name, of in zip(figures, values, strict=True):
        found = marks[name] if measure == MEASURES[0] else {}
        cells = (f"{v:.4f}{found.get(s, '')}" for s, v in zip(systems, of, strict=True))
        rows.append([name, *cells])
    means = values.mean(axis=0)
    gains = (values / values[:, :1]).mean(axis=0) - 1
    rows.append(["**mean**", *(f"{mean:.4f}" for mean in means)])
    rows.append(["mean against BM25's", *(f"{mean / means[0] - 1:+.1%}" for mean in means)])
    rows.append(["mean of the gains", *(f"{gain:+.1%}" for gain in gains)])
    return markdown_table([measure, *systems], rows)


if __name__ == "__main__":
    main()
