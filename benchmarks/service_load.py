"""The service under load, with and without a writer, beside direct calls and peers.

    python benchmarks/service_load.py                                  # a small run, two minutes
    python benchmarks/service_load.py --documents 1000000 --seconds 240 --keep FOLDER \
        --peer-python ENVIRONMENT/bin/python                           # 14 minutes, with peers

Vectors are those of `lsr_vectors` (SPLADE-like), weights of 8 bits, k = 10. In turn:

1. direct: `Index.top_k` with all queries at once on all cores, no HTTP;
2. the service, asked by many connections (`service_clients.py`, a process of its own);
3. the same while a writer replaces so many documents a second, 50 a request;
4. the service asked for exact search, for a shorter time;
5. the peers (`service_peers.py`), without and with the writer, for a shorter time. They need
   `benchmarks/requirements.txt`, in an environment of its own if need be. Milvus Lite keeps its
   index in Python objects and gets fewer documents, and so does our service for comparison.

The machine should have nothing else to do: service, clients and writer share its cores. Memory is
that of the server: anonymous memory, which cannot be dropped.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from common import machine, markdown_table, write_results
from engines_data import Dataset, open_dataset
from service_common import WRITE_BATCH, K, Writer, recall
from sparsearch import Client, Index, IndexConfig, SparseVectors
from sparsearch.client import RemoteCollection

MODEL = "splade"
QUERIES = 1000
PORTION = 1 << 16
WARM_SECONDS = 3.0
SETTLE_SECONDS = 15.0
"""After a run, for what is being merged at its end."""
HERE = Path(__file__).resolve().parent


def dataset_of(documents: int, keep: Path) -> Dataset:
    """Return so many documents, 1,000 queries and their exact neighbours."""
    size = f"{documents // 1000}k" if documents % 1000 == 0 else str(documents)
    name = f"{MODEL}-{size[:-4]}m" if size.endswith("000k") else f"{MODEL}-{size}"
    return open_dataset(name, keep, QUERIES)


def build(dataset: Dataset, folder: Path) -> None:
    """Build the index, tuned with its own documents; one that is there is kept."""
    if (folder / "tuned").exists():
        return
    documents = dataset.documents()
    with Index.create(folder / "index", None, IndexConfig(weight_bits=8)) as index:
        for first in range(0, len(documents), PORTION):
            batch = documents[first : first + PORTION]
            index.add_vectors([str(first + row) for row in range(len(batch))], batch)
        index.optimize()
        index.tune()
    (folder / "tuned").touch()


def write_bodies(path: Path, queries: SparseVectors, wanted: float | None) -> None:
    """Write the body of a search request for each query."""
    with path.open("w") as file:
        for row in queries.to_dicts():
            weights = {str(term): round(weight, 4) for term, weight in row.items()}
            body = {"query": weights, "k": K, "recall": wanted, "fields": []}
            file.write(json.dumps(body, separators=(",", ":")) + "\n")


def direct(dataset: Dataset, folder: Path, wanted: float | None) -> float:
    """Return how many queries a second are answered by calls with all of them, without HTTP."""
    queries = dataset.queries()
    with Index.open(folder / "index") as index:
        index.top_k(queries, K, recall=wanted, threads=None)
        start = time.perf_counter()
        rounds = 0
        while time.perf_counter() - start < WARM_SECONDS:
            index.top_k(queries, K, recall=wanted, threads=None)
            rounds += 1
        return rounds * len(queries) / (time.perf_counter() - start)


@contextmanager
def service(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Serve an index; yield port and process."""
    command = [sys.executable, "-m", "sparsearch", "serve", f"index={folder}", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        if found := re.search(r"running on http://[^:]+:(\d+)", line):
            port = int(found[1])
            break
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


class Memory(threading.Thread):
    """Notes the anonymous memory of a process: eleven times at equal distances, and when idle."""

    def __init__(self, process: psutil.Process, seconds: float) -> None:
        super().__init__(daemon=True)
        self.megabytes: list[float] = []
        self._process, self._pause = process, seconds / 10

    def run(self) -> None:
        """Note until the time is over."""
        for i in range(11):
            if i:
                time.sleep(self._pause)
            self.note()

    def note(self) -> None:
        """Note it now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        self.megabytes.append(int(status.split("RssAnon:")[1].split()[0]) / 1024)


def ask(port: int, bodies: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Ask the service for so long, from a process of its own."""
    path = "/v1/collections/index/search"
    command = [sys.executable, str(HERE / "service_clients.py"), str(port), path, str(bodies)]
    command += [str(clients), str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def service_recall(collection: RemoteCollection, dataset: Dataset, wanted: float | None) -> float:
    """Return the recall of what the service answers."""
    rows = dataset.queries().to_dicts()

    def search(query: int) -> Sequence[int]:
        weights = {str(term): weight for term, weight in rows[query].items()}
        return [int(hit.id) for hit in collection.search(weights, K, recall=wanted)]

    return recall(dataset, search, len(rows))


def load(
    dataset: Dataset, folder: Path, options: argparse.Namespace, wanted: float | None, rate: int
) -> dict[str, Any]:
    """Ask the service for so long, while a writer writes at a rate, or not."""
    copy = folder / "written"
    with Index.open(folder / "index") as index:
        index.snapshot(copy)  # so that the writer leaves what is kept as it is
    bodies = folder / "bodies.jsonl"
    write_bodies(bodies, dataset.queries(), wanted)
    try:
        with service(copy) as (port, process), Client(f"http://127.0.0.1:{port}") as client:
            collection = client.collection("index")
            found = service_recall(collection, dataset, wanted)
            ask(port, bodies, options.clients, WARM_SECONDS)

            def put(numbers: Sequence[int], rows: SparseVectors) -> None:
                collection.add_vectors([str(i) for i in numbers], rows, replace=True)

            writer = Writer(put, dataset, rate) if rate else None
            memory = Memory(process, options.seconds)
            used = sum(process.cpu_times()[:2])
            for thread in (memory, writer):
                if thread is not None:
                    thread.start()
            figures = ask(port, bodies, options.clients, options.seconds)
            used = sum(process.cpu_times()[:2]) - used
            figures["writer"] = writer.stop() if writer else None
            memory.join()
            time.sleep(SETTLE_SECONDS)
            memory.note()
    finally:
        shutil.rmtree(copy)
    figures |= {"recall": found, "MB": memory.megabytes}
    return {**figures, "server ms": 1000 * used / figures["requests"]}


def load_peer(
    name: str, dataset: Dataset, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure a peer, in the environment that has it; nothing if it fails, which is told."""
    command = [options.peer_python, str(HERE / "service_peers.py"), name, str(dataset.folder)]
    command += [str(folder)]
    for option in ("seconds", "clients", "writes"):
        command += [f"--{option}", str(getattr(options, option))]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"{name} failed and is left out", file=sys.stderr)
        return {}
    alone, writing = json.loads(done.stdout.splitlines()[-1])
    return {name: alone, f"{name}, writer": writing}


def row(name: str, figures: dict[str, Any]) -> tuple[object, ...]:
    """Return a row of a table."""
    writer = figures["writer"]
    written = "-" if writer is None else f"{writer['p50 ms']:.0f} / {writer['p99 ms']:.0f}"
    errors = figures["errors"] + (writer["errors"] if writer else 0)
    latencies = (f"{figures[key]:.1f}" for key in ("p50 ms", "p99 ms", "p99.9 ms"))
    per_second = f"{figures['per second']:,.0f}"
    memory = figures.get("MB")
    kept = "-" if memory is None else " / ".join(f"{memory[i]:.0f}" for i in (0, 5, 10, 11))
    return name, f"{figures['recall']:.3f}", per_second, *latencies, errors, written, kept


def table(runs: dict[str, Any]) -> str:
    """Return a table of runs."""
    header = (
        "", "recall@10", "queries/s", "p50 ms", "p99 ms", "p99.9 ms", "errors",
        "write p50 / p99 ms", "MB at start / half / end / after",
    )  # fmt: skip
    return markdown_table(header, [row(name, runs[name]) for name in runs])


def report(options: argparse.Namespace, measured: dict[str, Any]) -> None:
    """Write the results."""
    runs, kernels = measured["runs"], measured["direct"]
    alone = runs["service"]
    share = alone["per second"] / kernels["approximate"]
    body = (
        f"{options.documents:,} documents, {options.clients} clients, k = {K}. The first two runs "
        f"took {options.seconds:g} s each, all others {options.peer_seconds:g} s. The writer "
        f"replaces {options.writes} documents a second, {WRITE_BATCH} a request. Recall is against "
        "exact search in double precision, before anything was written. Service, clients and "
        f"writer share the cores. Merging segments takes memory for a while: 'after' is "
        f"{SETTLE_SECONDS:g} s after the run.\n\n{table(runs)}\n\n"
        "`Index.top_k` itself, all queries in one call on all cores, does "
        f"{kernels['approximate']:,.0f} queries/s ({kernels['exact']:,.0f} exact). The service "
        f"reaches {share:.0%} of that. A request took {alone['server ms']:.2f} ms of processor "
        f"time of the server and {alone['client ms']:.3f} ms of the clients'.\n\n"
        "Qdrant Edge is Qdrant's engine in the process that asks, from as many threads as there "
        "are clients, without any transport; weights of 16 bits, exact search."
    )
    few = measured["few"]
    if few:
        body += (
            f"\n\n## {options.few:,} documents\n\nMilvus Lite is a server of its own, asked by as "
            "many threads of one process through pymilvus. It keeps its index in Python objects, "
            f"one a posting, so it gets fewer documents; {options.peer_seconds:g} s a run.\n\n"
            f"{table(few)}"
        )
    packages = ["sparsearch", "numba", "numpy", "fastapi", "uvicorn", "httptools", "uvloop"]
    facts = machine(packages)
    command = f"--documents {options.documents} --seconds {options.seconds:g}"
    if options.peer_python:
        command += f" --peer-seconds {options.peer_seconds:g} --peer-python PYTHON"
    title = "The service under load"
    write_results("service-load", title, body, facts, measured, options=command)


def measure(options: argparse.Namespace, keep: Path) -> dict[str, Any]:
    """Return all figures."""
    dataset = dataset_of(options.documents, keep)
    ours = keep / f"service-{dataset.name}"
    build(dataset, ours)
    kernels = {
        "approximate": direct(dataset, ours, options.recall),
        "exact": direct(dataset, ours, None),
    }
    runs = {
        "service": load(dataset, ours, options, options.recall, 0),
        "service, writer": load(dataset, ours, options, options.recall, options.writes),
    }
    short = argparse.Namespace(**{**vars(options), "seconds": options.peer_seconds})
    runs["service, exact"] = load(dataset, ours, short, None, 0)
    few: dict[str, Any] = {}
    if options.peer_python:
        folder = keep / f"service-qdrant-{dataset.name}"
        runs |= load_peer("qdrant-edge", dataset, folder, short)
        dataset = dataset_of(options.few, keep)
        ours = keep / f"service-{dataset.name}"
        build(dataset, ours)
        few["service"] = load(dataset, ours, short, options.recall, 0)
        few["service, exact"] = load(dataset, ours, short, None, 0)
        few["service, exact, writer"] = load(dataset, ours, short, None, options.writes)
        folder = keep / f"service-milvus-{dataset.name}"
        few |= load_peer("milvus-lite", dataset, folder, short)
    return {"direct": kernels, "runs": runs, "few": few}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add = parser.add_argument
    add("--documents", type=int, default=20_000)
    add("--few", type=int, default=20_000, help="documents for Milvus Lite")
    add("--seconds", type=float, default=10.0)
    add("--peer-seconds", type=float, help="of all runs but the first two; a sixth by default")
    add("--clients", type=int, default=64)
    add("--writes", type=int, default=200, help="documents a second")
    add("--recall", type=float, default=0.95)
    add("--keep", type=Path, help="keep data and indexes in this folder; use those that are there")
    add("--peer-python", default="", help="interpreter that has the peers; none: no peers")
    options = parser.parse_args()
    options.peer_seconds = options.peer_seconds or max(5.0, options.seconds / 6)
    with tempfile.TemporaryDirectory() as temporary:
        keep = options.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        report(options, measure(options, keep))


if __name__ == "__main__":
    main()
