"""Build one index, or measure one, in a process of its own; started by engines.py.

So peak memory is that of one index, and an engine that crashes or runs out of memory or time takes
nothing with it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines_data import Dataset, Truth
from peers import load_engine
from peers.base import Parameters, Searcher
from peers.files import folder_bytes

PASSES = 3
K, DEEP_K = 10, 100
FEWEST_QUERIES = 20


@dataclass(frozen=True)
class Job:
    """What a process has to do: build an index or, given searches, measure it."""

    engine: str
    dataset: str
    index: str
    build: dict[str, Any]
    searches: list[dict[str, Any]]
    seconds: float
    memory: float


@dataclass(frozen=True)
class Built:
    """What building an index took; megabytes are 10^6 bytes."""

    seconds: float
    peak_mb: float
    disk_mb: float
    load: float


@dataclass(frozen=True)
class Point:
    """One way to search one index. Times are microseconds a query, on one thread.

    Attributes
    ----------
    queries : int
        How many were measured: fewer than there are where an engine is slow.
    p50, p99, mean : float
        Of the best of `PASSES` passes over the queries after one to warm up, k = 10.
    p50_deep : float
        The median of one pass with k = 100.
    qps : dict of str to float
        Queries a second in batches, k = 10, by number of threads.
    load : float
        Load average of the machine before, in runnable processes.
    """

    parameters: dict[str, Any]
    queries: int
    recall_10: float
    recall_100: float
    p50: float
    p99: float
    mean: float
    p50_deep: float
    load: float
    qps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """An index opened in a fresh process, and all its searches."""

    open_seconds: float
    serving_mb: float
    points: list[Point]


def peak_megabytes() -> float:
    """Return this program's peak resident memory, memory-mapped files it has read included."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start with the peak of the process that started this one
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def build(job: Job) -> Built:
    """Build an index in its folder."""
    documents = Dataset(Path(job.dataset)).documents()
    load = os.getloadavg()[0]
    folder = Path(job.index)
    seconds = load_engine(job.engine).build(documents, job.build, folder)
    return Built(seconds, peak_megabytes(), folder_bytes(folder) / 1e6, load)


def measure(job: Job) -> Measured:
    """Open an index and try all searches."""
    dataset = Dataset(Path(job.dataset))
    start = time.perf_counter()
    searcher = load_engine(job.engine).open(Path(job.index), job.build)
    opened = time.perf_counter() - start
    queries = dataset.queries()
    prepared = searcher.prepare(queries)
    points = []
    for parameters in job.searches:
        load = os.getloadavg()[0]
        count = affordable(searcher, prepared, parameters, job.seconds)
        point = search_point(searcher, prepared[:count], parameters, dataset.truth(), load)
        with tempfile.TemporaryDirectory() as scratch:
            batch = searcher.prepare_batch(queries[:count], Path(scratch))
            for threads in searcher.batch_threads:
                point.qps[str(threads)] = throughput(searcher, batch, count, threads, parameters)
        points.append(point)
        shown = " ".join(f"{name}={value}" for name, value in parameters.items())
        print(f"    {shown}: recall {point.recall_10:.4f}, {point.p50:.0f} us", flush=True)
    return Measured(opened, peak_megabytes(), points)


def affordable(
    searcher: Searcher, prepared: Sequence[Any], parameters: Parameters, seconds: float
) -> int:
    """Return how many queries can be measured in about so many seconds."""
    some = min(FEWEST_QUERIES, len(prepared))
    for _ in range(2):  # any of the first calls may compile
        start = time.perf_counter()
        for query in prepared[:some]:
            searcher.search(query, K, parameters)
        each = (time.perf_counter() - start) / some
    passes = PASSES + 2 + 2 * len(searcher.batch_threads)
    return min(len(prepared), max(FEWEST_QUERIES, int(seconds / (passes * each))))


def search_point(
    searcher: Searcher, prepared: Sequence[Any], parameters: Parameters, truth: Truth, load: float
) -> Point:
    """Measure one way to search, query by query."""

    def search(k: int) -> Callable[[Any], Any]:
        return lambda query: searcher.search(query, k, parameters)

    def recall(results: Sequence[Any], k: int) -> float:
        found = enumerate(map(searcher.ids, results))
        return float(np.mean([truth.recall(query, ids, k) for query, ids in found]))

    recall_10 = recall([search(K)(query) for query in prepared], K)
    recall_100 = recall([search(DEEP_K)(query) for query in prepared], DEEP_K)
    best = np.minimum.reduce([latencies(search(K), prepared) for _ in range(PASSES)])
    return Point(
        parameters=dict(parameters),
        queries=len(prepared),
        recall_10=recall_10,
        recall_100=recall_100,
        p50=float(np.median(best)),
        p99=float(np.percentile(best, 99)),
        mean=float(best.mean()),
        p50_deep=float(np.median(latencies(search(DEEP_K), prepared))),
        load=load,
    )


def latencies(search: Callable[[Any], Any], prepared: Sequence[Any]) -> NDArray[np.float64]:
    """Return the microseconds of each query."""
    clock = time.perf_counter_ns
    times = np.empty(len(prepared))
    gc.disable()
    try:
        for number, query in enumerate(prepared):
            start = clock()
            search(query)
            times[number] = clock() - start
    finally:
        gc.enable()
    return times / 1e3


def throughput(
    searcher: Searcher, batch: Any, count: int, threads: int, parameters: Parameters
) -> float:
    """Return queries a second, the better of two runs."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        searcher.search_batch(batch, K, threads, parameters)
        times.append(time.perf_counter() - start)
    return count / min(times)


def main() -> None:
    """Read a job from one file, and write what it gave to another."""
    given, result = map(Path, sys.argv[1:])
    job = Job(**json.loads(given.read_text()))
    # Engines write to the standard output as they please: that goes to the log.
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # What a program may allocate; files mapped for reading do not count.
    limit = int(job.memory * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    outcome = measure(job) if job.searches else build(job)
    result.write_text(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
