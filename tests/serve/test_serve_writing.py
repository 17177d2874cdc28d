"""Writing over HTTP: what is acknowledged is durable, what is refused has no effect."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import PAPERS, Served, error_of

from sparsearch import Index
from sparsearch.errors import DuplicateIdError, IndexLockedError
from sparsearch.serve import Limits
from sparsearch.storage import writer_lock

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def server(papers: Path) -> Iterator[Served]:
    with Served(papers) as server:
        yield server


@pytest.fixture
def write(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/v1/collections/papers", timeout=60) as connection:
        yield connection


def ids_in(folder: Path) -> set[str]:
    with Index.open(folder) as index:
        return {document.id for document in index.documents()}


KNOWN = {paper["id"] for paper in PAPERS}


def documents(*ids: str, text: str = "new sparse text") -> dict[str, Any]:
    return {"documents": [{"id": i, "text": f"{text} {i}", "new": True} for i in ids]}


def test_added_documents_are_found_and_durable(papers: Path, write: httpx.Client) -> None:
    answer = write.post("/documents", json=documents("x", "y"))
    assert (answer.status_code, answer.json()) == (200, {"stored": 2})
    hits = write.post("/search", json={"query": "new text"}).json()["hits"]
    assert {hit["id"] for hit in hits} == {"x", "y"}
    assert ids_in(papers) == KNOWN | {"x", "y"}


def test_adding_a_taken_id_adds_nothing(papers: Path, write: httpx.Client) -> None:
    answer = write.post("/documents", json=documents("x", "a"))
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (409, "duplicate_id")
    assert (error["position"], error["id"]) == (1, "a")
    twice = error_of(write.post("/documents", json=documents("x", "x")))
    assert (twice["code"], twice["position"]) == ("duplicate_id", 1)
    assert ids_in(papers) == KNOWN


def test_of_two_writers_one_gets_an_id(papers: Path, write: httpx.Client) -> None:
    """What another process adds meanwhile is never overwritten by who asked to add."""
    ids = [f"n{i}" for i in range(60)]
    added: set[str] = set()

    def add_beside_it() -> None:
        with Index.open(papers) as index:
            for identifier in ids:
                with suppress(DuplicateIdError, IndexLockedError):
                    added.update([identifier] * index.add([{"id": identifier, "text": "beside"}]))

    thread = threading.Thread(target=add_beside_it)
    thread.start()
    answers = {i: write.post("/documents", json=documents(i)) for i in ids}
    thread.join()
    stored = {i for i, answer in answers.items() if answer.status_code == 200}
    assert {answer.status_code for answer in answers.values()} <= {200, 409}
    assert stored.isdisjoint(added)
    with Index.open(papers) as index:  # where both were told to wait, neither got it
        texts = {document.id: document.text for document in index.documents()}
    assert texts.keys() - KNOWN == stored | added
    assert {i for i, text in texts.items() if text == "beside"} == added


def test_upserting_replaces_and_may_be_repeated(papers: Path, write: httpx.Client) -> None:
    for _ in range(2):
        answer = write.put("/documents", json=documents("a", "x", text="changed"))
        assert answer.json() == {"stored": 2}
        assert ids_in(papers) == KNOWN | {"x"}
    assert write.get("/document", params={"id": "a"}).json()["text"] == "changed a"
    hits = write.post("/search", json={"query": "posting lists"}).json()["hits"]
    assert hits == []


def test_one_bad_document_refuses_the_request(papers: Path, write: httpx.Client) -> None:
    body = documents("x", "y")
    body["documents"].append({"id": "z"})
    for send in (write.post, write.put):
        answer = send("/documents", json=body)
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (422, "invalid_document")
        assert (error["position"], error["id"]) == (2, "z")
    assert ids_in(papers) == KNOWN


def test_deleting(papers: Path, write: httpx.Client) -> None:
    refused = write.post("/documents/delete", json={"ids": ["a", "no"], "missing_ok": False})
    assert (refused.status_code, error_of(refused)["code"]) == (404, "document_not_found")
    assert ids_in(papers) == KNOWN
    for expected in (2, 0):
        answer = write.post("/documents/delete", json={"ids": ["a", "no", "d/../e", "a"]})
        assert answer.json() == {"deleted": expected}
    assert ids_in(papers) == KNOWN - {"a", "d/../e"}


def test_a_stream_of_documents(papers: Path, write: httpx.Client) -> None:
    lines = [json.dumps({"id": f"s{i}", "text": f"stream number {i}"}) for i in range(2500)]
    content = ("\r\n".join(lines) + "\n\n  \n").encode()
    # In parts that end anywhere, a character's bytes included.
    parts = (content[i : i + 7919] for i in range(0, len(content), 7919))
    answer = write.post("/documents/stream", content=parts, headers=NDJSON)
    assert answer.json() == {"stored": 2500}
    assert ids_in(papers) == KNOWN | {f"s{i}" for i in range(2500)}
    again = write.put("/documents/stream", content=content, headers=NDJSON)
    assert again.json() == {"stored": 2500}
    assert write.post("/count", json={}).json() == {"count": 2504}


BAD_LINES = {
    "not JSON": (b"{", 400, "bad_json"),
    "not UTF-8": (b'{"id": "\xff"}', 400, "bad_json"),
    "not an object": (b"3", 422, "invalid_document"),
    "no id": (b'{"text": "x"}', 422, "invalid_document"),
    "no text": (b'{"id": "x"}', 422, "invalid_document"),
    "a vector": (b'{"id": "x", "text": "x", "vector": {"a": 1}}', 422, "invalid_document"),
    "a taken id": (b'{"id": "a", "text": "x"}', 409, "duplicate_id"),
}


@pytest.mark.parametrize(("line", "status", "code"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_stream_ends_at_the_first_bad_line(papers: Path, line, status, code) -> None:
    good = [json.dumps({"id": f"s{i}", "text": "t"}).encode() for i in range(25)]
    content = b"\n".join([*good[:17], b"", line, *good[17:]])
    with Served(papers, limits=Limits(portion_documents=10)) as served:
        url = f"{served.url}/v1/collections/papers/documents/stream"
        answer = httpx.post(url, content=content, headers=NDJSON, timeout=60)
        error = error_of(answer)
    assert (answer.status_code, error["code"]) == (status, code)
    assert (error["line"], error["stored"]) == (19, 10)
    if code in ("invalid_document", "duplicate_id"):
        assert error["position"] == 17
        assert error["message"].startswith("document 17")
    assert ids_in(papers) == KNOWN | {f"s{i}" for i in range(10)}


def test_requests_that_wait_are_committed_together(papers: Path, server: Served) -> None:
    url = f"{server.url}/v1/collections/papers/documents"
    with Index.open(papers) as index:
        before = index.generation
    barrier = threading.Barrier(16)

    def send(number: int) -> int:
        barrier.wait()
        return httpx.put(url, json=documents(f"g{number}"), timeout=60).status_code

    # While another process holds the lock, all of them come to wait.
    with ThreadPoolExecutor(16) as pool, writer_lock(papers):
        first = pool.submit(httpx.put, url, json=documents("first"), timeout=60)
        sent = [pool.submit(send, number) for number in range(15)]
        barrier.wait()
        collection = f"{server.url}/v1/collections/papers"
        end = time.monotonic() + 60
        while httpx.get(collection, timeout=60).json()["writes_waiting"] < 16:
            assert time.monotonic() < end
    assert first.result().status_code == 200
    assert [future.result() for future in sent] == [200] * 15
    assert ids_in(papers) == KNOWN | {"first"} | {f"g{i}" for i in range(15)}
    with Index.open(papers) as index:
        # One for the first, one or two for the others, as many for merging.
        assert index.generation - before <= 6


def test_in_a_group_only_the_request_at_fault_is_refused(papers: Path, server: Served) -> None:
    url = f"{server.url}/v1/collections/papers/documents"
    with ThreadPoolExecutor(8) as pool, writer_lock(papers):
        sent = [pool.submit(httpx.post, url, json=documents(i), timeout=60) for i in "axbyczxy"]
        threading.Event().wait(0.5)
    codes = [future.result().status_code for future in sent]
    assert sorted(codes) == [200, 200, 200, 409, 409, 409, 409, 409]
    assert ids_in(papers) == KNOWN | {"x", "y", "z"}


def test_a_queue_that_is_full_refuses(papers: Path) -> None:
    limits = Limits(writes_waiting=2, lock_seconds=60)
    with Served(papers, limits=limits) as served:
        url = f"{served.url}/v1/collections/papers/documents"
        with ThreadPoolExecutor(8) as pool, writer_lock(papers):
            sent = [
                pool.submit(httpx.put, url, json=documents(f"q{i}"), timeout=60) for i in range(8)
            ]
            threading.Event().wait(1)
            # Readers do not wait for the writer.
            found = httpx.post(f"{served.url}/v1/collections/papers/search", json={"query": "soup"})
            assert [hit["id"] for hit in found.json()["hits"]] == ["c"]
        answers = [future.result() for future in sent]
    taken = {f"q{i}" for i, answer in enumerate(answers) if answer.status_code == 200}
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(taken) == 2
    for answer in refused:
        assert (answer.status_code, error_of(answer)["code"]) == (429, "write_queue_full")
        assert int(answer.headers["retry-after"]) >= 1
    assert ids_in(papers) == KNOWN | taken


def test_a_long_write_by_another_process_is_waited_for_and_then_told(papers: Path) -> None:
    with Served(papers, limits=Limits(lock_seconds=0.2)) as served:
        url = f"{served.url}/v1/collections/papers/documents"
        with writer_lock(papers):
            answer = httpx.put(url, json=documents("x"), timeout=60)
            assert (answer.status_code, error_of(answer)["code"]) == (503, "writer_busy")
        assert httpx.put(url, json=documents("x"), timeout=60).json() == {"stored": 1}


def test_what_other_processes_write_shows(papers: Path, write: httpx.Client) -> None:
    with Index.open(papers) as index:
        index.add([{"id": "other", "text": "written elsewhere"}])
    for _ in range(200):
        if write.post("/count", json={}).json() == {"count": 5}:
            break
        threading.Event().wait(0.05)
    hits = write.post("/search", json={"query": "elsewhere"}).json()["hits"]
    assert [hit["id"] for hit in hits] == ["other"]


def vector_documents(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"documents": [{"id": f"v{i}", "vector": row} for i, row in enumerate(rows)], **more}


@pytest.mark.parametrize("term_ids", [False, True])
def test_vectors_from_outside(tmp_path: Path, term_ids: bool) -> None:
    folder = tmp_path / "vectors"
    Index.create(folder, None).close()
    rows = [{"7": 1.0, "12": 0.5}, {"12": 2.0}]
    with Served(folder) as served:
        url = f"{served.url}/v1/collections/vectors"
        body = vector_documents(*rows, term_ids=term_ids)
        assert httpx.post(f"{url}/documents", json=body, timeout=60).json() == {"stored": 2}
        # From now on the collection itself says how it knows its terms.
        line = json.dumps({"id": "late", "text": "a text", "vector": {"7": 3.0}})
        stream = httpx.put(f"{url}/documents/stream", content=line, headers=NDJSON, timeout=60)
        assert stream.json() == {"stored": 1}
        hits = httpx.post(f"{url}/search", json={"query": {"7": 1.0}}).json()["hits"]
        assert [(hit["id"], hit["score"], hit["text"]) for hit in hits] == [
            ("late", 3.0, "a text"),
            ("v0", 1.0, None),
        ]
        assert httpx.get(f"{url}/vector", params={"id": "v0"}).json()["vector"] == rows[0]
        text = httpx.post(f"{url}/search", json={"query": "text"})
        assert (text.status_code, error_of(text)["code"]) == (422, "encoder_unavailable")
    with Index.open(folder) as index:
        assert (index.vectors(0, 0).vocabulary is None) is term_ids


def test_vectors_that_wait_are_committed_together(tmp_path: Path) -> None:
    """Each request has its terms in an order of its own; some have none."""
    folder = tmp_path / "vectors"
    with Index.create(folder, None) as index:
        before = index.generation
    rows = [{f"t{i}": 1.0, "shared": i + 1.0} for i in range(8)]
    with Served(folder, limits=Limits(lock_seconds=60)) as served:
        url = f"{served.url}/v1/collections/vectors"

        def put(name: str, row: dict[str, float]) -> int:
            body = {"documents": [{"id": name, "vector": row}]}
            return httpx.put(f"{url}/documents", json=body, timeout=60).status_code

        with ThreadPoolExecutor(16) as pool, writer_lock(folder):
            sent = [pool.submit(put, f"v{i}", row) for i, row in enumerate(rows)]
            sent += [pool.submit(put, "empty", {})]
            for _ in range(600):
                if httpx.get(url).json()["writes_waiting"] == len(sent):
                    break
                time.sleep(0.05)
        assert [future.result() for future in sent] == [200] * 9
        for i, row in enumerate(rows):
            stored = httpx.get(f"{url}/vector", params={"id": f"v{i}"}).json()
            assert stored["vector"] == row
    with Index.open(folder) as index:
        # Of the first alone and of all others, and as many for merging.
        assert index.generation - before <= 4
        assert len(index) == 9


BAD_VECTORS = {
    "none": ({}, "invalid_document"),
    "a list": ({"vector": [1]}, "invalid_document"),
    "text": ({"vector": {"a": "1"}}, "invalid_document"),
    "negative": ({"vector": {"a": -1}}, "invalid_vector"),
    "no float32": ({"vector": {"a": 1e300}}, "invalid_vector"),
}


@pytest.mark.parametrize(("fields", "code"), BAD_VECTORS.values(), ids=BAD_VECTORS)
def test_bad_vectors_are_refused_by_position(tmp_path: Path, fields, code) -> None:
    folder = tmp_path / "vectors"
    Index.create(folder, None).close()
    body = {"documents": [{"id": "good", "vector": {"a": 1}}, {"id": "bad", **fields}]}
    with Served(folder) as served:
        url = f"{served.url}/v1/collections/vectors/documents"
        answer = httpx.put(url, json=body, timeout=60)
        error = error_of(answer)
    assert (answer.status_code, error["code"], error["position"]) == (422, code, 1)
    assert ids_in(folder) == set()


def _patiently(write: Callable[[], object]) -> None:
    """Write as soon as nobody else does: a merge is committed in milliseconds."""
    for _ in range(500):
        with suppress(IndexLockedError):
            write()
            return
        time.sleep(0.01)
    raise AssertionError("somebody else writes all the time")


def test_documents_that_a_model_reads_hold_nobody_up(tmp_path: Path) -> None:
    """Neither another request nor another process waits for what a large one takes to encode."""
    folder = tmp_path / "notes"
    with Index.create(folder) as index:
        index.add([{"id": "old", "text": "to be deleted"}])
    text = "a long note about nothing in particular, with many different words in it " * 20
    large = {"documents": [{"id": f"large{i}", "text": f"{i} {text}"} for i in range(400)]}
    order = []
    with Served(folder) as server, ThreadPoolExecutor(1) as pool:
        address = f"{server.url}/v1/collections/notes/documents"

        def put(name: str, body: dict[str, Any]) -> None:
            answer = httpx.put(address, json=body, timeout=120)
            assert answer.json() == {"stored": len(body["documents"])}
            order.append(name)

        with Index.open(folder) as index:
            waiting = pool.submit(put, "large", large)
            put("small", documents("small"))
            _patiently(lambda: index.delete(["old"]))  # no other writer is at work for long
            order.append("deleted")
        waiting.result()
    assert order == ["small", "deleted", "large"]
    assert ids_in(folder) == {"small", *(f"large{i}" for i in range(400))}
    with Index.open(folder) as index:
        # What was encoded ahead is what would have been encoded.
        again = tmp_path / "again"
        with Index.create(again) as other:
            other.add([{"id": "large7", "text": f"7 {text}"}])
            query = "particular notes"
            ahead, at_once = (one.explain(query, "large7").terms for one in (index, other))
            assert {t.term: t.document_weight for t in ahead if t.term[0] == "~"} == {
                t.term: t.document_weight for t in at_once if t.term[0] == "~"
            }


def test_documents_are_deleted_by_a_condition(papers: Path, write: httpx.Client) -> None:
    write.put("/documents", json=documents("x", "y"))
    answer = write.post("/documents/delete", json={"filter": {"new": True}})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 2})
    assert ids_in(papers) == KNOWN
    unknown = write.post("/documents/delete", json={"filter": {"nwe": True}})
    assert (unknown.status_code, error_of(unknown)["code"]) == (422, "filter")
    for body in ({}, {"ids": ["a"], "filter": {"new": True}}, {"filter": {}}, {"filter": []}):
        assert write.post("/documents/delete", json=body).status_code == 422
    assert ids_in(papers) == KNOWN
