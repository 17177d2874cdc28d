"""What other processes do in these tests: read while one writes, and try to write."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from small_index import document

from sparsearch import Index
from sparsearch.errors import IndexLockedError

_CONTEXT = multiprocessing.get_context("spawn")


def start(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start ``target(connection, *arguments)``; return the process and our end of the pipe."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def read_pairs(connection: Connection, folder: Path) -> None:
    """Search and refresh until told to stop, and once more; report how often, or what was wrong."""
    searches = refreshes = 0
    try:
        with Index.open(folder) as index:
            _check_snapshot(index)
            connection.send("started")
            stopping = False
            while not stopping:
                stopping = connection.poll()
                refreshes += index.refresh()
                _check_snapshot(index)
                searches += 1
        connection.send((searches, refreshes))
    except BaseException as error:
        connection.send(repr(error))
        raise


def _check_snapshot(index: Index) -> None:
    """Check what every commit keeps true."""
    pairs = {hit.id for hit in index.search("pair", k=10_000)}
    lefts = {i[1:] for i in pairs if i.startswith("p")}
    rights = {i[1:] for i in pairs if i.startswith("q")}
    assert lefts == rights, lefts ^ rights
    assert len(index) == len(pairs) + 20
    fixed = index.search_batch(["anchor"], k=100, filter={"kind": "anchor"})
    assert set(fixed.ids("0")) == {f"anchor{i}" for i in range(20)}
    assert all(index.get(i).metadata["kind"] == "pair" for i in list(pairs)[:3])


def try_to_write(connection: Connection, folder: Path) -> None:
    """Report what comes of writing."""
    try:
        with Index.open(folder) as index:
            index.upsert([document(1)])
        connection.send("written")
    except IndexLockedError as error:
        connection.send(f"locked: {error}")
