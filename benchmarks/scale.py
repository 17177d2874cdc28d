"""How sparsearch grows: building and searching 100 thousand, 1 million and 8.8 million documents.

    python benchmarks/scale.py --model splade

Documents are streamed from `lsr_vectors` into an index, which is then optimised and tuned with
queries of the same collection. Each size is a process of its own, so that peak memory means
something. Recall is against exact search of the same index. Figures already in the results are
kept, so that a size can be added; the largest takes 15 minutes and 25 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import RESULTS, machine, markdown_table, write_results
from lsr_models import MODELS
from lsr_vectors import documents, queries
from sparsearch import Index, IndexConfig

SIZES = (100_000, 1_000_000, 8_841_823)
RECALLS = (0.9, 0.95, 0.98, 0.99)
QUERIES = 300
PORTION = 250_000
SEED = 1


def resident_megabytes() -> dict[str, float]:
    """Return this process's memory by kind: files that are mapped can be dropped at any time."""
    status = Path("/proc/self/status").read_text()
    lines = (line.split() for line in status.splitlines() if line.startswith("Rss"))
    return {name.rstrip(":"): float(kilobytes) / 1024 for name, kilobytes, _ in lines}


class PeakMemory:
    """The most anonymous memory seen while it ran, in megabytes."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.05):
            self.peak = max(self.peak, resident_megabytes()["RssAnon"])


def fill(index: Index, model: str, size: int) -> float:
    """Add all documents; return the seconds that took, without making them."""
    seconds, first = 0.0, 0
    batches = documents(MODELS[model], size, SEED, PORTION)
    for batch in batches:
        start = time.perf_counter()
        index.add_vectors([str(first + row) for row in range(len(batch))], batch)
        seconds += time.perf_counter() - start
        first += len(batch)
    return seconds


def measure(model: str, size: int, folder: Path) -> dict[str, Any]:
    """Build, tune and measure one size."""
    config = IndexConfig(weight_bits=8)
    with PeakMemory() as memory, Index.create(folder / "index", None, config) as index:
        added = fill(index, model, size)
        start = time.perf_counter()
        index.optimize()
        optimized = time.perf_counter() - start
    with Index.open(folder / "index") as index:
        tuning = index.tune(queries(MODELS[model], size, QUERIES, SEED))
        latency = {}
        for recall in RECALLS:
            found = [p.microseconds for p in tuning.points if p.recall >= recall]
            latency[str(recall)] = min(found) if found else None
        info = index.info()
        return {
            "documents": size, "seconds": added + optimized, "optimize seconds": optimized,
            "peak MB": memory.peak, "searched MB": sum(resident_megabytes().values()),
            "bytes a document": info.bytes / size,
            "segments": info.segments, "exact": tuning.exact_microseconds, "latency": latency,
        }  # fmt: skip


def run(model: str, size: int) -> dict[str, Any]:
    """Measure one size in a fresh process."""
    command = [sys.executable, __file__, "--model", model, "--step", str(size)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return figures


def exponent(figures: list[dict[str, Any]], recall: str) -> float | None:
    """Return b of ``latency = a * documents ** b`` between the smallest and the largest size."""
    first, last = figures[0], figures[-1]
    low, high = first["latency"][recall], last["latency"][recall]
    if not low or not high or first is last:
        return None
    return math.log(high / low) / math.log(last["documents"] / first["documents"])


def body(model: str, figures: list[dict[str, Any]]) -> str:
    header = (
        "documents", "build s", "peak MB", "searched MB", "bytes a document", "segments",
        *(f"recall {recall}: us" for recall in RECALLS), "exact: us",
    )  # fmt: skip
    rows = [
        (
            f"{f['documents']:,}", f"{f['seconds']:.0f}", f"{f['peak MB']:.0f}",
            f"{f['searched MB']:.0f}", f"{f['bytes a document']:.0f}", f["segments"],
            *("-" if us is None else f"{us:.0f}" for us in f["latency"].values()),
            f"{f['exact']:.0f}",
        )
        for f in figures
    ]  # fmt: skip
    powers = ", ".join(
        f"{power:.2f} at recall {recall}"
        for recall in map(str, RECALLS)
        if (power := exponent(figures, recall)) is not None
    )
    return (
        f"Vectors of the model `{model}` (docs/results/lsr-vectors.md), weights of 8 bits. Times "
        f"are means over {QUERIES} queries, k = 10, one thread, of the fastest effort that reached "
        "the recall against exact search of the same index. Peak memory is anonymous memory while "
        'building; mapped files come on top while they are read. "Searched MB" is all memory, '
        "mapped files included, after thousands of exact and approximate searches.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"Latency grows with this power of the number of documents: {powers or 'one size only'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="splade", choices=sorted(MODELS))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--step", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(arguments.model, arguments.step, Path(folder))))
        return
    name = f"scale-{arguments.model}"
    stored = RESULTS / f"{name}.json"
    known = json.loads(stored.read_text())["figures"] if stored.is_file() else []
    figures = {f["documents"]: f for f in known}
    for size in arguments.sizes:
        figures[size] = run(arguments.model, size)
        ordered = [figures[key] for key in sorted(figures)]
        facts = machine(["sparsearch", "numpy", "numba"])
        title = "Growth with the number of documents"
        text = body(arguments.model, ordered)
        write_results(name, title, text, facts, ordered, script="scale")


if __name__ == "__main__":
    main()
