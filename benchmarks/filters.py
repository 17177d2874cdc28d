"""Filters that keep ever fewer documents: whether the recall is kept, and what a query takes.

An index of made-up vectors (lsr_vectors.py) is tuned without a filter, and searched with the effort
that reached the recall wanted, with filters on fields that say nothing of a document's vector: one
keeps documents at random, the other such as were added one after another.

    python benchmarks/filters.py --documents 1000000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import machine, markdown_table, write_results
from lsr_vectors import MODELS, documents, queries
from sparsearch import Index, IndexConfig, SparseVectors

SHARES = (500, 100, 10, 1)
"""Of a thousand documents."""
QUERIES, K, ROUNDS = 300, 10, 5
RECALL, SEED = 0.95, 1


def build(folder: Path, model: str, size: int) -> None:
    """Make an index whose documents have a number below 1,000, and their place, as metadata."""
    rng = np.random.default_rng(SEED)
    with Index.create(folder, None, IndexConfig(weight_bits=8)) as index:
        first = 0
        for batch in documents(MODELS[model], size, SEED):
            ids = [str(first + row) for row in range(len(batch))]
            numbers = rng.integers(0, 1000, len(batch)).tolist()
            fields = [{"n": n, "place": first + row} for row, n in enumerate(numbers)]
            index.add_vectors(ids, batch, fields)
            first += len(batch)
        index.optimize()


def times(index: Index, batch: SparseVectors, **options: Any) -> NDArray[np.float64]:
    """Return the microseconds of each query, the best of some rounds."""
    singles = [batch[row : row + 1] for row in range(len(batch))]
    best = np.full(len(batch), np.inf)
    for _ in range(ROUNDS):
        for row, query in enumerate(singles):
            start = time.perf_counter_ns()
            index.top_k(query, K, **options)
            best[row] = min(best[row], (time.perf_counter_ns() - start) / 1e3)
    return best


def conditions(size: int) -> Iterator[tuple[str, float, Mapping[str, Any] | None]]:
    """Yield filters: which documents they keep, what share of them, and what to search with."""
    yield "all", 1.0, None
    for share in SHARES:
        yield "at random", share / 1000, {"n": {"<": share}}
    for share in SHARES:
        kept = size * share // 1000
        first = (size - kept) // 2
        yield "neighbours", share / 1000, {"place": {">=": first, "<": first + kept}}


def measure(model: str, size: int, folder: Path) -> list[dict[str, Any]]:
    """Return the figures of each filter."""
    build(folder, model, size)
    batch = queries(MODELS[model], size, QUERIES, SEED)
    figures = []
    with Index.open(folder) as index:
        index.tune(batch, k=K)
        for kept, share, condition in conditions(size):
            start = time.perf_counter()
            exact = index.top_k(batch, K, condition)  # evaluates the filter
            first = time.perf_counter() - start
            found = index.top_k(batch, K, condition, recall=RECALL)
            approximate = times(index, batch, filter=condition, recall=RECALL)
            exactly = times(index, batch, filter=condition)
            figures.append(
                {
                    "kept": kept,
                    "share": share,
                    "recall": float(found.recalls(exact).mean()),
                    "hits": float(found.counts.mean()),
                    "us": float(np.median(approximate)),
                    "exact us": float(np.median(exactly)),
                    "first batch s": first,
                }
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="splade", choices=sorted(MODELS))
    parser.add_argument("--documents", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.model, arguments.documents, Path(folder) / "index")
    header = ("documents kept", "share", "recall", "hits", "us", "of unfiltered", "exact: us")
    rows = [
        (
            f["kept"], f"{f['share']:.1%}", f"{f['recall']:.4f}", f"{f['hits']:.1f}",
            f"{f['us']:.0f}", f"{f['us'] / figures[0]['us']:.2f}", f"{f['exact us']:.0f}",
        )
        for f in figures
    ]  # fmt: skip
    body = (
        f"{arguments.documents:,} documents of the model `{arguments.model}`, weights of 8 bits, "
        f"{QUERIES} queries, k = {K}, recall={RECALL} as tuned without a filter. Medians of single "
        f"calls on one thread, the best of {ROUNDS}, with the filter's mask known from an earlier "
        f"call. Recall is against exact search with the same filter.\n\n"
        f"{markdown_table(header, rows)}"
    )
    facts = machine(["sparsearch", "numpy", "numba"])
    name = f"filters-{arguments.model}"
    write_results(name, "Filters", body, facts, figures, script="filters")


if __name__ == "__main__":
    main()
