"""What the service reads is what the index gives."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import PAPERS, Served, error_of

from sparsearch import Feedback, Index, SparseVectors
from sparsearch.serve import Limits

WORDS = ("sparse", "dense", "vectors", "soup", "posting", "unknown", "the")


@pytest.fixture(scope="module")
def index(shared_papers: Path):
    with Index.open(shared_papers) as index:
        yield index


def hit_fields(hits: list[Any]) -> list[dict[str, Any]]:
    return [
        {"id": h.id, "score": h.score, "title": h.title, "text": h.text, "metadata": h.metadata}
        for h in hits
    ]


FILTERS = st.sampled_from(
    [None, {"year": 2021}, {"year": {">=": 2020}}, {"tags": "food"}, {"not": {"draft": True}}]
)


@settings(max_examples=40)
@given(words=st.lists(st.sampled_from(WORDS), max_size=4), k=st.integers(0, 5), condition=FILTERS)
def test_search_gives_what_the_index_gives(served, index, words, k, condition) -> None:
    query = " ".join(words)
    request = {"query": query, "k": k, "filter": condition}
    answer = httpx.post(f"{served.url}/v1/collections/papers/search", json=request)
    assert answer.status_code == 200
    assert answer.json()["hits"] == hit_fields(index.search(query, k, condition))


def test_search_by_weights(http: httpx.Client, index: Index) -> None:
    query = {"spars": 1.0, "soup": 0.5}
    answer = http.post("/search", json={"query": query}).json()
    assert answer["hits"] == hit_fields(index.search(query))
    assert answer["exact"] is True
    assert answer["generation"] == index.generation


def test_searches_with_feedback(http: httpx.Client, index: Index) -> None:
    feedback = Feedback(documents=2, terms=5, weight=0.5)
    body = {"query": "sparse", "feedback": asdict(feedback), "explain": True}
    hits = http.post("/search", json=body).json()["hits"]
    expected = index.search("sparse", feedback=feedback)
    assert [(hit["id"], hit["score"]) for hit in hits] == [(h.id, h.score) for h in expected]
    assert {hit["id"] for hit in hits} > {hit.id for hit in index.search("sparse")}
    for hit in hits:
        total = sum(term["contribution"] for term in hit["terms"])
        assert total == pytest.approx(hit["score"])
        why = {"query": "sparse", "id": hit["id"], "feedback": asdict(feedback)}
        assert http.post("/explain", json=why).json()["score"] == pytest.approx(hit["score"])
    body = {"queries": ["sparse", "soup"], "feedback": {}}
    found = http.post("/search/batch", json=body).json()["rankings"]
    run = index.search_batch(["sparse", "soup"], feedback=Feedback())
    assert [tuple(ranking["ids"]) for ranking in found] == [run.ids(name) for name in run]
    for wrong in (True, {"documents": 0}, {"terms": 10**6}, {"weight": 0}, {"more": 1}):
        answer = http.post("/search", json={"query": "sparse", "feedback": wrong})
        assert answer.status_code == 422
        assert "feedback" in answer.json()["error"]["message"]


def test_hits_have_the_fields_asked_for(http: httpx.Client) -> None:
    body = {"query": "soup", "fields": ["title", "year", "draft"]}
    (hit,) = http.post("/search", json=body).json()["hits"]
    assert hit.pop("score") > 0
    assert hit == {"id": "c", "title": "Soup", "metadata": {"year": 2021}}
    (bare,) = http.post("/search", json={"query": "soup", "fields": []}).json()["hits"]
    assert bare.keys() == {"id", "score", "metadata"}


def test_explained_hits_add_up_and_name_their_words(http: httpx.Client, index: Index) -> None:
    query = "sparse vectors in a posting list"
    hits = http.post("/search", json={"query": query, "explain": True}).json()["hits"]
    assert hits
    for hit in hits:
        explanation = index.explain(query, hit["id"])
        assert [t["term"] for t in hit["terms"]] == [t.term for t in explanation.terms]
        assert sum(t["contribution"] for t in hit["terms"]) == pytest.approx(hit["score"], rel=1e-5)
        text = f"{hit['title']} {hit['text']}".lower()
        for term in hit["terms"]:
            assert term["words"]
            assert all(word in text for word in term["words"])
    answer = http.post("/explain", json={"query": query, "id": hits[0]["id"]}).json()
    assert answer["terms"] == hits[0]["terms"]


def test_batch(http: httpx.Client, index: Index) -> None:
    queries = ["sparse", "dense vectors", "nothing known", ""]
    answer = http.post("/search/batch", json={"queries": queries, "k": 3}).json()
    run = index.search_batch(queries, 3)
    assert [ranking["ids"] for ranking in answer["rankings"]] == [list(run.ids(q)) for q in run]
    assert [ranking["scores"] for ranking in answer["rankings"]] == [
        run.scores(q).tolist() for q in run
    ]


def test_batch_of_weights(http: httpx.Client, index: Index) -> None:
    rows = [{"spars": 1.0}, {"soup": 2.0, "dens": 1.0}]
    answer = http.post("/search/batch", json={"queries": rows, "k": 3}).json()
    run = index.search_batch(SparseVectors.from_dicts(rows), 3)
    assert [ranking["ids"] for ranking in answer["rankings"]] == [list(run.ids(q)) for q in run]


@pytest.mark.parametrize("document", PAPERS, ids=lambda d: d["id"])
def test_documents_and_vectors_by_any_id(http: httpx.Client, index: Index, document) -> None:
    found = http.get("/document", params={"id": document["id"]}).json()
    assert {
        **found.pop("metadata"),
        **{n: v for n, v in found.items() if v is not None},
    } == document
    answer = http.get("/vector", params={"id": document["id"]}).json()
    vector = answer["vector"]
    assert answer["names"] == index.term_names(document["id"]) == {}
    at = [d["id"] for d in PAPERS].index(document["id"])
    assert vector == index.vectors(at, at + 1).to_dicts()[0]
    assert list(vector.values()) == sorted(vector.values(), reverse=True)


def test_pages_of_documents(http: httpx.Client) -> None:
    first = http.post("/documents/list", json={"limit": 3}).json()
    second = http.post("/documents/list", json={"limit": 3, "after": first["after"]}).json()
    assert (len(first["documents"]), len(second["documents"]), second["after"]) == (3, 1, None)
    whole = {d["id"]: d for d in first["documents"] + second["documents"]}
    assert whole.keys() == {paper["id"] for paper in PAPERS}
    assert whole["b"] == {
        "id": "b",
        "title": None,
        "text": "Dense vectors and dense indexes.",
        "metadata": {"year": 2021, "tags": ["dense", "new"]},
    }
    body = {"filter": {"year": 2021}, "fields": ["title", "year", "none"]}
    some = http.post("/documents/list", json=body).json()
    assert sorted(some["documents"], key=lambda d: d["id"]) == [
        {"id": "b", "title": None, "metadata": {"year": 2021}},
        {"id": "c", "title": "Soup", "metadata": {"year": 2021}},
    ]
    ids = http.post("/documents/list", json={"fields": []}).json()["documents"]
    assert {"id": "a", "metadata": {}} in ids
    assert len(http.post("/documents/list", json={"limit": 10**9}).json()["documents"]) == 4
    for refused in ({"limit": 0}, {"after": 3}, {"filter": {"no": 1}}):
        assert http.post("/documents/list", json=refused).status_code == 422


def test_count_and_facets(http: httpx.Client) -> None:
    assert http.post("/count", json={}).json() == {"count": 4}
    assert http.post("/count", json={"filter": {"year": 2021}}).json() == {"count": 2}
    facets = http.post("/facets", json={"filter": {"year": 2021}}).json()["facets"]
    assert {f["field"]: [(v["value"], v["count"]) for v in f["values"]] for f in facets} == {
        "draft": [],
        "tags": [("dense", 1), ("food", 1), ("new", 1)],
        "year": [(2021, 2)],
    }
    (tags,) = http.post("/facets", json={"fields": ["tags"], "limit": 1}).json()["facets"]
    assert tags == {"field": "tags", "values": [{"value": "dense", "count": 1}], "complete": False}


def test_encode(http: httpx.Client, index: Index) -> None:
    texts = ["sparse soup", ""]
    answer = http.post("/encode", json={"texts": texts}).json()
    assert answer["vectors"] == index.encode_queries(texts).to_dicts()


def test_facts(served: Served, http: httpx.Client, index: Index) -> None:
    assert httpx.get(f"{served.url}/v1/collections").json() == {"collections": ["papers"]}
    facts = httpx.get(f"{served.url}/v1/collections/papers").json()
    info = index.info()
    for name in ("documents", "deleted", "segments", "postings", "terms", "generation", "fields"):
        assert facts[name] == getattr(info, name)
    assert facts["encoder"]["type"] == "bm25"
    assert facts["writable"] is True
    assert "path" not in facts


def test_health_readiness_and_metrics(served: Served, http: httpx.Client) -> None:
    assert httpx.get(f"{served.url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{served.url}/ready").json() == {"ready": True}
    http.post("/search", json={"query": "sparse"})
    text = httpx.get(f"{served.url}/metrics").text
    for line in (
        'sparsearch_documents{collection="papers"} 4.0',
        'sparsearch_segments{collection="papers"} 1.0',
        'sparsearch_writes_waiting{collection="papers"} 0.0',
        'sparsearch_request_seconds_bucket{le="0.001",operation="search",status="200"}',
        'sparsearch_search_seconds_count{collection="papers",mode="exact"}',
        "process_resident_memory_bytes",
    ):
        assert line in text


BAD_REQUESTS = {
    "unknown field": ("/search", {"query": "x", "kk": 1}, 422, "invalid"),
    "k is text": ("/search", {"query": "x", "k": "3"}, 422, "invalid_query"),
    "k is negative": ("/search", {"query": "x", "k": -1}, 422, "invalid_query"),
    "k is too large": ("/search", {"query": "x", "k": 10**6}, 422, "too_many"),
    "too much to explain": ("/search", {"query": "x", "k": 201, "explain": True}, 422, "too_many"),
    "too many snippets": ("/search", {"query": "x", "k": 201, "snippet": 99}, 422, "too_many"),
    "no query": ("/search", {}, 422, "invalid_query"),
    "a weight is text": ("/search", {"query": {"a": "1"}}, 422, "invalid_query"),
    "a weight is no float32": ("/search", {"query": {"a": 1e300}}, 422, "invalid_vector"),
    "recall": ("/search", {"query": "x", "recall": 2}, 422, "invalid_query"),
    "a filter on nothing": ("/search", {"query": "x", "filter": {"no": 1}}, 422, "filter"),
    "an empty filter": ("/count", {"filter": {}}, 422, "filter"),
    "facets of nothing": ("/facets", {"fields": ["no"]}, 422, "filter"),
    "no such document": ("/explain", {"query": "x", "id": "no"}, 404, "document_not_found"),
    "a list": ("/search", [], 422, "invalid"),
}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"), BAD_REQUESTS.values(), ids=BAD_REQUESTS
)
def test_bad_requests_are_refused_by_name(http: httpx.Client, path, body, status, code) -> None:
    answer = http.post(path, json=body)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


BAD_BODIES = {
    "no JSON": b"{",
    "NaN": b'{"query": {"a": NaN}}',
    "a number beyond float64": b'{"query": {"a": 1e999}}',
    "a number of many digits": b'{"query": "x", "k": 1' + b"0" * 5000 + b"}",
    "a key twice": b'{"query": "x", "query": "y"}',
    "a lone surrogate": b'{"query": "\\ud800"}',
    "not UTF-8": b'{"query": "\xff"}',
    "deep nesting": b'{"query": "x", "filter": ' + b'{"not":' * 100_000 + b"}" * 100_001,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_json_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/search", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, error_of(answer)["code"]) == (400, "bad_json")


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/document?id=1&filed=x", "query parameter 'filed': .* known are: id"),
        ("GET", "/document?id=1&id=2", "query parameter 'id': it is given twice"),
        ("POST", "/search?k=3", "query parameter 'k': .* known are: none"),
        ("POST", "/documents/stream?term_id=true", "query parameter 'term_id': .* term_ids"),
    ],
)
def test_query_parameters_that_nothing_reads(http: httpx.Client, method, path, message) -> None:
    answer = http.request(method, path, json={"query": "x"} if method == "POST" else None)
    assert (answer.status_code, error_of(answer)["code"]) == (422, "invalid")
    assert re.match(message, error_of(answer)["message"])


def test_unknown_places(served: Served, http: httpx.Client) -> None:
    assert error_of(http.get("/document", params={"id": "no"}))["code"] == "document_not_found"
    assert error_of(http.get("/vector", params={"id": "no"}))["code"] == "document_not_found"
    missing = httpx.get(f"{served.url}/v1/collections/no")
    assert error_of(missing)["code"] == "collection_not_found"
    assert error_of(httpx.get(f"{served.url}/no"))["code"] == "not_found"
    assert error_of(httpx.put(f"{served.url}/health"))["code"] == "method_not_allowed"


def test_a_batch_is_bounded(papers: Path) -> None:
    with Served(papers, limits=Limits(queries=2, hits=10)) as served:
        url = f"{served.url}/v1/collections/papers/search/batch"
        assert httpx.post(url, json={"queries": ["a", "b"], "k": 5}).status_code == 200
        many = httpx.post(url, json={"queries": ["a", "b", "c"], "k": 1})
        assert error_of(many)["code"] == "too_many"
        deep = httpx.post(url, json={"queries": ["a", "b"], "k": 6})
        assert error_of(deep)["code"] == "too_many"
