"""Plain requests, which go past the framework, get the answers that the framework gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Served

from sparsearch.serve import KeyFile, routes_reading
from sparsearch.serve.express import Express

# A type with a parameter is not plain, so the framework answers.
WAYS = ("application/json", "application/json; charset=utf-8")


def answers(url: str, content: bytes, **headers: str) -> list[tuple[int, Any, set[str]]]:
    """Return status, body without times, and names of headers, both ways."""
    found = []
    for way in WAYS:
        headers = {**headers, "content-type": way}
        answer = httpx.post(url, content=content, headers=headers, timeout=60)
        body = answer.json()
        body.pop("seconds", None)
        found.append((answer.status_code, body, set(answer.headers)))
    return found


REQUESTS = {
    "text": ("search", b'{"query": "sparse soup"}'),
    "no hits wanted": ("search", b'{"query": "sparse soup", "k": 0}'),
    "a filter": ("search", b'{"query": "sparse", "filter": {"year": {">": 2020}}}'),
    "fields": ("search", b'{"query": "sparse", "fields": ["title", "year", "no"]}'),
    "ids only": ("search", b'{"query": "sparse", "fields": []}'),
    "explained": ("search", b'{"query": "sparse vectors", "explain": true}'),
    "ids only, explained": ("search", b'{"query": "sparse", "fields": [], "explain": true}'),
    "weights": ("search", b'{"query": {"spars": 1.5}}'),
    "recall": ("search", b'{"query": "sparse", "recall": 0.9}'),
    "feedback": ("search", b'{"query": "sparse", "feedback": {}, "explain": true}'),
    "wrong feedback": ("search", b'{"query": "sparse", "feedback": {"documents": 0}}'),
    "many": ("search/batch", b'{"queries": ["sparse", "dense soup", ""], "k": 3}'),
    "none": ("search/batch", b'{"queries": []}'),
    "why": ("explain", b'{"query": "sparse", "id": "a"}'),
    "encoded": ("encode", b'{"texts": ["sparse soup"]}'),
    "counted": ("count", b"{}"),
    "values": ("facets", b'{"limit": 2}'),
    "a page": ("documents/list", b'{"limit": 2, "fields": ["year"]}'),
    "distinct hits": ("search", b'{"query": "sparse", "distinct": "year"}'),
    "hits that cannot be distinct": ("search", b'{"query": "sparse", "distinct": "tags"}'),
    "unknown collection": ("../no/search", b'{"query": "sparse"}'),
    "unknown operation": ("no", b"{}"),
    "longer path": ("search/", b'{"query": "sparse"}'),
    "no body": ("search", b""),
    "no JSON": ("search", b"{"),
    "a key twice": ("search", b'{"query": "x", "query": "y"}'),
    "a list": ("search", b"[]"),
    "a string": ("search", b'"x"'),
    "null": ("search", b"null"),
    "unknown field": ("search", b'{"query": "x", "kk": 1, "qq": 1}'),
    "no query": ("search", b"{}"),
    "query of a wrong type": ("search", b'{"query": 1}'),
    "weight of a wrong type": ("search", b'{"query": {"a": "1"}}'),
    "too large a weight": ("search", b'{"query": {"a": 1e300}}'),
    "too many": ("search", b'{"query": "x", "k": 1000000}'),
    "unknown filter": ("search", b'{"query": "x", "filter": {"no": 1}}'),
    "unknown document": ("explain", b'{"query": "x", "id": "no"}'),
    "too many facets": ("facets", b'{"limit": 1000000}'),
}


@pytest.mark.parametrize(("path", "content"), REQUESTS.values(), ids=REQUESTS)
def test_both_ways_answer_alike(served: Served, path: str, content: bytes) -> None:
    plain, framework = answers(f"{served.url}/v1/collections/papers/{path}", content)
    assert plain == framework


texts = st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
bodies = st.fixed_dictionaries(
    {},
    optional={
        "query": values | texts | st.dictionaries(texts, st.floats(-2, 2)),
        "k": values | st.integers(0, 5),
        "filter": values,
        "recall": values,
        "feedback": values,
        "fields": values,
        "explain": values,
        "more": values,
    },
)


@settings(max_examples=60, deadline=None)
@given(body=bodies)
def test_both_ways_judge_any_body_alike(served: Served, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    plain, framework = answers(f"{served.url}/v1/collections/papers/search", content)
    assert plain == framework


@pytest.fixture(scope="module")
def locked(shared_papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    tokens = {
        "reads": keys.create("reads", "read")[1],
        "writes": keys.create("writes", "write", ["papers"])[1],
        "other": keys.create("other", "write", ["other"])[1],
        "wrong": "sps_0123456789ab_" + "x" * 43,
        "none": "",
    }
    with Served(shared_papers, keys=keys.path) as server:
        yield server, tokens


@pytest.mark.parametrize("name", ["reads", "writes", "other", "wrong", "none"])
@pytest.mark.parametrize("content", [b'{"query": "sparse"}', b"{", b'{"query": 1}'])
def test_both_ways_ask_for_the_same_keys(locked: tuple, name: str, content: bytes) -> None:
    server, tokens = locked
    headers = {"authorization": f"Bearer {tokens[name]}"} if tokens[name] else {}
    url = f"{server.url}/v1/collections/papers/search"
    plain, framework = answers(url, content, **headers)
    assert plain == framework
    assert (plain[0] == 200) == (name in ("reads", "writes") and content == b'{"query": "sparse"}')


def test_what_goes_past_the_framework() -> None:
    express = Express(FastAPI(), routes_reading.router.routes)
    looking = {"explain", "encode", "count", "facets", "documents/list"}
    assert express.operations == {"search", "search/batch"} | looking
