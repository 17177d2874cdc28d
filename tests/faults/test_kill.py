"""``kill -9`` at any moment of indexing: what was committed is there, and the rest can follow."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexing_server import CORPUS, JOBS
from small_index import document, results

from sparsearch import Index
from sparsearch.errors import IndexNotFoundError
from sparsearch.storage import SourceProgress

KILLS = 10
"""Per test; seven tests make seventy."""

VECTOR_JOBS = ("vectors", "batches", "background")
WITH_SOURCE = ("text", "optimize", "batches")


class Server:
    """A warm process that forks one child a run."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("indexing_server.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run_and_kill(self, job: str, folder: Path, after: float) -> bool:
        """Index for some seconds, then kill; return whether the work was done before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(after, job, folder, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        assert answer in ("done", "killed"), answer
        return answer == "done"

    def stop(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def committed(job: str, folder: Path) -> int:
    """Return how many documents the index holds, having checked that they are the first ones."""
    try:
        index = Index.open(folder)
    except IndexNotFoundError:
        return 0  # its creation was not finished
    with index:
        assert index.verify() == []
        stored = [d.id for d in index.documents()]
        assert stored == [f"d{i}" for i in range(len(stored))]
        assert len(index.vectors()) == len(stored)
        if job not in VECTOR_JOBS:
            assert len(index.search("common", k=CORPUS + 1)) == len(stored)
        if job in WITH_SOURCE:
            progress = index.source_progress("corpus")
            assert (progress.consumed if progress else 0) == len(stored)
        return len(stored)


def answers(job: str, folder: Path) -> list[object]:
    """Return what a finished index answers."""
    with Index.open(folder) as index:
        assert index.verify() == []
        if job in WITH_SOURCE:
            assert index.source_progress("corpus") == SourceProgress(CORPUS, f"d{CORPUS - 1}", True)
        if job in VECTOR_JOBS:
            return [index.vectors(), index.search({"t3": 1.0, "t5": 0.7, "t16": 0.1}, k=CORPUS)]
        assert index.get("d7").text == document(7)["text"]
        return [index.vectors(), results(index)]


@pytest.mark.parametrize(
    ("job", "again"), [*((job, 1) for job in JOBS), ("text", 2), ("vectors", 2)]
)
def test_killed_at_random_moments(tmp_path: Path, server: Server, job: str, again: int) -> None:
    assert server.run_and_kill(job, tmp_path / "first", 60)
    begin = time.monotonic()
    assert server.run_and_kill(job, tmp_path / "unbroken", 60)
    seconds = time.monotonic() - begin
    expected = answers(job, tmp_path / "unbroken")
    moments = random.Random(f"{job} {again}")
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        folder = tmp_path / str(rounds)
        stored = 0
        while not server.run_and_kill(job, folder, moments.uniform(0, 0.6 * seconds)):
            kills += 1
            stored, before = committed(job, folder), stored
            assert stored >= before
        assert answers(job, folder) == expected


def test_killed_while_creating(tmp_path: Path, server: Server) -> None:
    seconds = []
    for name in ("first", "second"):
        begin = time.monotonic()
        assert server.run_and_kill("create", tmp_path / name, 60)
        seconds.append(time.monotonic() - begin)
    moments = random.Random(1)
    for number in range(KILLS):
        folder = tmp_path / str(number)
        while not server.run_and_kill("create", folder, moments.uniform(0, min(seconds))):
            pass
        with Index.open(folder) as index:
            assert index.verify() == []
            assert len(index) == 0
