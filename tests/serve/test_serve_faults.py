"""Servers that are killed, told to end, doubled, or whose disk is full: nothing is lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from killing import WRITERS, Writer, end_server, make_index
from serving import Process, Served, error_of, process

from sparsearch import Client, Index
from sparsearch.errors import IndexLockedError, IndexReplacedError


def test_killed_servers_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """tests/serve/killing.py does the same a hundred times."""
    folder = tmp_path / "papers"
    make_index(folder)
    writers = [Writer(i) for i in range(WRITERS)]
    for _ in range(3):
        code = end_server(folder, writers, signal.SIGKILL, random.uniform(0.2, 2.0))
        assert code == -signal.SIGKILL
    assert sum(len(writer.acknowledged) for writer in writers) > 0


def test_a_server_told_to_end_under_load_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    make_index(folder)
    writers = [Writer(i) for i in range(WRITERS)]
    code = end_server(folder, writers, signal.SIGTERM, 1.5)
    assert code in (0, -signal.SIGTERM)
    assert sum(len(writer.acknowledged) for writer in writers) > 0
    # A server that ends answers what it has taken, and takes no more; it never answers 500.
    assert all('"shutting_down"' in text for writer in writers for text in writer.refused)


def test_of_two_servers_one_writes_and_the_other_follows(papers: Path) -> None:
    with process(papers) as first, process(papers) as second, ExitStack() as stack:
        clients = (stack.enter_context(Client(server.url)) for server in (first, second))
        writer, reader = (client.collection("papers") for client in clients)
        writer.upsert([{"id": "x", "text": "written by the first"}])
        with pytest.raises(IndexLockedError, match="only reads"):
            reader.upsert([{"id": "y", "text": "t"}])
        assert not reader.info().writable
        _until(lambda: reader.count() == 5)
        assert [hit.id for hit in reader.search("written first")] == ["x"]
        # The system frees the lock of a process that dies, however it dies.
        first.signal(signal.SIGKILL)
        first.wait()
        assert reader.upsert([{"id": "y", "text": "t"}]) == 1
        assert reader.count() == 6


def test_a_server_whose_folder_is_gone_leaves_its_place_alone(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    make_index(folder)
    with Served(folder) as server:
        assert put(server, "before").json() == {"stored": 1}
        folder.rename(tmp_path / "away")
        refused = put(server, "meanwhile")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "index_replaced")
        with Client(server.url, patience=1) as client, pytest.raises(IndexReplacedError):
            client.collection("papers").delete(["before"])
        assert found(server, "newest") == ["before"]
        assert httpx.get(f"{server.url}/ready").status_code == 503
        assert not folder.exists()
        (tmp_path / "away").rename(folder)
        assert put(server, "after").json() == {"stored": 1}
        _until(lambda: httpx.get(f"{server.url}/ready").status_code == 200)
    with Index.open(folder) as index:
        assert index.verify() == []


def test_an_index_put_in_the_place_of_another_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sparsearch.serve.collections._GRACE_SECONDS", 3.0)
    folder, rebuilt = tmp_path / "papers", tmp_path / "rebuilt"
    make_index(folder)
    done, codes = threading.Event(), set()
    with Served(folder) as server, ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        stack.callback(done.set)

        def ask() -> None:
            url = f"{server.url}/v1/collections/papers/search"
            while not done.is_set():
                body = {"query": "newest", "explain": True}
                codes.add(httpx.post(url, json=body, timeout=60).status_code)

        asking = [pool.submit(ask) for _ in range(2)]
        assert put(server, "before").json() == {"stored": 1}
        for turn in range(3):
            with Index.create(rebuilt, "bm25") as index:
                index.add([{"id": f"new{turn}", "text": f"rebuilt newest {turn}"}])
            folder.rename(tmp_path / f"away{turn}")
            # While nothing whole is there, the old index answers.
            folder.mkdir()
            (folder / "catalog.sqlite").write_bytes(b"half a copy")
            _until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
            before = ["before"] if turn == 0 else [f"later{turn - 1}", f"new{turn - 1}"]
            assert sorted(found(server, "newest")) == before
            shutil.rmtree(folder)
            rebuilt.rename(folder)
            _until(lambda turn=turn: found(server, "newest") == [f"new{turn}"])
            assert put(server, f"later{turn}").json() == {"stored": 1}
            assert httpx.get(f"{server.url}/ready").status_code == 200
        with Client(server.url) as client:
            assert client.collection("papers").info().documents == 2
        done.set()
        for asked in asking:
            asked.result()
    assert codes == {200}
    assert "papers: what is in its folder now cannot be served: " in caplog.text
    for path in (folder, *(tmp_path / f"away{turn}" for turn in range(3))):
        with Index.open(path) as index:
            assert index.verify() == []


def test_an_index_that_is_put_back_is_written_to(tmp_path: Path) -> None:
    """At once, while who served it before still answers what was asked then."""
    folder, away, rebuilt = (tmp_path / name for name in ("papers", "away", "rebuilt"))
    make_index(folder)
    with Index.create(rebuilt, "bm25") as index:
        index.add([{"id": "new", "text": "rebuilt newest"}])
    with Served(folder) as server:
        assert put(server, "before").json() == {"stored": 1}
        folder.rename(away)
        rebuilt.rename(folder)
        _until(lambda: found(server, "newest") == ["new"])
        folder.rename(rebuilt)
        away.rename(folder)
        _until(lambda: found(server, "newest") == ["before"])
        assert put(server, "after").json() == {"stored": 1}
        assert sorted(found(server, "newest")) == ["after", "before"]


def _until(condition) -> None:  # type: ignore[no-untyped-def]
    for _ in range(400):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it never came true")


def _run(*command: object) -> bool:
    try:
        return (
            subprocess.run(list(map(str, command)), capture_output=True, check=False).returncode
            == 0
        )
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder):
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        _run("umount", "-l", folder)


def put(server: Served, *ids: str) -> httpx.Response:
    documents = [{"id": i, "text": f"newest {i}"} for i in ids]
    url = f"{server.url}/v1/collections/papers/documents"
    return httpx.put(url, json={"documents": documents}, timeout=60)


def found(server: Served, query: str) -> list[str]:
    url = f"{server.url}/v1/collections/papers/search"
    answer = httpx.post(url, json={"query": query}, timeout=60)
    return [hit["id"] for hit in answer.json()["hits"]]


@pytest.mark.filterwarnings("ignore:.*merging their segments is put off:RuntimeWarning")
def test_a_full_disk_refuses_writes_and_answers_searches(disk: Path) -> None:
    make_index(disk / "papers")
    with Served(disk / "papers") as server:
        assert put(server, "before").json() == {"stored": 1}
        with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        refused = put(server, "meanwhile")
        assert (refused.status_code, error_of(refused)["code"]) == (503, "storage_unavailable")
        assert str(disk) not in refused.text
        assert found(server, "newest") == ["before"]
        (disk / "filler").unlink()
        assert put(server, "after").json() == {"stored": 1}
        assert sorted(found(server, "newest")) == ["after", "before"]
    with Index.open(disk / "papers") as index:
        assert index.verify() == []


def test_a_read_only_disk_is_searched(disk: Path) -> None:
    make_index(disk / "papers")
    with Served(disk / "papers") as server:
        assert put(server, "before").json() == {"stored": 1}
    if not _run("mount", "-o", "remount,ro", disk):
        pytest.skip("a file system cannot be made read-only here")
    with Served(disk / "papers") as server:
        assert found(server, "newest") == ["before"]
        refused = put(server, "meanwhile")
        assert (refused.status_code, error_of(refused)["code"]) == (409, "read_only")
        # Writable again, while it is served.
        assert _run("mount", "-o", "remount,rw", disk)
        assert put(server, "after").json() == {"stored": 1}
        assert sorted(found(server, "newest")) == ["after", "before"]


def metrics(server: Process) -> str:
    return httpx.get(f"{server.url}/metrics").text


def test_a_server_told_to_end_refuses_what_its_model_has_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    Index.create(folder).close()
    text = "a long note about nothing in particular, with many different words in it " * 40
    documents = [{"id": str(i), "text": f"{i} {text}"} for i in range(400)]
    with process(folder) as server, ThreadPoolExecutor(1) as pool:
        address = f"{server.url}/v1/collections/notes/documents"
        waiting = pool.submit(httpx.put, address, json={"documents": documents}, timeout=120)
        _until(lambda: 'sparsearch_writes_waiting{collection="notes"} 1.0' in metrics(server))
        asked = time.monotonic()
        server.signal(signal.SIGTERM)
        answer = waiting.result(60)
        assert (answer.status_code, error_of(answer)["code"]) == (503, "shutting_down")
        server.wait()
        assert time.monotonic() - asked < 25  # reading all of it takes longer
    with Index.open(folder) as index:
        assert len(index) == 0
