"""The clients do over HTTP what `Index` does in the process: same results, same errors."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import PAPERS, Served, run

from sparsearch import AsyncClient, Client, Feedback, Index, SparseVectors
from sparsearch.client import AsyncCollection, RemoteCollection
from sparsearch.client.calls import CollectionCalls, How
from sparsearch.errors import (
    AccessDeniedError,
    DuplicateIdError,
    IndexLockedError,
    IndexNotFoundError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidQueryError,
    ServiceUnavailableError,
    SparsearchError,
)
from sparsearch.serve import KeyFile, Limits

KNOWN = {paper["id"] for paper in PAPERS}


@pytest.fixture(scope="module")
def both(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Index]]:
    """A collection through a client, and an index of the same documents."""
    folder = tmp_path_factory.mktemp("both")
    for name in ("papers", "local"):
        shutil.copytree(made, folder / name)
    served, local = Served(folder / "papers"), Index.open(folder / "local")
    with served as server, Client(server.url) as client, local as index:
        yield client.collection("papers"), index


@pytest.fixture
def server(papers: Path) -> Iterator[Served]:
    with Served(papers) as server:
        yield server


def outcome(action: Callable[[], object]) -> object:
    """Return what an action returns, or the error it raises."""
    try:
        return action()
    except SparsearchError as error:
        return type(error), getattr(error, "position", None), getattr(error, "document_id", None)


READINGS: dict[str, Callable[[Any], object]] = {
    "search": lambda i: i.search("sparse vectors", 3),
    "search with a filter": lambda i: i.search("sparse", filter={"year": {">=": 2021}}),
    "search by weights": lambda i: i.search({"spars": 1.0, "soup": 2.0}),
    "search by a vector": lambda i: i.search(SparseVectors.from_dicts([{"spars": 1.0}])),
    "search approximately": lambda i: i.search("sparse", recall=0.9),
    "search with feedback": lambda i: i.search("sparse", feedback=Feedback()),
    "search for distinct hits": lambda i: i.search("sparse", distinct="year"),
    "search_batch for distinct hits": lambda i: i.search_batch(["sparse"], 1, distinct="year"),
    "search for hits that cannot be": lambda i: i.search("sparse", distinct="tags"),
    "search_batch with feedback": lambda i: i.search_batch(["sparse"], feedback=Feedback(2, 3)),
    "search_batch": lambda i: i.search_batch({"q1": "sparse", "q2": "nothing known"}, 5),
    "search_batch of a list": lambda i: i.search_batch(["soup", "dense"]),
    "search_batch of vectors": lambda i: i.search_batch(SparseVectors.from_dicts([{"soup": 1.0}])),
    "explain": lambda i: i.explain("sparse soup", "c"),
    "explain with feedback": lambda i: i.explain(
        "sparse", "a", {"year": 2021}, feedback=Feedback()
    ),
    "encode_queries": lambda i: i.encode_queries(["sparse soup", ""]).to_dicts(),
    "get": lambda i: i.get("d/../e"),
    "vector": lambda i: i.vector("a").to_dicts(),
    "count": lambda i: (len(i), i.count({"year": 2021})),
    "documents": lambda i: sorted(i.documents(), key=lambda d: d.id),
    "documents with a filter": lambda i: sorted(i.documents({"year": 2021}), key=lambda d: d.id),
    "documents with an unknown field": lambda i: list(i.documents({"no": 1})),
    "facets": lambda i: i.facets(["year", "tags"], limit=2),
    "a document that is not there": lambda i: i.get("no"),
    "explain one that is not there": lambda i: i.explain("sparse", "no"),
    "an unknown field": lambda i: i.search("sparse", filter={"no": 1}),
    "a malformed filter": lambda i: i.count({"year": {"~": 1}}),
    "k below 0": lambda i: i.search("sparse", -1),
    "k that is not whole": lambda i: i.search_batch(["sparse"], 1.5),
    "more than all of the recall": lambda i: i.search("sparse", recall=2),
    "a lone surrogate": lambda i: i.search("sparse \ud800"),
    "a lone surrogate among queries": lambda i: i.search_batch(["sparse", "\ud800"]),
    "a lone surrogate to explain": lambda i: i.explain("\ud800", "a"),
    "a filter that is no number": lambda i: i.search("sparse", filter={"year": math.nan}),
    "a filter of objects": lambda i: i.count({"year": {"in": [object()]}}),
    "a weight that is no number": lambda i: i.search({"soup": math.nan}),
    "no id": lambda i: i.get(""),
    "an id that is none": lambda i: i.vector("\ud800"),
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_reading_gives_what_the_index_gives(both: tuple[Any, Index], reading) -> None:
    remote, index = both
    assert outcome(lambda: reading(remote)) == outcome(lambda: reading(index))


WRITINGS: dict[str, Callable[[Any], object]] = {
    "add": lambda i: i.add([{"id": "x", "text": "a new one", "n": 1}, {"id": "y", "title": "t"}]),
    "add a taken id": lambda i: i.add([{"id": "a", "text": "t"}]),
    "add without text": lambda i: i.add([{"id": "z"}]),
    "add text that is a number": lambda i: i.add([{"id": "z", "text": 3}]),
    "upsert": lambda i: i.upsert([{"id": "b", "text": "now sparse"}]),
    "delete": lambda i: i.delete(["c"]),
    "delete what is not there": lambda i: i.delete(["c"]),
    "delete what may be missing": lambda i: i.delete(["c", "d/../e"], missing_ok=True),
    "vectors for an encoder": lambda i: i.add_vectors(
        ["v"], SparseVectors.from_dicts([{"a": 1.0}])
    ),
}


def test_writing_does_what_the_index_does(server: Served, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "local")
    with Client(server.url) as client, Index.open(tmp_path / "local") as index:
        remote = client.collection("papers")
        for name, writing in WRITINGS.items():
            expected = outcome(lambda w=writing: w(index))  # type: ignore[misc]
            if name == "vectors for an encoder":
                # The service tells this document by document.
                with pytest.raises(SparsearchError):
                    writing(remote)
                continue
            assert outcome(lambda w=writing: w(remote)) == expected, name  # type: ignore[misc]
            assert len(remote) == len(index), name
        for document in index.documents():
            assert remote.get(document.id) == document
        # The service brings weights up to date in the background.
        expected = [pytest.approx(hit.score, rel=0.01) for hit in index.search("sparse")]
        deadline = time.monotonic() + 60
        while [hit.score for hit in remote.search("sparse")] != expected:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [h.id for h in remote.search("sparse")] == [h.id for h in index.search("sparse")]


@pytest.mark.parametrize("by_string", [True, False])
def test_vectors(tmp_path: Path, by_string: bool) -> None:
    Index.create(tmp_path / "vectors", None).close()
    if by_string:
        vectors = SparseVectors.from_dicts([{"sparse": 1.0, "soup": 0.25}, {"soup": 2.0}])
        query: Any = {"soup": 1.0}
    else:
        vectors = SparseVectors([0, 2, 3], [7, 9, 9], [1.0, 0.25, 2.0])
        query = {9: 1.0}
    with Served(tmp_path / "vectors") as server, Client(server.url) as client:
        remote = client.collection("vectors")
        assert remote.add_vectors(["a", "b"], vectors, [{"text": "t"}, {"n": 1}]) == 2
        assert [(hit.id, hit.score) for hit in remote.search(query)] == [("b", 2.0), ("a", 0.25)]
        assert remote.add_vectors(["b"], vectors[1:2], replace=True) == 1
        with pytest.raises(DuplicateIdError):
            remote.add_vectors(["b"], vectors[1:2])
        with pytest.raises(InvalidInputError, match="2 ids were given for 1 vectors"):
            remote.add_vectors(["b", "c"], vectors[1:2])
        assert len(remote) == 2


def test_a_bad_document_is_named_by_its_place_among_all(server: Served) -> None:
    """They are sent some hundreds at a time."""
    documents = [{"id": f"n{i}", "text": "t"} for i in range(700)] + [{"id": "bad"}]
    with Client(server.url) as client:
        remote = client.collection("papers")
        with pytest.raises(InvalidDocumentError, match=r"^document 700 \(id 'bad'\): ") as caught:
            remote.add(documents)
        assert caught.value.position == 700
        assert len(remote) == len(KNOWN) + 500


def test_documents_are_listed_page_by_page(server: Served) -> None:
    with Client(server.url) as client:
        remote = client.collection("papers")
        remote.upsert({"id": f"n{i}", "text": f"text {i}", "n": i} for i in range(1200))
        found = {}
        for document in remote.documents({"n": {">=": 0}}, fields=["n"]):
            if not found:
                remote.upsert(
                    [{"id": f"n{i}", "text": "changed", "n": i} for i in range(0, 1200, 2)]
                )
            assert document.id not in found
            assert (document.title, document.text) == (None, None)
            found[document.id] = document.metadata
        assert found == {f"n{i}": {"n": i} for i in range(1200)}


def test_async_client(server: Served) -> None:
    async def use() -> None:
        async with AsyncClient(server.url) as client:
            assert await client.collections() == ["papers"]
            remote = client.collection("papers")
            many = [remote.upsert([{"id": f"u{i}", "text": f"upserted {i}"}]) for i in range(20)]
            assert sum(await asyncio.gather(*many)) == 20
            assert await remote.count() == len(KNOWN) + 20
            found = await asyncio.gather(*(remote.search(f"upserted {i}", 1) for i in range(20)))
            assert [hits[0].id for hits in found] == [f"u{i}" for i in range(20)]
            assert await remote.delete([f"u{i}" for i in range(20)]) == 20
            listed = [document async for document in remote.documents({"year": 2020})]
            assert listed == [await remote.get("a")]
            assert (await remote.get("a")).title == "Sparse retrieval"
            assert (await remote.vector("a")).nnz > 0
            assert (await remote.explain("sparse", "a")).terms
            assert len(await remote.search_batch(["sparse", "soup"])) == 2
            assert (await remote.info()).documents == len(KNOWN)
            assert [facet.field for facet in await remote.facets()] == ["draft", "tags", "year"]
            assert len(await remote.encode_queries(["sparse"])) == 1
            with pytest.raises(DuplicateIdError):
                await remote.add([{"id": "a", "text": "t"}])

    run(use())


def test_both_clients_have_the_same_verbs_as_an_index() -> None:
    def verbs(kind: type) -> dict[str, list[str]]:
        functions = inspect.getmembers(kind, inspect.isfunction)
        return {n: list(inspect.signature(f).parameters) for n, f in functions if n[0] != "_"}

    assert verbs(RemoteCollection) == verbs(AsyncCollection)
    of_index = verbs(Index)
    for verb, parameters in verbs(RemoteCollection).items():
        shared = [name for name in of_index[verb] if name in parameters]
        assert [name for name in parameters if name != "fields" or verb == "facets"] == shared


def test_keys_and_unknown_collections(papers: Path, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    _, token = keys.create("reader", "read", ["papers"])
    with Served(papers, keys=keys.path) as server:
        with Client(server.url) as nobody, pytest.raises(AccessDeniedError, match="API key"):
            nobody.collections()
        with Client(server.url, token) as client:
            assert client.collection("papers").info().writable is False
            with pytest.raises(AccessDeniedError, match="may not write"):
                client.collection("papers").delete(["a"])
            with pytest.raises(IndexNotFoundError):
                client.collection("absent").info()


def test_a_server_that_only_reads(papers: Path) -> None:
    with Served(papers, read_only=True) as server, Client(server.url) as client:
        assert len(client.collection("papers").search("sparse")) > 0
        with pytest.raises(IndexLockedError, match="only reads"):
            client.collection("papers").upsert([{"id": "x", "text": "t"}])


def test_nobody_listens() -> None:
    refused = pytest.raises(ServiceUnavailableError, match="cannot be reached")
    with Client("http://127.0.0.1:9", patience=0.1) as client, refused:
        client.collections()


FOREIGN = {
    "a gateway's error": (502, b'{"error": "no healthy upstream"}'),
    "an error as a list": (502, b'{"error": {"code": ["x"], "message": null}}'),
    "a list of errors": (500, b"[1]"),
    "another object": (200, b'{"ok": true}'),
    "a list": (200, b"[]"),
    "a string": (200, b'"ok"'),
    "null": (200, b"null"),
    "a page": (200, b"<html></html>"),
    "values of other types": (
        200,
        b'{"count": "many", "stored": [], "hits": 3, "collections": 1, "vectors": {"a": 1}, '
        b'"rankings": [], "documents": [1], "facets": [{}], "terms": "x", "id": 1, "vector": 1}',
    ),
}


@pytest.mark.parametrize(("status", "content"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_answer_of_the_service(status: int, content: bytes) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}", patience=0.1) as client:
            remote = client.collection("papers")
            for ask in (
                client.collections,
                remote.info,
                remote.count,
                remote.facets,
                lambda: remote.search("x"),
                lambda: remote.search_batch(["x"]),
                lambda: remote.explain("x", "a"),
                lambda: remote.encode_queries(["x"]),
                lambda: remote.get("a"),
                lambda: remote.vector("a"),
                lambda: list(remote.documents()),
                lambda: remote.upsert([{"id": "a", "text": "t"}]),
                lambda: remote.delete(["a"]),
            ):
                with pytest.raises(ServiceUnavailableError):
                    ask()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("key", ["", " ", "two words", "sps_\n", "é", 5])
def test_keys_that_cannot_be_sent(key: Any) -> None:
    with pytest.raises(InvalidInputError, match="API key"):
        Client("http://localhost", key)


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:80", "ftp://x", "", None, "http://h:80a", "http://", "http://:80", "http://[::1"],
)
def test_a_url_of_something_else(url: Any) -> None:
    with pytest.raises(InvalidInputError, match="URL"):
        Client(url)


def test_a_busy_server_is_asked_again(papers: Path) -> None:
    """Eight writers at a queue of two: with patience all of them are served."""
    with Served(papers, limits=Limits(writes_waiting=2)) as server:
        errors: list[BaseException] = []

        def write(number: int) -> None:
            try:
                with Client(server.url, patience=60) as client:
                    client.collection("papers").upsert([{"id": f"w{number}", "text": "t"}])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        with Client(server.url) as client:
            assert client.collection("papers").count() == len(KNOWN) + 8


def test_long_documents_are_sent_in_portions_that_a_service_takes() -> None:
    documents = [{"id": str(i), "text": "word " * (8_000 if i > 700 else 1)} for i in range(1_200)]
    documents.append({"id": "long", "text": "x" * 14_000_000})  # alone, it fits
    calls = list(CollectionCalls("c").puts(iter(documents), replace=True))
    sent = [json.loads(call.content() or b"")["documents"] for call in calls]
    assert [document for portion in sent for document in portion] == documents
    assert len(sent[0]) == 500
    sizes = [len(call.content() or b"") for call in calls]
    assert sorted(sizes)[-2] < 5_000_000 < 14_000_000 < max(sizes) < 14_001_000
    assert [call.offset for call in calls] == np.cumsum([0, *map(len, sent)])[:-1].tolist()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"id": "odd", "text": "t", "n": (1, 2)}, "'n' has a value of type tuple"),
        ({"id": "odd", "text": "t", "n": {1: "a"}}, "'n' has a key that is not a string"),
        ({"id": "odd", "text": "t", "n": 2**64}, "'n' is an integer beyond 64 bits"),
        ({"id": "odd", "text": "t", "n": float("nan")}, "'n' is nan"),
        ({"id": "odd", "text": "t", "n": {1}}, "'n' has a value of type set"),
        ({"id": "odd", "text": "\ud800"}, "'text' cannot be stored"),
        ({"id": "odd", "text": "t", 5: 5}, "field name 5 must be a string"),
    ],
)
def test_what_json_would_alter_is_refused_as_an_index_does(
    server: Served, tmp_path: Path, document: Any, reason: str
) -> None:
    documents = [{"id": f"n{i}", "text": "t"} for i in range(3)] + [document]
    with Client(server.url) as client, Index.create(tmp_path / "local", "bm25") as index:
        remote = client.collection("papers")
        for collection in (remote, index):
            with pytest.raises(InvalidDocumentError, match=reason) as caught:
                collection.add(documents)
            assert str(caught.value).startswith("document 3 (id 'odd'): ")
        assert remote.count() == len(KNOWN) + 3
        assert len(index) == 3


def test_no_documents_are_refused(server: Served) -> None:
    with Client(server.url) as client:
        remote = client.collection("papers")
        with pytest.raises(InvalidInputError, match="iterable of mappings, not None"):
            remote.add(None)
        with pytest.raises(InvalidDocumentError, match="must be a mapping, not str"):
            remote.add("text")
        with pytest.raises(InvalidInputError, match="ids must be strings, not None"):
            remote.delete(None)
        for queries in ("text", None):
            with pytest.raises(InvalidQueryError, match="give a sequence of strings"):
                remote.search_batch(queries)


def test_texts_to_encode_are_taken_as_an_index_takes_them(both: tuple[Any, Index]) -> None:
    remote, index = both
    many = ["sparse soup", "dense"] * 700 + ["soup " * 50_000] * 5
    for texts in (many, [], ("sparse",), np.array(["sparse", "soup"])):
        assert remote.encode_queries(texts).to_dicts() == index.encode_queries(texts).to_dicts()
    for wrong in ("text", {"q": "text"}, None, ["text", 1], iter(["text"])):
        for collection in (remote, index):
            with pytest.raises(InvalidQueryError):
                collection.encode_queries(wrong)

    async def use(url: str) -> None:
        async with AsyncClient(url) as client:
            vectors = await client.collection("papers").encode_queries(many)
            assert vectors.to_dicts() == index.encode_queries(many).to_dicts()

    run(use(str(remote._client._http.base_url)))


@pytest.mark.parametrize("wrong", ["title", 3])
def test_a_name_is_no_list_of_names(both: tuple[Any, Index], wrong: Any) -> None:
    remote, index = both
    for ask in (
        lambda: remote.search("sparse", fields=wrong),
        lambda: list(remote.documents(fields=wrong)),
        lambda: remote.facets(wrong),
        lambda: index.facets(wrong),
    ):
        with pytest.raises(InvalidInputError, match="give a list of field names"):
            ask()


def test_a_field_called_vector_is_not_lost() -> None:
    vectors = SparseVectors.from_dicts([{"a": 1.0}, {"a": 2.0}])
    with pytest.raises(InvalidDocumentError, match=r"^document 1 \(id 'y'\): .* otherwise$"):
        list(
            CollectionCalls("c").put_vectors(
                ["x", "y"], vectors, [{"n": 1}, {"vector": "mine"}], replace=False
            )
        )


def test_any_number_of_queries_and_of_ids(server: Served) -> None:
    queries = {f"q{i}": word for i, word in enumerate(["sparse", "soup", "nothing"] * 500)}
    with Client(server.url) as client:
        remote = client.collection("papers")
        found = remote.search_batch(queries, k=5)
        few = remote.search_batch({name: queries[name] for name in ("q0", "q1", "q2")}, k=5)
        assert len(remote.search_batch({}, k=5)) == 0
        for i, name in enumerate(queries):
            assert found[name] == few[f"q{i % 3}"]
        missing = [f"missing{i}" for i in range(12_000)]
        assert remote.delete([*missing, "a"], missing_ok=True) == 1
        with pytest.raises(InvalidInputError, match="at most 10000"):
            remote.delete(missing)


def test_queries_are_sent_in_portions_that_a_service_takes(server: Served) -> None:
    """By how many they are, their characters, their terms, and the hits to come."""
    texts = ["sparse " * 20_000, "soup", "x" * 1_000_000, *["dense"] * 600, "soup " * 100_000]
    heavy = {f"t{i}": 1.0 for i in range(60_000)}
    vectors = SparseVectors.from_dicts([heavy, heavy, {"soup": 1.0}, heavy])
    calls = CollectionCalls("c")

    def sizes(queries: Any, k: int) -> list[int]:
        how = How(k, filter=None, recall=None, feedback=None, distinct=None)
        sent = calls.search_batches(queries, how)
        return [len(json.loads(call.content() or b"")["queries"]) for call in sent]

    assert sizes(texts, 10) == [2, 1, 500, 100, 1]
    assert sizes(texts[3:13], 100_000) == [5, 5]
    assert sizes(vectors, 10) == [1, 2, 1]
    with Client(server.url) as client:
        remote = client.collection("papers")
        assert list(remote.search_batch(texts, k=2)) == [str(i) for i in range(len(texts))]
        found = remote.search_batch(vectors, k=2)
        assert found["2"] == remote.search_batch(vectors[2:3], k=2)["0"]


def test_an_id_that_fits_no_url_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="too long to be sent in a URL"):
        CollectionCalls("c").get("x" * 60_000)


def test_what_may_not_be_asked_for_twice_is_not() -> None:
    calls = CollectionCalls("c")
    assert not calls.delete_matching({"n": 1}).repeatable
    documents = [{"id": "a", "text": "t"}]
    assert [call.repeatable for call in calls.puts(documents, replace=False)] == [False]
    assert [call.repeatable for call in calls.puts(documents, replace=True)] == [True]
