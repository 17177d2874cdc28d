"""Peers of the service under the same load, asked by as many threads as it has clients.

Run by `service_load.py` in an environment that has them (``benchmarks/requirements.txt``):

- Qdrant Edge is Qdrant's engine in the process of those who ask: no service, no transport.
- Milvus Lite is a server of its own behind pymilvus (gRPC), as an application would use it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines_data import Dataset
from service_common import K, Put, Writer, quantiles, recall
from sparsearch import SparseVectors

QDRANT = {"datatype": "Float16"}


@dataclass(frozen=True)
class Opened:
    """An engine that was opened for searching and writing.

    Parameters
    ----------
    search : callable
        Given the number of a query, returns hits in the engine's own form.
    put : callable
    number : callable
        Returns the document number of a hit.
    """

    search: Callable[[int], Any]
    put: Put
    number: Callable[[Any], int]


def build_qdrant(dataset: Dataset, folder: Path) -> None:
    """Index all documents."""
    from peers.qdrant import Qdrant

    Qdrant().build(dataset.documents(), QDRANT, folder)


@contextmanager
def open_qdrant(dataset: Dataset, folder: Path) -> Iterator[Opened]:
    """Open a shard in this process."""
    import qdrant_edge as qdrant

    from peers.qdrant import configuration, vector_of

    shard = qdrant.EdgeShard.load(str(folder), configuration(QDRANT))
    queries = dataset.queries()
    asked = [
        qdrant.QueryRequest(K, query=qdrant.Query.Nearest(vector_of(queries, row), using=""))
        for row in range(len(queries))
    ]

    def put(numbers: Sequence[int], rows: SparseVectors) -> None:
        points = [
            qdrant.Point(number, {"": vector_of(rows, row)}, {})
            for row, number in enumerate(numbers)
        ]
        shard.update(qdrant.UpdateOperation.upsert_points(points))
        shard.flush()  # durable, as ours is when it answers

    yield Opened(lambda query: shard.query(asked[query]), put, lambda hit: hit.id)
    shard.close()


def build_milvus(dataset: Dataset, folder: Path) -> None:
    """Index all documents."""
    from peers.milvus import Milvus

    Milvus().build(dataset.documents(), {}, folder)


@contextmanager
def open_milvus(dataset: Dataset, folder: Path) -> Iterator[Opened]:
    """Start a server, and open a client of it that all threads share."""
    from pymilvus import MilvusClient

    from peers.milvus import NAME

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--data-dir", str(folder / "milvus.db")]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        client = MilvusClient(f"http://127.0.0.1:{port}", timeout=600)
        client.load_collection(NAME)
        asked = dataset.queries().to_dicts()

        def search(query: int) -> Any:
            ranking = {"anns_field": "vector", "search_params": {"metric_type": "IP"}}
            return client.search(NAME, [asked[query]], limit=K, **ranking)[0]

        def put(numbers: Sequence[int], rows: SparseVectors) -> None:
            pairs = zip(numbers, rows.to_dicts(), strict=True)
            client.upsert(NAME, [{"id": number, "vector": row} for number, row in pairs])

        yield Opened(search, put, lambda hit: hit["id"])
        client.close()
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens on a port."""
    for _ in range(1200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


PEERS = {"qdrant-edge": (build_qdrant, open_qdrant), "milvus-lite": (build_milvus, open_milvus)}


def ask(
    search: Callable[[int], Any], queries: int, options: argparse.Namespace, writer: Writer | None
) -> dict[str, Any]:
    """Search from many threads for so long; return figures."""
    latencies: list[float] = []
    errors: list[str] = []
    start = time.perf_counter()
    end = start + options.seconds

    def client(at: int) -> None:
        while (begun := time.perf_counter()) < end:
            try:
                search(at % queries)
            except Exception as error:
                errors.append(str(error))
            latencies.append(time.perf_counter() - begun)
            at += 1

    if writer:
        writer.start()
    threads = [threading.Thread(target=client, args=(i * 15,)) for i in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    figures = {"requests": len(latencies), "per second": len(latencies) / elapsed}
    written = writer.stop() if writer else None
    return {**figures, **quantiles(latencies), "errors": len(errors), "writer": written}


def measure(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return figures without and with a writer, recall among them."""
    build, opened = PEERS[options.peer]
    folder: Path = options.folder
    if not folder.exists():
        folder.mkdir(parents=True)
        build(dataset, folder)
    # A copy, because the writer changes it and it is kept for another time.
    copy = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-written")))
    try:
        with opened(dataset, copy) as peer:
            queries = len(dataset.queries())

            def numbers(query: int) -> list[int]:
                return [peer.number(hit) for hit in peer.search(query)]

            found = recall(dataset, numbers, min(100, queries))
            alone = ask(peer.search, queries, options, None)
            writer = Writer(peer.put, dataset, options.writes)
            writing = ask(peer.search, queries, options, writer)
    finally:
        shutil.rmtree(copy)
    return [{**figures, "recall": found} for figures in (alone, writing)]


def main() -> None:
    parser = argparse.ArgumentParser(description="See service_load.py, which runs this.")
    add = parser.add_argument
    add("peer", choices=tuple(PEERS))
    add("dataset", type=Path, help="folder of the dataset")
    add("folder", type=Path, help="folder of the index")
    add("--seconds", type=float)
    add("--clients", type=int)
    add("--writes", type=int)
    options = parser.parse_args()
    dataset = Dataset(options.dataset)
    print(json.dumps(measure(dataset, options)))


if __name__ == "__main__":
    main()
