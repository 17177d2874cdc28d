"""Processes that start at once: forked from a server that has compiled the kernels already."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from small_index import document, make_index, results

from sparsearch import Index, IndexConfig
from sparsearch.errors import IndexLockedError, IndexNotFoundError

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["warm"])


def warm_up() -> None:
    """Compile, or load, every kernel that a child will need."""
    with tempfile.TemporaryDirectory() as folder, make_index(Path(folder) / "index") as index:
        index.optimize()
        results(index)


def start(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start ``target(connection, *arguments)``; return the process and our end of the pipe."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return process, ours


CORPUS = 240


def index_corpus(connection: Connection, folder: Path) -> None:
    """Index the corpus, or what is missing of it, and optimize."""
    connection.send("started")
    try:
        index = Index.open(folder)
    except IndexNotFoundError:
        index = Index.create(folder, config=IndexConfig(segment_documents=8))
    with index:
        progress = index.source_progress("corpus")
        done = 0 if progress is None else progress.consumed
        index.add((document(i) for i in range(done, CORPUS)), source="corpus")
        index.optimize()


def read_pairs(connection: Connection, folder: Path) -> None:
    """Search and refresh until told to stop; report how often, or what was wrong."""
    searches = refreshes = 0
    try:
        with Index.open(folder) as index:
            connection.send("started")
            while not connection.poll():
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
