"""Run as a script: forks a child per line of input, lets it index for a while, and kills it.

A line is ``<seconds> <job> <folder>``; the answer is ``done`` or ``killed``. The parent has
compiled all kernels, so that children spend their time indexing.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from small_index import document, make_index, results

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import IndexNotFoundError
from sparsearch.vectors import VectorBatch

CORPUS = 160


def create(folder: Path) -> None:
    """Create the index, unless it is there."""
    _open(folder, None).close()


def index_text(folder: Path) -> None:
    """Index the corpus, or what is missing of it."""
    with _open(folder, "bm25") as index:
        progress = index.source_progress("corpus")
        done = 0 if progress is None else progress.consumed
        index.add((document(i) for i in range(done, CORPUS)), source="corpus")


def index_and_optimize(folder: Path) -> None:
    """Index the corpus, or what is missing of it, and optimize."""
    index_text(folder)
    with Index.open(folder) as index:
        index.optimize()


def index_vectors(folder: Path) -> None:
    """Index the vectors, or those that are missing."""
    with _open(folder, None) as index:
        numbers = range(len(index), CORPUS)
        rows = [vector(i) for i in numbers]
        index.add_vectors([f"d{i}" for i in numbers], SparseVectors.from_dicts(rows))


def index_batches(folder: Path) -> None:
    """Index a file of vectors, or what is missing of it, read in batches of another size."""
    with _open(folder, None) as index:
        progress = index.source_progress("corpus")
        done = 0 if progress is None else progress.consumed
        starts = range(done, CORPUS, 11)
        index.add_vector_batches(
            (_batch(start, min(start + 11, CORPUS)) for start in starts), source="corpus"
        )


def _batch(start: int, stop: int) -> VectorBatch:
    rows = SparseVectors.from_dicts([vector(i) for i in range(start, stop)])
    ids = [f"d{i}" for i in range(start, stop)]
    return VectorBatch(ids, [""] * len(ids), rows)


def index_and_merge_in_the_background(folder: Path) -> None:
    """Index the vectors that are missing in many small portions."""
    with _open(folder, None) as index, index.merging_in_background() as merger:
        for start in range(len(index), CORPUS, 4):
            numbers = range(start, min(start + 4, CORPUS))
            rows = [vector(i) for i in numbers]
            index.add_vectors([f"d{i}" for i in numbers], SparseVectors.from_dicts(rows))
        merger.wait_until_idle()


def vector(number: int) -> dict[str, float]:
    """Return a vector made of its number alone, its weights such that rounding matters."""
    return {f"t{number * p % 17}": 0.1 + (number * p % 1009) / 97 for p in (1, 3, 7)}


JOBS = {
    "text": index_text,
    "optimize": index_and_optimize,
    "vectors": index_vectors,
    "batches": index_batches,
    "background": index_and_merge_in_the_background,
}


def _open(folder: Path, encoder: str | None) -> Index:
    try:
        return Index.open(folder)
    except IndexNotFoundError:
        return Index.create(folder, encoder, IndexConfig(segment_documents=8, weight_bits=8))


def run_and_kill(job: str, folder: Path, seconds: float) -> str:
    """Index in a child, for some seconds at most."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            {"create": create, **JOBS}[job](folder)
            status = 0
        except BaseException:
            traceback.print_exc()
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
    with tempfile.TemporaryDirectory() as folder:
        with make_index(Path(folder) / "index") as index:
            index.optimize()
            results(index)
        index_vectors(Path(folder) / "vectors")
    for line in sys.stdin:
        seconds, job, folder = line.rstrip("\n").split(" ", 2)
        print(run_and_kill(job, Path(folder), float(seconds)), flush=True)


if __name__ == "__main__":
    main()
