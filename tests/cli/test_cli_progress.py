from __future__ import annotations

from itertools import islice

import pytest

from sparsearch.cli import _progress
from sparsearch.cli._console import human_time
from sparsearch.cli._progress import Progress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7505, "2 h 05 min")],
)
def test_durations(seconds, shown):
    assert human_time(seconds) == shown


def test_the_pace_is_that_of_the_work_on_batches(monkeypatch):
    """Four batches of ten documents are read at once and worked on for five seconds each."""
    clock = [100.0]
    monkeypatch.setattr(_progress.time, "perf_counter", lambda: clock[0])
    with Progress("reading", 40) as progress:
        documents = progress.watch(iter(range(40)))
        paces = []
        for _ in range(4):
            assert len(list(islice(documents, 10))) == 10
            paces.append(progress._bar.tasks[0].fields["pace"])
            clock[0] += 5
        assert list(documents) == []
    shown = [", 2 per second, 15 s left", ", 2 per second, 10 s left", ", 2 per second, 5 s left"]
    assert paces == ["", *shown]
    assert progress.count == 40
