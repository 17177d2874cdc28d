"""Real servers for the tests: in a thread of this process, or in a process of their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from sparsearch.serve import Limits, ServeConfig
from sparsearch.serve.server import make_server

SOURCE = Path(__file__).resolve().parents[2] / "src"
_PATIENCE = 120.0

PAPERS: list[dict[str, Any]] = [
    {
        "id": "a",
        "title": "Sparse retrieval",
        "text": "Posting lists of sparse vectors.",
        "year": 2020,
    },
    {"id": "b", "text": "Dense vectors and dense indexes.", "year": 2021, "tags": ["dense", "new"]},
    {"id": "c", "title": "Soup", "text": "Salt the sparse soup.", "year": 2021, "tags": ["food"]},
    {"id": "d/../e", "text": "An id that looks like a path; sparse.", "draft": True},
]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns.

    It has a thread of its own: a browser that other tests drive may run a loop in this one.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class Served:
    """A server in a thread; use as a context manager.

    Attributes
    ----------
    url : str
    port : int
    """

    def __init__(self, *folders: Path, limits: Limits | None = None, **settings: Any) -> None:
        config = ServeConfig(
            {folder.name: folder for folder in folders}, port=0, limits=limits or Limits()
        )
        self.server = make_server(replace(config, **settings))
        self._thread = threading.Thread(target=self.server.run, name="served")

    def __enter__(self) -> Served:
        self._thread.start()
        end = time.monotonic() + _PATIENCE
        while not self.server.started:
            assert self._thread.is_alive(), "the server ended while it started"
            assert time.monotonic() < end
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.should_exit = True
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the server did not end"


class Process:
    """A server as a process of its own: ``sparsearch serve``."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "sparsearch", "serve", *map(str, arguments)]
        self._process = subprocess.Popen(
            [*command, "--port", "0"],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            start_new_session=True,
        )
        self.log: list[str] = []
        self.url = self._find_url()
        # Whatever else it says must be taken, or it would wait.
        self._drain = threading.Thread(target=self._read, daemon=True)
        self._drain.start()

    def _find_url(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.decode())
            found = re.search(r"running on (http://\S+)", self.log[-1])
            if found:
                return found[1]
        raise AssertionError("".join(self.log))

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError):
            self.log += [line.decode() for line in self._process.stderr]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code, once it has ended."""
        code = self._process.wait(_PATIENCE)
        self._drain.join(_PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code


@contextmanager
def process(*arguments: object) -> Iterator[Process]:
    """Run a server as a process; it is killed at the end if it has not ended."""
    running = Process(*arguments)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            running.signal(signal.SIGKILL)
        running.wait()


def raw(port: int, data: bytes, timeout: float = 30.0) -> bytes:
    """Send bytes on a connection of their own; return all that comes back until it ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        received = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    return received


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer tells of an error, and check its form."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"]
    assert error["message"]
    for leak in ("Traceback", ".py", "/tmp", str(SOURCE)):
        assert leak not in answer.text
    return error
