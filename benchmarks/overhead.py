"""What a call costs above the kernels: one query to an index so small that they have little to do.

The kernel is called with arguments made beforehand, as `Index.top_k` calls it. What is above that
is checking and wrapping in Python.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, markdown_table, write_results
from sparsearch import Index, SparseVectors
from sparsearch.index.approximate import first_walk, take_scratch
from sparsearch.kernels.one_segment import search_one_segment

DOCUMENTS, TERMS, ROW_TERMS, K = 500, 200, 20, 10
CALLS, ROUNDS = 20, 2000
RECALL = 0.9


def microseconds(call: Callable[[], Any]) -> float:
    """Return the time of a call: the best of many rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter_ns() - start) / CALLS / 1e3)
    return min(times)


def vectors() -> SparseVectors:
    """Return the documents' vectors."""
    rng = np.random.default_rng(0)
    terms = [np.sort(rng.choice(TERMS, ROW_TERMS, replace=False)) for _ in range(DOCUMENTS)]
    weights = rng.random(DOCUMENTS * ROW_TERMS)
    return SparseVectors(np.arange(DOCUMENTS + 1) * ROW_TERMS, np.concatenate(terms), weights)


def kernel_calls(index: Index, query: SparseVectors) -> list[Callable[[], None]]:
    """Return what calls the kernel of an exact and of an approximate search, and nothing else."""
    segment = index._snapshot.segments[0]
    effort = index.tuning.effort(RECALL)
    if effort is None:
        sys.exit("an index that was not tuned has an effort for every recall")
    vector = query.offsets, query.term_ids, query.weights
    found = np.zeros((1, K), np.int64), np.zeros((1, K)), np.zeros(1, np.int64)
    allowed, scratch = np.empty(0, np.bool_), take_scratch(segment.n_lists)

    def calling(walk: tuple[float, int]) -> Callable[[], None]:
        settings = index.config.max_code, walk, first_walk(K)
        arguments = vector, segment.searched, allowed, settings, found, scratch, 0, 1
        return lambda: search_one_segment(*arguments)

    return [calling((1.0, 0)), calling((effort.mass, effort.candidates_for(K)))]


def measure(folder: Path) -> list[dict[str, float | str]]:
    """Return the figures of each kind of search."""
    batch = vectors()
    with Index.create(folder, encoder=None) as index:
        index.add_vectors([str(row) for row in range(DOCUMENTS)], batch)
        query = batch[3:4]
        exactly, approximately = kernel_calls(index, query)
        return [
            {
                "kind": "exact",
                "kernels": microseconds(exactly),
                "top_k": microseconds(lambda: index.top_k(query, K)),
                "search": microseconds(lambda: index.search(query, K)),
            },
            {
                "kind": "approximate",
                "kernels": microseconds(approximately),
                "top_k": microseconds(lambda: index.top_k(query, K, recall=RECALL)),
                "search": microseconds(lambda: index.search(query, K, recall=RECALL)),
            },
        ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "index")
    header = ("search", "kernels", "`top_k`", "above the kernels", "`search`", "a hit of `search`")
    rows = []
    for found in figures:
        kernels, top_k, search = (float(found[name]) for name in ("kernels", "top_k", "search"))
        cells = (kernels, top_k, top_k - kernels, search, (search - top_k) / K)
        rows.append((found["kind"], *(f"{value:.1f}" for value in cells)))
    body = (
        f"Microseconds of a call with one query of {ROW_TERMS} terms, k = {K}, to an index of "
        f"{DOCUMENTS} documents; the best of {ROUNDS} rounds of {CALLS} calls. `search` also reads "
        f"and decodes the {K} documents it returns.\n\n{markdown_table(header, rows)}"
    )
    facts = machine(["sparsearch", "numpy", "numba"])
    write_results("overhead", "What a call costs above the kernels", body, facts, figures)


if __name__ == "__main__":
    main()
