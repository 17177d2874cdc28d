"""Connections: slow readers that go on reading, headers behind a body, clients that hang up."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from serving import Served, raw

from sparsearch import Index
from sparsearch.serve import Limits
from sparsearch.serve.protocol import protocol_with_bounds

SEARCH = b"POST /v1/collections/papers/search HTTP/1.1\r\nHost: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


def test_who_reads_slowly_gets_all_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    with Index.create(folder, "bm25") as index:
        index.add([{"id": f"d{i}", "text": "word " + "x" * 200_000} for i in range(60)])
    body = json.dumps({"query": "word", "k": 60}).encode()
    head = SEARCH + JSON + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    # The answer is read for longer than that, at a pace well above the least.
    limits = Limits(header_seconds=1.0, bytes_per_second=100)
    with Served(folder, limits=limits) as served, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(head + body)
        received = bytearray()
        for _ in range(50):
            received += connection.recv(50_000)
            time.sleep(0.05)
        while part := connection.recv(1_000_000):
            received += part
    _, _, content = bytes(received).partition(b"\r\n\r\n")
    assert len(json.loads(content)["hits"]) == 60


CHUNKED = SEARCH + JSON + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CHUNK = b'11\r\n{"query": "soup"}\r\n0\r\n'


def test_headers_behind_a_body_are_none_of_the_request() -> None:
    heads: list[list[bytes]] = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        while (await receive()).get("more_body"):
            pass
        heads.append([name for name, _ in scope["headers"]])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    bounded = protocol_with_bounds(10.0, 1000.0)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=bounded, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        answer = raw(port, CHUNKED + CHUNK + b"X-Forwarded-For: 10.0.0.1\r\n\r\n")
    finally:
        server.should_exit = True
        thread.join(60)
    assert answer.startswith(b"HTTP/1.1 204 ")
    (names,) = heads
    assert b"transfer-encoding" in names
    assert b"x-forwarded-for" not in names


ENDLESS = {
    "headers": b"X-More: " + b"x" * 1000 + b"\r\n",
    "a header": b"x" * 1000,
}


@pytest.mark.parametrize("more", ENDLESS.values(), ids=ENDLESS)
def test_headers_behind_a_body_end(papers: Path, more: bytes) -> None:
    with Served(papers, limits=Limits(grace_seconds=600)) as served:
        address = ("127.0.0.1", served.port)
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(CHUNKED + CHUNK + b"X-First: ")
            with suppress(ConnectionError):
                for _ in range(100_000):
                    connection.sendall(more)
                raise AssertionError("the server took all of it")
        url = f"{served.url}/v1/collections/papers/search"
        # A body of many small parts is not taken for them.
        parts = (b" " * 10 for _ in range(10_000))
        content = (part for source in (parts, [b'{"query": "soup"}']) for part in source)
        headers = {"content-type": "application/json"}
        assert httpx.post(url, content=content, headers=headers, timeout=60).status_code == 200


def test_requests_sent_ahead_are_not_taken_for_headers_behind_a_body(papers: Path) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 200 + b"\r\n"
    with Served(papers) as served:
        answer = raw(served.port, (head + b"\r\n") * 600 + head + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 601


def test_who_hangs_up_is_no_fault_of_ours(papers: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    put = b"PUT /v1/collections/papers/documents"
    stream = b"/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    heads = {
        "search": SEARCH + JSON,
        "upsert_documents": put + b" HTTP/1.1\r\nHost: localhost\r\n" + JSON,
        "upsert_stream": put + stream,
    }
    with Served(papers) as served:
        for operation, head in heads.items():
            with socket.create_connection(("127.0.0.1", served.port)) as connection:
                connection.sendall(head + b"Content-Length: 500\r\n\r\n" + b'{"id": ')
            wanted = f'sparsearch_request_seconds_count{{operation="{operation}",status="400"}} 1.0'
            for _ in range(200):
                if wanted in httpx.get(f"{served.url}/metrics").text:
                    break
                time.sleep(0.05)
            assert wanted in httpx.get(f"{served.url}/metrics").text
    assert caplog.records == []
