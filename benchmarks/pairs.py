"""What pairs of neighbouring words cost: size and time of an index with and without them.

    python benchmarks/pairs.py

BM25 and the default encoder on acm-cr. Half an hour on two cores for reading it with the model,
unless the cache of encoders_quality.py has that; then two minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, markdown_table, write_results
from encoders_quality import cached
from sparsearch.encoders import Encoder, HybridEncoder, load_default
from sparsearch.evaluation import Dataset, load_dataset

QUERIES = 500
ROUNDS = 5
DEPTHS = (10, 1000)


def encoders(cache: Path) -> dict[str, Encoder]:
    """Return both encoders, without pairs and with them."""
    default = cached(load_default(), cache)
    with_pairs = default.lexical
    without = replace(with_pairs, pair_weight=0.0)
    return {
        "BM25": ss.Bm25Encoder(without),
        "BM25, pairs": ss.Bm25Encoder(with_pairs),
        "default without pairs": HybridEncoder(without, default.learned, default.learned_weight),
        "default": default,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", nargs="?", default="acm-cr")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "encodings")
    options = parser.parse_args()
    dataset = load_dataset(str(data_folder() / options.collection))
    queries = list(dataset.judged_queries().values())[:QUERIES]
    with tempfile.TemporaryDirectory() as folder:
        indexes = {
            name: build(Path(folder) / str(i), dataset, encoder)
            for i, (name, encoder) in enumerate(encoders(options.cache).items())
        }
        vectors = {
            name: [index.encode_queries([query]) for query in queries]
            for name, index in indexes.items()
        }
        times = {name: [np.inf] * len(DEPTHS) for name in indexes}
        for _ in range(ROUNDS):  # in turn, so that a slow moment of the machine is everybody's
            for name, index in indexes.items():
                taken = [microseconds(index, vectors[name], depth) for depth in DEPTHS]
                times[name] = np.minimum(times[name], taken).tolist()
        report(options.collection, indexes, times)


def build(folder: Path, dataset: Dataset, encoder: Encoder) -> ss.Index:
    """Return the index of a collection."""
    index = ss.Index.create(folder, encoder)
    index.add(dataset.documents())
    index.optimize()
    return index


def microseconds(index: ss.Index, vectors: list[ss.SparseVectors], depth: int) -> float:
    """Return the median time of a search, one query at a time on one thread."""
    taken = []
    for vector in vectors:
        start = time.perf_counter()
        index.top_k(vector, depth, threads=1)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e6


def report(
    collection: str, indexes: Mapping[str, ss.Index], times: Mapping[str, list[float]]
) -> None:
    """Write the results."""
    rows: list[list[object]] = []
    figures = {}
    for name, index in indexes.items():
        info = index.info()
        postings, size = info.postings / len(index), info.bytes / len(index)
        figures[name] = {"postings": postings, "bytes": size, "microseconds": times[name]}
        rows.append([name, f"{postings:.0f}", f"{size:,.0f}", *(f"{t:.0f}" for t in times[name])])
    head = ["encoder", "postings a document", "bytes a document, text included"]
    head += [f"µs a query, k = {depth:,}" for depth in DEPTHS]
    note = (
        f"{collection}, {len(next(iter(indexes.values()))):,} documents, one segment; queries "
        f"encoded already, one at a time on one thread, the best of {ROUNDS} medians.\n\n"
    )
    facts = machine(["sparsearch", "numba", "numpy"])
    body = note + markdown_table(head, rows)
    write_results("pairs", "What pairs of words cost", body, facts, figures)


if __name__ == "__main__":
    main()
