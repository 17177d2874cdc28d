"""What changes cost an index that is large already.

    python benchmarks/live.py --documents 1000000

Vectors of `lsr_vectors` are indexed; then, with merging in the background, documents are replaced:
1 % of them in one call, one at a time, and 200 at a time. Further: what `refresh` costs where
nothing changed, how long a copy takes, how often the policy of merging rewrites a posting (counted
on the policy alone, for portions of several sizes), and what a search takes before, meanwhile and
after.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, markdown_table, write_results
from lsr_models import MODELS
from lsr_vectors import documents, queries
from scale import fill
from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.index.merging import SegmentSize, choose_merge

SEED = 1
SINGLE = 100
PORTION = 200


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def milliseconds(times: list[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    half, most = np.percentile(np.array(times) * 1e3, [50, 99]).tolist()
    return {"median ms": half, "p99 ms": most}


def search_times(index: Index, asked: SparseVectors, done: Callable[[], bool]) -> list[float]:
    """Search one query after the other until done, at least once through."""
    times: list[float] = []
    while len(times) < len(asked) or not done():
        at = len(times) % len(asked)
        times.append(seconds(lambda at=at: index.top_k(asked[at : at + 1], recall=0.95)))  # type: ignore[misc]
    return times


def while_searching(index: Index, asked: SparseVectors, work: Callable[[], object]) -> list[float]:
    """Return the times of searches that another thread makes while work is done."""
    done = threading.Event()
    times: list[float] = []
    thread = threading.Thread(target=lambda: times.extend(search_times(index, asked, done.is_set)))
    thread.start()
    work()
    done.set()
    thread.join()
    return times


def replace(index: Index, fresh: SparseVectors, size: int) -> list[float]:
    """Replace documents spread over the index, some a call; return the time of each call."""
    ids = np.random.default_rng(SEED).choice(len(index), len(fresh), replace=False)
    times = []
    for start in range(0, len(fresh), size):
        part = slice(start, min(start + size, len(fresh)))
        names = [str(i) for i in ids[part].tolist()]
        vectors = fresh[part]
        times.append(
            seconds(lambda n=names, v=vectors: index.add_vectors(n, v, replace=True))  # type: ignore[misc]
        )
    return times


def amplification(portions: int, postings: int) -> float:
    """Return how often the policy rewrites a posting when documents come in equal portions."""
    segments: list[int] = []
    rewritten = 0
    for _ in range(portions):
        segments.append(postings)
        while (chosen := choose_merge([SegmentSize(p, 0, p) for p in segments])) is not None:
            rewritten += sum(segments[slice(*chosen)])
            segments[slice(*chosen)] = [sum(segments[slice(*chosen)])]
    return rewritten / (portions * postings)


def measure(model: str, size: int, folder: Path) -> dict[str, Any]:
    made = MODELS[model]
    asked = queries(made, size, 200, SEED)
    fresh = next(documents(made, max(size // 100, 1000), SEED + 1))
    share = fresh[: size // 100]
    figures: dict[str, Any] = {"documents": size}
    with Index.create(folder / "index", None, IndexConfig(weight_bits=8)) as index:
        figures["build s"] = fill(index, model, size)
        index.optimize()
        index.top_k(asked, recall=0.95)
        figures["search before"] = milliseconds(search_times(index, asked, lambda: True))
        with index.merging_in_background() as merger:
            times: list[float] = []

            def upsert(part: SparseVectors, portion: int) -> None:
                times[:] = replace(index, part, portion)

            upsert(share, len(share))
            figures["upsert 1 %: s"] = times[0]
            singles = while_searching(index, asked, lambda: upsert(fresh[:SINGLE], 1))
            figures["upsert 1"] = milliseconds(times)
            figures["search while upserting 1"] = milliseconds(singles)
            many = while_searching(index, asked, lambda: upsert(share, PORTION))
            figures[f"upsert {PORTION}"] = milliseconds(times)
            figures[f"search while upserting {PORTION}"] = milliseconds(many)
            figures["merges end after s"] = seconds(merger.wait_until_idle)
        figures["search after"] = milliseconds(search_times(index, asked, lambda: True))
        figures["segments"] = index.info().segments
        figures["refresh us"] = 1e3 * seconds(lambda: [index.refresh() for _ in range(1000)])
        figures["copy s"] = seconds(lambda: index.snapshot(folder / "copy"))
    figures["rewritten"] = {str(p): amplification(20_000, p) for p in (100, 1_000, 24_000)}
    return figures


def rows(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        if name == "rewritten":
            for portion, times in value.items():
                what = f"times a posting is rewritten, 20,000 portions of {int(portion):,} postings"
                yield what, f"{times:.1f}"
        elif isinstance(value, dict):
            yield name, f"{value['median ms']:.2f} ms (p99 {value['p99 ms']:.2f})"
        else:
            yield name, f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="splade", choices=sorted(MODELS))
    parser.add_argument("--documents", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.model, arguments.documents, Path(folder))
    text = (
        f"Vectors of the model `{arguments.model}` (docs/results/lsr-vectors.md), weights of 8 "
        "bits. Searches are one at a time, k = 10, recall .95; documents are replaced through the "
        "same `Index`, with `merging_in_background`.\n\n" + markdown_table(("", ""), rows(figures))
    )
    facts = machine(["sparsearch", "numpy", "numba"])
    write_results("live", "What changes cost", text, facts, figures, script="live")


if __name__ == "__main__":
    main()
