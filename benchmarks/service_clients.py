"""Clients that ask a service as fast as it answers: many connections, little work of their own.

A process of its own, so that clients and service do not share an interpreter. Requests are bytes
that were made before; of an answer, no more is read than tells its status and its end. So the
clients take a tenth of the processor time that a general client takes, and leave the cores to the
service.

    python benchmarks/service_clients.py PORT PATH BODIES.jsonl CLIENTS SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

_LENGTH = b"\r\ncontent-length: "


class Load:
    """What all connections share.

    Parameters
    ----------
    requests : sequence of bytes
        Whole HTTP requests.
    seconds : float
    """

    def __init__(self, requests: Sequence[bytes], seconds: float) -> None:
        self.requests = requests
        self.end = time.perf_counter() + seconds
        self.latencies: list[float] = []
        self.errors = 0


class Connection(asyncio.Protocol):
    """A connection that sends one request after the other.

    Parameters
    ----------
    load : Load
    at : int
        Which request to start at.
    """

    def __init__(self, load: Load, at: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._at = at
        self._answer = b""
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; after its end, send the next request."""
        self._answer += data
        if not self._size and (end := self._answer.find(b"\r\n\r\n")) >= 0:
            length = self._answer.index(_LENGTH) + len(_LENGTH)
            self._size = end + 4 + int(self._answer[length : self._answer.index(b"\r", length)])
        if self._size and len(self._answer) >= self._size:
            now = time.perf_counter()
            self._load.latencies.append(now - self._start)
            self._load.errors += not self._answer.startswith(b"HTTP/1.1 200 ")
            if now < self._load.end:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that no more will come."""
        if time.perf_counter() < self._load.end:
            self._load.errors += 1
        self.done.set_result(None)

    def _send(self) -> None:
        self._answer, self._size = b"", 0
        self._start = time.perf_counter()
        self._transport.write(self._load.requests[self._at % len(self._load.requests)])
        self._at += 1


async def run(port: int, load: Load, clients: int) -> None:
    """Open all connections, and wait for them to end."""
    loop = asyncio.get_running_loop()
    step = max(1, len(load.requests) // clients)
    opened = []
    for i in range(clients):
        made = loop.create_connection(lambda i=i: Connection(load, i * step), "127.0.0.1", port)  # type: ignore[misc]
        opened.append((await made)[1])
    await asyncio.gather(*(connection.done for connection in opened))


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
    load = Load(requests, float(seconds))
    start, used = time.perf_counter(), time.process_time()
    uvloop.run(run(int(port), load, int(clients)))
    elapsed, used = time.perf_counter() - start, time.process_time() - used
    p50, p99, p999 = (np.quantile(load.latencies, [0.5, 0.99, 0.999]) * 1000).tolist()
    figures = {
        "requests": len(load.latencies),
        "per second": len(load.latencies) / elapsed,
        "p50 ms": p50,
        "p99 ms": p99,
        "p99.9 ms": p999,
        "errors": load.errors,
        "client ms": 1000 * used / len(load.latencies),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
