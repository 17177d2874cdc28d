"""Clients that ask a service as fast as it answers: many connections, little work of their own.

A process of its own, so that clients and service do not share an interpreter. It speaks just enough
HTTP/1.1 to keep 64 connections busy for a tenth of the processor time that a general client takes.

    python benchmarks/service_clients.py PORT PATH BODIES.jsonl CLIENTS SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np


class Clients:
    """Connections that send one request after the other.

    Parameters
    ----------
    port : int
    requests : sequence of bytes
        Whole HTTP requests; each connection starts at another one.
    seconds : float
    """

    def __init__(self, port: int, requests: Sequence[bytes], seconds: float) -> None:
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._requests = requests
        self._seconds = seconds

    async def run(self, clients: int) -> None:
        """Run all connections until the time is over."""
        end = time.perf_counter() + self._seconds
        step = max(1, len(self._requests) // clients)
        await asyncio.gather(*(self._client(i * step, end) for i in range(clients)))

    async def _client(self, at: int, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(self._requests[at % len(self._requests)])
            status = await _answer(reader)
            self.latencies.append(time.perf_counter() - start)
            self.statuses[status] += 1
            at += 1
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
    return int(head.split(b" ", 2)[1])


def request(path: str, body: bytes) -> bytes:
    """Return an HTTP request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Run, and print figures as JSON."""
    port, path, bodies, clients, seconds = sys.argv[1:]
    requests = [request(path, line) for line in Path(bodies).read_bytes().splitlines()]
    load = Clients(int(port), requests, float(seconds))
    start = time.perf_counter()
    asyncio.run(load.run(int(clients)))
    elapsed = time.perf_counter() - start
    p50, p99, p999 = (np.quantile(load.latencies, [0.5, 0.99, 0.999]) * 1000).tolist()
    figures = {
        "requests": len(load.latencies),
        "per second": len(load.latencies) / elapsed,
        "p50 ms": p50,
        "p99 ms": p99,
        "p99.9 ms": p999,
        "errors": sum(count for status, count in load.statuses.items() if status != 200),
        "client cpu": time.process_time() / elapsed,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
