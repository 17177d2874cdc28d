"""Run as a script: forks a child per line of input, lets it index for a while, and kills it.

A line is ``<seconds> <folder>``; the answer is ``done`` or ``killed``. The parent has compiled all
kernels, so that children spend their time indexing.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from small_index import document, make_index, results

from sparsearch import Index, IndexConfig
from sparsearch.errors import IndexNotFoundError

CORPUS = 160


def index_corpus(folder: Path) -> None:
    """Index the corpus, or what is missing of it, and optimize."""
    try:
        index = Index.open(folder)
    except IndexNotFoundError:
        index = Index.create(folder, config=IndexConfig(segment_documents=8))
    with index:
        progress = index.source_progress("corpus")
        done = 0 if progress is None else progress.consumed
        index.add((document(i) for i in range(done, CORPUS)), source="corpus")
        index.optimize()


def run_and_kill(folder: Path, seconds: float) -> str:
    """Index in a child, for some seconds at most."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            index_corpus(folder)
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return "done" if status == 0 else f"failed with status {status}"
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "done" if status == 0 else "killed"


def main() -> None:
    """Answer lines until the input ends."""
    with tempfile.TemporaryDirectory() as folder, make_index(Path(folder) / "index") as index:
        index.optimize()
        results(index)
    for line in sys.stdin:
        seconds, folder = line.rstrip("\n").split(" ", 1)
        print(run_and_kill(Path(folder), float(seconds)), flush=True)


if __name__ == "__main__":
    main()
