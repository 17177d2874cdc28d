"""Processes that search while another one writes: each sees whole commits, and never an error."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from processes import read_pairs, start, try_to_write

from sparsearch import Index, IndexConfig

COMMITS = 30
"""Counted, not timed: a slow disk makes the test longer, never red."""


def pair(number: int, version: int) -> list[dict[str, str]]:
    text = f"pair {number} version{version} " + "word " * (version % 5)
    return [{"id": f"{side}{number}", "text": text, "kind": "pair"} for side in "pq"]


def test_readers_see_whole_commits(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    choices = random.Random(1)
    with Index.create(folder, "bm25", IndexConfig(segment_documents=16)) as index:
        anchors = [{"id": f"anchor{i}", "text": "anchor", "kind": "anchor"} for i in range(20)]
        index.add(anchors[:10])
        index.add(anchors[10:])
        readers = [start(read_pairs, folder) for _ in range(2)]
        for _, connection in readers:
            assert connection.recv() == "started"
        live: set[int] = set()
        for version in range(1, COMMITS + 1):
            chosen = choices.sample(range(60), 4)
            index.upsert(document for number in chosen for document in pair(number, version))
            live.update(chosen)
            if version % 3 == 0:
                gone = choices.sample(sorted(live), 3)
                index.delete(f"{side}{number}" for number in gone for side in "pq")
                live.difference_update(gone)
            if version % 10 == 0:
                index.optimize()
        for process, connection in readers:
            connection.send("stop")
            report = connection.recv()
            process.join()
            assert isinstance(report, tuple), report
            searches, refreshes = report
            assert searches > 0
            assert refreshes > 0
            assert process.exitcode == 0
        assert {d.id for d in index.documents() if d.metadata["kind"] == "pair"} == {
            f"{side}{number}" for number in live for side in "pq"
        }
        assert index.verify() == []


def test_a_second_writing_process_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    reports: list[str] = []

    def documents() -> Iterator[dict[str, str]]:
        yield {"id": "a", "text": "b"}
        process, connection = start(try_to_write, folder)
        reports.append(connection.recv())
        process.join()

    with Index.create(folder, "bm25") as index:
        index.add(documents())
        assert "locked" in reports[0]
        assert "another writer is at work" in reports[0]
        process, connection = start(try_to_write, folder)
        assert connection.recv() == "written"
        process.join()
        assert index.refresh()
        assert len(index) == 2
