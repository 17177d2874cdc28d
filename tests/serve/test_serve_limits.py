"""Hostile and careless clients: too large, too slow, too many, in disguise. None gets through,
and none keeps the others from being served.
"""

from __future__ import annotations

import gzip
import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Served, error_of, raw

from sparsearch import Index
from sparsearch.errors import InvalidInputError
from sparsearch.serve import Limits, ServeConfig

NDJSON = {"content-type": "application/x-ndjson"}
SEARCH = "/v1/collections/papers/search"

SMALL = Limits(
    body_bytes=10_000,
    line_bytes=5000,
    header_seconds=1.0,
    grace_seconds=1.0,
    bytes_per_second=100_000,
)


@pytest.fixture(scope="module")
def small(shared_papers: Path) -> Iterator[Served]:
    """A server with little patience."""
    with Served(shared_papers, limits=SMALL) as server:
        yield server


@pytest.fixture(autouse=True)
def answers_afterwards(small: Served) -> Iterator[None]:
    """Whatever a test did, the server goes on."""
    yield
    found = httpx.post(f"{small.url}{SEARCH}", json={"query": "soup"}, timeout=60)
    assert [hit["id"] for hit in found.json()["hits"]] == ["c"]


def post(server: Served, path: str, content: object, **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json", **headers}
    return httpx.post(f"{server.url}{path}", content=content, headers=headers, timeout=60)  # type: ignore[arg-type]


def test_large_bodies(small: Served) -> None:
    body = json.dumps({"query": "x" * 20_000}).encode()
    declared = post(small, SEARCH, body)
    assert (declared.status_code, error_of(declared)["code"]) == (413, "too_large")
    pieces = (body[i : i + 1000] for i in range(0, len(body), 1000))
    chunked = post(small, SEARCH, pieces)
    assert (chunked.status_code, error_of(chunked)["code"]) == (413, "too_large")


@pytest.mark.parametrize("length", [b"9" * 10, b"9" * 20, b"9" * 5000])
def test_a_large_body_is_refused_before_it_is_sent(small: Served, length: bytes) -> None:
    head = b"POST " + SEARCH.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
    answer = raw(small.port, head + b"Connection: close\r\nContent-Length: " + length + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))


def test_long_lines_of_streams(small: Served) -> None:
    path = "/v1/collections/papers/documents/stream"
    line = json.dumps({"id": "long", "text": "x" * 6000})
    for content in (line + "\n", line, '{"id": "ok", "text": "t"}\n' + line):
        answer = post(small, path, content.encode(), **NDJSON)
        assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
def test_compressed_bodies_are_refused_unread(small: Served, encoding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    for path in (SEARCH, "/v1/collections/papers/documents/stream"):
        answer = post(small, path, bomb[:5000], **{"content-encoding": encoding})
        assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_types_that_pages_may_send_without_asking_are_refused(small: Served, media_type) -> None:
    """A form on a foreign page must not be able to write."""
    body = b'{"documents": [{"id": "x", "text": "t"}]}'
    answer = post(small, "/v1/collections/papers/documents", body, **{"content-type": media_type})
    assert answer.status_code in (415, 422)
    error_of(answer)
    stream = "/v1/collections/papers/documents/stream"
    answer = post(small, stream, b'{"id": "x", "text": "t"}', **{"content-type": media_type})
    assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")


HEAD = b"POST " + SEARCH.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY_HEAD = HEAD + b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"


def drip(port: int, start: bytes, drops: bytes = b"x", seconds: float = 20.0) -> bytes:
    """Send one byte after the other until the server has had enough; return what it said."""
    received = b""
    end = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(start)
        with suppress(ConnectionError):
            while time.monotonic() < end:
                if not select.select([connection], [], [], 0.1)[0]:
                    connection.sendall(drops)
                    continue
                part = connection.recv(65536)
                if not part:
                    return received
                received += part
            raise AssertionError("the server waited without end")
    return received


def test_slow_headers_are_cut_off(small: Served) -> None:
    empty_lines = b"\r\n"  # which may come before a request
    assert drip(small.port, b"", empty_lines) == b""
    assert drip(small.port, HEAD) == b""
    # Of a later request on the same connection as well.
    assert drip(small.port, WHOLE + HEAD).count(b"HTTP/1.1 200") == 1
    assert drip(small.port, WHOLE, empty_lines).count(b"HTTP/1.1 200") == 1


ENDLESS = {
    "headers": (HEAD, b"X-More: " + b"x" * 1000 + b"\r\n"),
    "a header": (HEAD + b"X-More: ", b"x" * 1000),
    "headers of a later request": (WHOLE + HEAD, b"X-More: " + b"x" * 1000 + b"\r\n"),
    "requests whose answers are not read": (b"", WHOLE * 100),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS)
def test_what_does_not_end_is_cut_off(small: Served, start: bytes, more: bytes) -> None:
    assert b"HTTP/1.1 5" not in flood(small.port, start, more)


def flood(port: int, start: bytes, more: bytes) -> bytes:
    """Send without end until the server has had enough; return what it said."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        received = b""
        with suppress(ConnectionError):
            connection.sendall(start)
            for _ in range(100_000):
                connection.sendall(more)
            raise AssertionError("the server took all of it")
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
    return received


def test_slow_bodies_are_cut_off(small: Served) -> None:
    assert drip(small.port, BODY_HEAD).startswith(b"HTTP/1.1 408 ")
    stream = b"PUT /v1/collections/papers/documents/stream HTTP/1.1\r\nHost: localhost\r\n"
    stream += b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert drip(small.port, stream, b"1\r\n\n\r\n").startswith(b"HTTP/1.1 408 ")


def test_answers_that_nobody_reads_are_dropped(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    with Index.create(folder, "bm25") as index:
        index.add([{"id": f"d{i}", "text": "word " + "x" * 200_000} for i in range(100)])
    limits = Limits(header_seconds=1.0)
    body = json.dumps({"query": "word", "k": 100}).encode()
    with Served(folder, limits=limits) as served:
        head = b"POST /v1/collections/large/search HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(head + body)
            assert connection.recv(12) == b"HTTP/1.1 200"
            deadline = time.monotonic() + 30
            while served.server.server_state.connections and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not served.server.server_state.connections


def test_many_slow_clients_do_not_keep_others_waiting(small: Served) -> None:
    with ThreadPoolExecutor(40) as pool:
        slow = [pool.submit(drip, small.port, BODY_HEAD) for _ in range(40)]
        for _ in range(20):
            answer = httpx.post(f"{small.url}{SEARCH}", json={"query": "soup"}, timeout=60)
            assert answer.status_code == 200
        assert all(future.result().startswith(b"HTTP/1.1 408 ") for future in slow)


def test_searches_beyond_the_queue_are_refused(papers: Path) -> None:
    limits = Limits(searches_waiting=2)
    with Served(papers, limits=limits, threads=1) as served, ThreadPoolExecutor(32) as pool:
        url = f"{served.url}{SEARCH}/batch"
        body = {"queries": ["sparse vectors soup"] * 1000, "k": 4}
        answers = list(pool.map(lambda _: httpx.post(url, json=body, timeout=60), range(32)))
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert error_of(answer)["code"] == "search_queue_full"
            assert answer.headers["retry-after"] == "1"


def test_a_search_that_waited_too_long_is_given_up(papers: Path) -> None:
    limits = Limits(search_seconds=0.001)
    with Served(papers, limits=limits, threads=1) as served, ThreadPoolExecutor(16) as pool:
        url = f"{served.url}{SEARCH}/batch"
        body = {"queries": ["sparse vectors soup"] * 1000, "k": 4}
        answers = list(pool.map(lambda _: httpx.post(url, json=body, timeout=60), range(16)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {error_of(answer)["code"] for answer in refused} == {"search_timeout"}


def test_bodies_held_at_once_are_bounded(papers: Path) -> None:
    limits = Limits(bodies_bytes=5000, grace_seconds=30)
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
    with Served(papers, limits=limits) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as first:
            first.sendall(head + b" " * 3000)
            answer = post(served, SEARCH, b" " * 3000)
            assert (answer.status_code, error_of(answer)["code"]) == (503, "bodies_full")
        for _ in range(100):  # what the first one held is given back
            if post(served, SEARCH, b'{"query": "soup"}').status_code == 200:
                break
            time.sleep(0.05)
        assert post(served, SEARCH, json.dumps({"query": " " * 3000})).status_code == 200


def test_answers_carry_headers_that_keep_browsers_safe(small: Served) -> None:
    url = small.url
    for answer in (
        httpx.get(f"{url}/health"),
        httpx.get(f"{url}/nothing"),
        httpx.post(f"{url}{SEARCH}", json={}),
        httpx.post(f"{url}{SEARCH}", content=b"x", headers={"content-encoding": "gzip"}),
        httpx.get(f"{url}/health", headers={"host": "evil.example"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.nip.io"])
def test_without_keys_only_local_names_are_answered(small: Served, host: str) -> None:
    """A foreign page whose name is made to lead here (DNS rebinding) learns nothing."""
    answer = httpx.get(f"{small.url}/v1/collections", headers={"host": host})
    assert (answer.status_code, error_of(answer)["code"]) == (421, "wrong_host")
    twice = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n"
    assert raw(small.port, twice).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 421 "))


def test_origins_are_refused_unless_named(papers: Path, small: Served) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    refused = httpx.options(f"{small.url}{SEARCH}", headers=asked)
    assert "access-control-allow-origin" not in refused.headers
    with Served(papers, origins=("https://app.example",)) as served:
        url = f"{served.url}{SEARCH}"
        allowed = httpx.options(url, headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        answer = httpx.post(url, json={"query": "soup"}, headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        other = httpx.options(url, headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    with pytest.raises(InvalidInputError, match="API keys"):
        Served(papers, origins=("*",))


TRAVERSALS = (
    "/v1/collections/../../../../etc/passwd",
    "/v1/collections/..%2f..%2f..%2fetc%2fpasswd",
    "/v1/collections/%2e%2e/%2e%2e/etc/passwd",
    "/v1/collections/papers%00.json",
    "/v1/collections//etc/passwd",
    "/v1/collections/%5c..%5c..%5cetc",
    "/static/../../etc/passwd",
    "/..%252f..%252fetc/passwd",
    "//etc/passwd",
)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_of_a_request_leads_to_the_disk(small: Served, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(small.port, request.encode())
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 422 "))
    assert b"root:" not in answer


NAMES = ("..", ".", "", "a/b", "papers\0", "papers\r\nX-Evil: 1", "é", "x" * 99, "-x", "a b")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_collections_are_not_paths(small: Served, papers: Path, name: str) -> None:
    answer = httpx.get(f"{small.url}/v1/collections/{quote(name, safe='.')}")
    assert answer.status_code in ((404, 422) if name not in ("", ".", "..") else (200, 404))
    assert "x-evil" not in answer.headers
    with pytest.raises(InvalidInputError, match="collection's name"):
        ServeConfig({name: papers})


def test_headers_cannot_be_injected(small: Served) -> None:
    evil = "x\r\nX-Evil: 1\r\n\r\n<html>"
    for answer in (
        httpx.get(f"{small.url}/v1/collections/papers/document", params={"id": evil}),
        httpx.post(f"{small.url}{SEARCH}", json={"query": evil, "filter": {evil: 1}}),
        httpx.get(f"{small.url}/v1/collections", params={evil: evil}),
    ):
        assert "x-evil" not in answer.headers
        assert answer.headers["content-type"] == "application/json"


GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
SMUGGLED = (
    GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    GET + b"Content-Length: -1\r\n\r\n",
    GET + b"Bad : header\r\n\r\n",
    GET.replace(b"\r\n", b"\n") + b"Y: 1\n X: folded\n\n",
    b"GET /health\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    GET + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
)


@pytest.mark.parametrize("data", SMUGGLED, ids=range(len(SMUGGLED)))
def test_malformed_http_ends_the_connection_or_is_answered(small: Served, data: bytes) -> None:
    answer = raw(small.port, data)
    assert b"HTTP/1.1 5" not in answer
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 "))


@settings(max_examples=100)
@given(data=st.binary(max_size=300), prefix=st.sampled_from([b"", HEAD, BODY_HEAD]))
def test_any_bytes_are_survived(small: Served, data: bytes, prefix: bytes) -> None:
    connection = socket.create_connection(("127.0.0.1", small.port), timeout=30)
    with connection, suppress(ConnectionError):
        connection.sendall(prefix + data)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
        assert b"HTTP/1.1 5" not in answer


FEW = Limits(query_characters=100, query_terms=5, filter_values=4)


@pytest.mark.parametrize(
    ("path", "body", "limit"),
    [
        ("search", {"query": "x" * 101}, 100),
        ("search", {"query": {str(i): 1.0 for i in range(6)}}, 5),
        ("search", {"query": "x", "filter": {"year": {"in": [1, 2, 3, 4, 5]}}}, 4),
        ("search/batch", {"queries": ["x" * 51] * 2}, 100),
        ("search/batch", {"queries": ["x"], "filter": {"or": [{"year": 1}] * 5}}, 4),
        ("explain", {"query": "x" * 101, "id": "a"}, 100),
        ("encode", {"texts": ["x" * 101]}, 100),
        ("count", {"filter": {"not": {"or": [{"year": 1}] * 5}}}, 4),
        ("count", {"filter": {"or": [{"year": {"in": []}}] * 5}}, 4),
        ("facets", {"filter": {"year": {"in": [1, 2, 3, 4, 5]}}}, 4),
        ("documents/list", {"filter": {"year": {"in": [1, 2, 3, 4, 5]}}}, 4),
        ("documents/delete", {"filter": {"year": {"in": [1, 2, 3, 4, 5]}}}, 4),
    ],
)
def test_what_would_take_a_thread_for_long(
    shared_papers: Path, path: str, body: object, limit: int
) -> None:
    with Served(shared_papers, limits=FEW) as served:
        answer = httpx.post(f"{served.url}/v1/collections/papers/{path}", json=body, timeout=60)
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["limit"]) == (422, "too_many", limit)
        within = {"query": "x" * 100, "filter": {"year": {"in": [1, 2, 3, 4]}}}
        assert post(served, SEARCH, json.dumps(within)).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_bodies_of_another_type(small: Served, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    for path in (SEARCH, "/v1/collections/papers/documents"):
        url = f"{small.url}{path}"
        answer = httpx.post(url, content=b'{"query": "soup"}', headers=headers, timeout=60)
        assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")
        assert "Content-Type: application/json" in error_of(answer)["message"]
    kind = "application/vnd.api+json; charset=utf-8"
    answer = post(small, SEARCH, b'{"query": "soup"}', **{"content-type": kind})
    assert answer.status_code == 200


def test_settings_that_cannot_work(papers: Path) -> None:
    for origin in ("example.com", "http://x.com/", "https://x.com/path", "https://"):
        with pytest.raises(InvalidInputError, match="none that a browser sends"):
            ServeConfig({"p": papers}, origins=(origin,))
    ServeConfig({"p": papers}, origins=("https://x.com", "http://localhost:3000"))
    for proxies in ("nonsense", "10.0.0.1, 10.0.0.300"):
        with pytest.raises(InvalidInputError, match="is no address"):
            ServeConfig({"p": papers}, trusted_proxies=proxies)
    ServeConfig({"p": papers}, trusted_proxies="10.0.0.5, fd00::/8")
    with pytest.raises(InvalidInputError, match="a and b are the same folder"):
        ServeConfig({"a": papers, "b": papers / ".." / papers.name})
