"""A clock that jumps back a year and forward ten: nothing is lost, nothing waits for it."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from serving import Process, process

from sparsearch import Index
from sparsearch.serve import KeyFile

YEAR = 365 * 86_400


def _library() -> Path | None:
    found = [path for lib in ("lib", "lib64") for path in Path("/usr", lib).glob(_NAMES)]
    return found[0] if found else None


_NAMES = "**/faketime/libfaketime.so.1"
_LIBRARY = _library()

pytestmark = pytest.mark.skipif(
    _LIBRARY is None, reason="libfaketime, which makes clocks jump, is not installed"
)


class Clock:
    """The clock of the processes that are started from now on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "clock"
        self.set(0)
        monkeypatch.setenv("LD_PRELOAD", str(_LIBRARY))
        monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(self._file))
        monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
        monkeypatch.setenv("NO_FAKE_STAT", "1")  # files keep the times they have
        # Clocks that cannot be set do not jump.
        monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")

    def set(self, seconds: int) -> None:
        """Let the clock show another time, so many seconds from the real one."""
        later = self._file.with_name("later")
        later.write_text(f"{seconds:+d}")
        later.replace(self._file)


def write_and_search(server: Process, headers: dict[str, str], known: list[str]) -> None:
    """Write one more document, and find it and all others."""
    name = f"written{len(known)}"
    url = f"{server.url}/v1/collections/papers"
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        body = {"documents": [{"id": name, "text": f"the clock {name}"}]}
        assert http.put("/documents", json=body).json() == {"stored": 1}
        known.append(name)
        hits = http.post("/search", json={"query": name}).json()["hits"]
        assert [hit["id"] for hit in hits] == [name]
        everything = http.post("/search", json={"query": "clock", "k": 100}).json()["hits"]
        assert {hit["id"] for hit in everything} == set(known)


def test_the_clock_jumps(papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    _, token = keys.create("writer", "write")
    headers = {"authorization": f"Bearer {token}"}
    clock = Clock(tmp_path, monkeypatch)
    known: list[str] = []
    for start, jump in ((0, -YEAR), (10 * YEAR, 0), (-YEAR, 10 * YEAR)):
        clock.set(start)
        with process(f"papers={papers}", "--keys", keys.path) as server:
            for shift in (start, jump):
                clock.set(shift)
                until(lambda shift=shift: abs(ahead(server) - shift) < 3600)
                write_and_search(server, headers, known)
            make_and_revoke_key(server, keys)
    monkeypatch.delenv("LD_PRELOAD")
    with Index.open(papers) as index:
        assert index.verify() == []
        assert set(known) <= {document.id for document in index.documents()}


def make_and_revoke_key(server: Process, keys: KeyFile) -> None:
    """The file of keys is looked at again, whatever the clock says."""
    key, token = keys.create("another", "read")
    until(lambda: status(server, {"authorization": f"Bearer {token}"}) == 200)
    keys.revoke(key.id)
    until(lambda: status(server, {"authorization": f"Bearer {token}"}) == 401)


def status(server: Process, headers: dict[str, str]) -> int:
    return httpx.get(f"{server.url}/v1/collections", headers=headers, timeout=60).status_code


def ahead(server: Process) -> float:
    """Return how many seconds a server's clock is ahead of ours."""
    told = httpx.get(f"{server.url}/health", timeout=60).headers["date"]
    return parsedate_to_datetime(told).timestamp() - time.time()


def until(condition) -> None:  # type: ignore[no-untyped-def]
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")
