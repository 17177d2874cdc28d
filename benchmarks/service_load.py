"""The service under load, with and without a writer, beside direct calls and a peer.

    python benchmarks/service_load.py                                  # a small run, a minute
    python benchmarks/service_load.py --documents 1000000 --seconds 300 --keep FOLDER
    ... --peer-python ENVIRONMENT/bin/python                           # with the peer

Vectors are those of `lsr_vectors` (SPLADE-like), weights of 8 bits, k = 10. In turn:

1. direct: `Index.top_k` with all queries at once on all cores, no HTTP;
2. the service, asked by many connections (`service_clients.py`, a process of its own);
3. the same while a writer replaces so many documents a second;
4. the peer, Qdrant Edge behind its Python client, asked by as many threads, without and with the
   writer. It needs `benchmarks/requirements.txt`, in an environment of its own if need be.

The machine should have nothing else to do. Memory is that of the server: anonymous memory, which
cannot be dropped, right after the first seconds and at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, markdown_table, write_results
from lsr_models import MODELS
from lsr_vectors import documents, queries
from sparsearch import Index, IndexConfig, SparseVectors

MODEL = "splade"
SEED = 1
QUERIES = 1000
K = 10
HERE = Path(__file__).resolve().parent
WRITE_BATCH = 50


def build(folder: Path, count: int) -> None:
    """Build the index, tuned with its own documents; one that is there is kept."""
    if (folder / "tuned").exists():
        return
    with Index.create(folder / "index", None, IndexConfig(weight_bits=8)) as index:
        first = 0
        for batch in documents(MODELS[MODEL], count, SEED):
            index.add_vectors([str(first + row) for row in range(len(batch))], batch)
            first += len(batch)
        index.optimize()
        index.tune()
    (folder / "tuned").touch()


def write_bodies(path: Path, vectors: SparseVectors, recall: float | None) -> None:
    """Write the body of a search request for each query."""
    with path.open("w") as file:
        for row in vectors.to_dicts():
            weights = {str(term): round(weight, 4) for term, weight in row.items()}
            body = {"query": weights, "k": K, "recall": recall, "fields": []}
            file.write(json.dumps(body, separators=(",", ":")) + "\n")


def direct(folder: Path, vectors: SparseVectors, recall: float | None) -> dict[str, float]:
    """Search without the service: all queries at once, and recall against exact search."""
    with Index.open(folder / "index") as index:
        exact = index.top_k(vectors, K, threads=None).numbers
        found = index.top_k(vectors, K, recall=recall, threads=None).numbers
        start = time.perf_counter()
        rounds = 0
        while time.perf_counter() - start < 3:
            index.top_k(vectors, K, recall=recall, threads=None)
            rounds += 1
        seconds = time.perf_counter() - start
    shared = [len(np.intersect1d(a, b)) / K for a, b in zip(exact, found, strict=True)]
    return {"per second": rounds * len(vectors) / seconds, "recall": float(np.mean(shared))}


@contextmanager
def service(folder: Path) -> Iterator[tuple[int, int]]:
    """Serve the index; yield port and process id."""
    command = [sys.executable, "-m", "sparsearch", "serve", str(folder / "index"), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        if found := re.search(r"running on http://[^:]+:(\d+)", line):
            port = int(found[1])
            break
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


class Writer(threading.Thread):
    """Replaces documents at a steady rate, and notes how long each request took."""

    def __init__(self, put: Any, count: int, rate: int) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.errors = 0
        self.written = 0
        self._put, self._count, self._rate = put, count, rate
        self._stopped = threading.Event()
        batches = documents(MODELS[MODEL], max(10 * WRITE_BATCH, 1000), SEED + 1)
        self._rows = SparseVectors.concatenate(list(batches))

    def run(self) -> None:
        """Write until stopped."""
        rng = np.random.default_rng(SEED)
        due = time.perf_counter()
        while not self._stopped.is_set():
            first = int(rng.integers(len(self._rows) - WRITE_BATCH))
            numbers = rng.choice(self._count, WRITE_BATCH, replace=False)
            start = time.perf_counter()
            try:
                self._put(numbers, self._rows[first : first + WRITE_BATCH])
                self.written += WRITE_BATCH
            except Exception as error:
                print(f"writer: {error}", file=sys.stderr)
                self.errors += 1
            self.seconds.append(time.perf_counter() - start)
            due += WRITE_BATCH / self._rate
            self._stopped.wait(max(0.0, due - time.perf_counter()))

    def stop(self) -> dict[str, float]:
        """Stop, and return figures."""
        self._stopped.set()
        self.join()
        p50, p99 = (np.quantile(self.seconds, [0.5, 0.99]) * 1000).tolist()
        return {"written": self.written, "errors": self.errors, "p50 ms": p50, "p99 ms": p99}


def anonymous_megabytes(pid: int) -> float:
    """Return the memory of a process that is not a file's."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def load_service(folder: Path, bodies: Path, options: argparse.Namespace, rate: int) -> Any:
    """Ask the service for so long, while a writer writes at a rate, or not."""
    from sparsearch import Client

    with service(folder) as (port, pid), Client(f"http://127.0.0.1:{port}") as client:
        path = "/v1/collections/index/search"
        ask = [sys.executable, str(HERE / "service_clients.py"), str(port), path, str(bodies)]
        subprocess.run([*ask, str(options.clients), "3"], check=True, capture_output=True)
        before = anonymous_megabytes(pid)
        collection = client.collection("index")

        def put(numbers: Any, rows: SparseVectors) -> None:
            collection.add_vectors([str(i) for i in numbers], rows, replace=True)

        writer = Writer(put, options.documents, rate) if rate else None
        if writer:
            writer.start()
        done = subprocess.run(
            [*ask, str(options.clients), str(options.seconds)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        figures["writer"] = writer.stop() if writer else None
        figures["MB before"], figures["MB after"] = before, anonymous_megabytes(pid)
    return figures


def load_peer(folder: Path, options: argparse.Namespace, rate: int) -> dict[str, Any]:
    """Ask Qdrant Edge from threads, while a writer writes at a rate, or not."""
    import qdrant_edge as qdrant

    from peers.qdrant import Qdrant, configuration, vector_of

    parameters = {"datatype": "Float16"}
    shard_folder = folder / "qdrant"
    if not shard_folder.exists():
        shard_folder.mkdir()
        batches = list(documents(MODELS[MODEL], options.documents, SEED))
        Qdrant().build(SparseVectors.concatenate(batches), parameters, shard_folder)
    shard = qdrant.EdgeShard.load(str(shard_folder), configuration(parameters))
    vectors = queries(MODELS[MODEL], options.documents, QUERIES, SEED)
    asked = [
        qdrant.QueryRequest(K, query=qdrant.Query.Nearest(vector_of(vectors, row), using=""))
        for row in range(len(vectors))
    ]

    def put(numbers: Any, rows: SparseVectors) -> None:
        points = [
            qdrant.Point(int(number), {"": vector_of(rows, row)}, {})
            for row, number in enumerate(numbers)
        ]
        shard.update(qdrant.UpdateOperation.upsert_points(points))
        shard.flush()  # durable, as ours is when it answers

    latencies: list[float] = []
    errors: list[str] = []
    end = time.perf_counter() + options.seconds

    def client(at: int) -> None:
        while (start := time.perf_counter()) < end:
            try:
                shard.query(asked[at % len(asked)])
            except Exception as error:
                errors.append(str(error))
            latencies.append(time.perf_counter() - start)
            at += 1

    writer = Writer(put, options.documents, rate) if rate else None
    if writer:
        writer.start()
    start = time.perf_counter()
    threads = [threading.Thread(target=client, args=(i * 15,)) for i in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    p50, p99, p999 = (np.quantile(latencies, [0.5, 0.99, 0.999]) * 1000).tolist()
    return {
        "requests": len(latencies), "per second": len(latencies) / elapsed, "p50 ms": p50,
        "p99 ms": p99, "p99.9 ms": p999, "errors": len(errors),
        "writer": writer.stop() if writer else None,
    }  # fmt: skip


def peer_in_its_own_process(folder: Path, options: argparse.Namespace) -> list[Any]:
    """Measure the peer, in the environment that has it."""
    command = [options.peer_python, __file__, "--step", "peer", "--keep", str(folder)]
    for name in ("documents", "seconds", "clients", "writes"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def row(name: str, figures: dict[str, Any]) -> tuple[object, ...]:
    """Return a row of the table."""
    writer = figures["writer"]
    written = "-" if writer is None else f"{writer['p50 ms']:.0f} / {writer['p99 ms']:.0f}"
    memory = "-"
    if "MB before" in figures:
        memory = f"{figures['MB before']:.0f} / {figures['MB after']:.0f}"
    errors = figures["errors"] + (writer["errors"] if writer else 0)
    latencies = (f"{figures[name]:.1f}" for name in ("p50 ms", "p99 ms", "p99.9 ms"))
    return name, f"{figures['per second']:,.0f}", *latencies, errors, written, memory


def report(options: argparse.Namespace, measured: dict[str, Any]) -> None:
    """Write the results."""
    header = (
        "", "queries/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "write p50 / p99 ms",
        "MB at start / end",
    )  # fmt: skip
    runs = {name: figures for name, figures in measured.items() if name != "direct"}
    kernels = measured["direct"]
    share = measured["service"]["per second"] / kernels["per second"]
    body = (
        f"{options.documents:,} documents, {options.clients} clients for {options.seconds} s each, "
        f"k = {K}; the writer replaces {options.writes} documents a second, {WRITE_BATCH} a "
        f"request. Ours was asked for recall {options.recall} and reached "
        f"{kernels['recall']:.3f} against exact search; Qdrant Edge searches exactly with 16-bit "
        f"weights.\n\n{markdown_table(header, [row(name, runs[name]) for name in runs])}\n\n"
        f"`Index.top_k` itself, all queries in one call on all cores: "
        f"{kernels['per second']:,.0f} queries/s; the service reaches {share:.0%} of that, clients "
        "and HTTP included, on the same cores."
    )
    packages = ["sparsearch", "numba", "numpy", "fastapi", "uvicorn"]
    facts = machine(packages)
    name = f"service-load-{options.documents}"
    write_results(name, "The service under load", body, facts, measured, "service_load")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add = parser.add_argument
    add("--documents", type=int, default=20_000)
    add("--seconds", type=float, default=10.0)
    add("--clients", type=int, default=64)
    add("--writes", type=int, default=200, help="documents a second")
    add("--recall", type=float, default=0.95)
    add("--keep", type=Path, help="keep the indexes in this folder; use those that are there")
    add("--peer-python", default="", help="interpreter that has qdrant-edge-py; none: no peer")
    add("--step", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "peer":
        figures = [load_peer(options.keep, options, rate) for rate in (0, options.writes)]
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        build(folder, options.documents)
        vectors = queries(MODELS[MODEL], options.documents, QUERIES, SEED)
        bodies = folder / "bodies.jsonl"
        write_bodies(bodies, vectors, options.recall)
        measured: dict[str, Any] = {"direct": direct(folder, vectors, options.recall)}
        measured["service"] = load_service(folder, bodies, options, 0)
        measured["service, writer"] = load_service(folder, bodies, options, options.writes)
        if options.peer_python:
            alone, writing = peer_in_its_own_process(folder, options)
            measured |= {"qdrant edge": alone, "qdrant edge, writer": writing}
        report(options, measured)


if __name__ == "__main__":
    main()
