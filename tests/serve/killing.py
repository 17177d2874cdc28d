"""Ends a server while clients write, again and again, and looks for anything that was lost.

Run as a script it does so as often as it is told: ``python tests/serve/killing.py 100``.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from serving import Process

from sparsearch import Index, IndexConfig

WRITERS = 4
_BATCH = 3
_BATCHES = 5
"""Documents of a request, which must be seen together, and requests' worth of them per writer."""


@dataclass
class Writer:
    """A client that writes the same documents over and over, one version after the other."""

    number: int
    acknowledged: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def run(self, url: str, stop: threading.Event) -> None:
        """Write until told to stop, or nobody answers."""
        with httpx.Client(base_url=url, timeout=60) as http:
            while not stop.is_set():
                batch = random.randrange(_BATCHES)
                version = self.sent.get(batch, 0) + 1
                self.sent[batch] = version
                try:
                    answer = http.put("/documents", json={"documents": self._documents(batch)})
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    self.refused.append(answer.text)
                    return
                self.acknowledged[batch] = version

    def _documents(self, batch: int) -> list[dict[str, object]]:
        version = self.sent[batch]
        return [
            {"id": f"w{self.number}-{batch}-{i}", "text": f"version {version}", "version": version}
            for i in range(_BATCH)
        ]

    def check(self, index: Index) -> None:
        """Check that what was acknowledged is there, and nothing by halves."""
        for batch, sent in self.sent.items():
            ids = [f"w{self.number}-{batch}-{i}" for i in range(_BATCH)]
            found = {index.get(i).metadata["version"] if i in index else 0 for i in ids}
            assert len(found) == 1, f"half of a request is visible: {ids[0]} {found}"
            (version,) = found
            least = self.acknowledged.get(batch, 0)
            assert least <= version <= sent, f"{ids[0]}: {least} was acknowledged, found {version}"


def make_index(folder: Path) -> None:
    """Make an index whose segments are merged often."""
    with Index.create(folder, "bm25", IndexConfig(segment_documents=64)) as index:
        index.add([{"id": f"fixed{i}", "text": f"fixed text {i}"} for i in range(100)])


def end_server(folder: Path, writers: list[Writer], signal_number: int, seconds: float) -> int:
    """Serve, write for a while, end the server, check the index; return the exit code."""
    process = Process(f"papers={folder}")
    stop = threading.Event()
    url = f"{process.url}/v1/collections/papers"
    threads = [threading.Thread(target=writer.run, args=(url, stop)) for writer in writers]
    try:
        for thread in threads:
            thread.start()
        time.sleep(seconds)
    finally:
        process.signal(signal_number)
        code = process.wait()
        stop.set()
        for thread in threads:
            thread.join()
    with Index.open(folder) as index:
        assert index.verify() == []
        assert index.count() >= 100
        found = {hit.id for hit in index.search("fixed", k=200)}
        assert found == {f"fixed{i}" for i in range(100)}
        for writer in writers:
            writer.check(index)
    return code


def main() -> None:
    """End servers as often as told, by SIGKILL or every fifth time by SIGTERM."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "papers"
        make_index(path)
        writers = [Writer(i) for i in range(WRITERS)]
        for number in range(1, rounds + 1):
            how = signal.SIGTERM if number % 5 == 0 else signal.SIGKILL
            end_server(path, writers, how, random.uniform(0.05, 3.0))
            acknowledged = sum(sum(writer.acknowledged.values()) for writer in writers)
            line = f"{number}: {how.name}, {acknowledged} writes acknowledged, none lost"
            print(line, flush=True)


if __name__ == "__main__":
    main()
