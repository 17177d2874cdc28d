"""``kill -9`` at any moment of indexing: what was committed is there, and the rest can follow."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexing_server import CORPUS
from small_index import document, results

from sparsearch import Index
from sparsearch.errors import IndexNotFoundError
from sparsearch.storage import SourceProgress

KILLS = 10
"""Per seed; five seeds make fifty."""


class Server:
    """A warm process that forks one child a run."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("indexing_server.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run_and_kill(self, folder: Path, after: float) -> bool:
        """Index for some seconds, then kill; return whether the work was done before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(after, folder, file=self._process.stdin, flush=True)
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


def committed(folder: Path) -> int:
    """Return how many documents the index holds, having checked that they are the first ones."""
    try:
        index = Index.open(folder)
    except IndexNotFoundError:
        return 0  # its creation was not finished
    with index:
        assert index.verify() == []
        stored = [d.id for d in index.documents()]
        assert stored == [f"d{i}" for i in range(len(stored))]
        assert len(index.search("common", k=CORPUS + 1)) == len(stored)
        progress = index.source_progress("corpus")
        assert (progress.consumed if progress else 0) == len(stored)
        return len(stored)


@pytest.fixture(scope="module")
def unbroken(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, list[object]]:
    """Seconds that an unbroken run takes, and what its index answers."""
    folder = tmp_path_factory.mktemp("unbroken") / "index"
    assert server.run_and_kill(folder.with_name("first"), 60)
    begin = time.monotonic()
    assert server.run_and_kill(folder, 60)
    seconds = time.monotonic() - begin
    with Index.open(folder) as index:
        assert index.source_progress("corpus") == SourceProgress(CORPUS, f"d{CORPUS - 1}", True)
        return seconds, [results(index), index.vectors()]


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_random_moments(
    tmp_path: Path, server: Server, unbroken: tuple[float, list[object]], seed: int
) -> None:
    seconds, expected = unbroken
    moments = random.Random(seed)
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        folder = tmp_path / str(rounds)
        stored = 0
        while not server.run_and_kill(folder, moments.uniform(0, 0.6 * seconds)):
            kills += 1
            stored, before = committed(folder), stored
            assert stored >= before
        with Index.open(folder) as index:
            assert index.verify() == []
            assert [results(index), index.vectors()] == expected
            assert index.get("d7").text == document(7)["text"]
            assert {p.name for p in (folder / "segments").iterdir()} == {
                segment.stored.uid for segment in index._snapshot.segments
            }
