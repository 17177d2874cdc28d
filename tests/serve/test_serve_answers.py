"""What a request may cost: the errors of a bad body, and the bytes of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError
from serving import Served, error_of

from sparsearch import Index
from sparsearch.serve import Limits, models
from sparsearch.serve.words import TermsOfWords

MANY = 200_000
BAD_WEIGHTS = {str(i): "x" for i in range(MANY)}
UNKNOWN = {str(i): 0 for i in range(MANY)}

BODIES: dict[str, tuple[type[BaseModel], Any]] = {
    "queries": (models.BatchRequest, {"queries": [0] * MANY}),
    "weights of queries": (models.BatchRequest, {"queries": [BAD_WEIGHTS]}),
    "weights": (models.SearchRequest, {"query": BAD_WEIGHTS}),
    "weights of true and false": (models.SearchRequest, {"query": dict.fromkeys(UNKNOWN, True)}),
    "unknown properties": (models.SearchRequest, {"query": "x", **UNKNOWN}),
    "unknown settings": (models.SearchRequest, {"query": "x", "feedback": UNKNOWN}),
    "fields": (models.SearchRequest, {"query": "x", "fields": [0] * MANY}),
    "too many fields": (models.SearchRequest, {"query": "x", "fields": ["x"] * MANY}),
    "documents": (models.DocumentsRequest, {"documents": [0] * 100_000}),
    "too many documents": (models.DocumentsRequest, {"documents": [{}] * MANY}),
    "ids": (models.DeleteRequest, {"ids": [""] * MANY}),
    "texts": (models.EncodeRequest, {"texts": [None] * MANY}),
    "too many texts": (models.EncodeRequest, {"texts": [""] * MANY}),
    "facets": (models.FacetsRequest, {"fields": [0] * MANY}),
}


@pytest.mark.parametrize(("model", "body"), BODIES.values(), ids=BODIES)
def test_bad_bodies_make_few_errors(model: type[BaseModel], body: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    assert caught.value.error_count() <= 2  # one for each kind that it may be of


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_the_first_error_is_told(http: httpx.Client, kind: str) -> None:
    for path, body, location in (
        ("search/batch", {"queries": ["a", *[0] * MANY]}, "body.queries.1"),
        ("search", {"query": "x", **UNKNOWN}, "body.0"),
        ("documents", {"documents": [0] * MANY}, "body.documents.0"),
    ):
        answer = http.post(path, content=json.dumps(body), headers={"content-type": kind})
        assert (answer.status_code, error_of(answer)["location"]) == (422, location)


LONG = 2000


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of forty documents, of which answers may hold not quite ten."""
    folder = tmp_path_factory.mktemp("long") / "long"
    with Index.create(folder, "bm25") as index:
        index.add([{"id": str(i), "text": "word " + "x" * LONG, "n": i} for i in range(40)])
    with Served(folder, limits=Limits(answer_bytes=10 * LONG), threads=1) as served:
        yield served


def ask(served: Served, **body: Any) -> httpx.Response:
    url = f"{served.url}/v1/collections/long/search"
    return httpx.post(url, json={"query": "word", **body}, timeout=60)


def test_answers_have_a_bound(long: Served) -> None:
    answer = ask(long, k=40)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (422, "too_many")
    assert error["limit"] == 10 * LONG
    assert "a smaller k" in error["message"]
    assert len(ask(long, k=9).json()["hits"]) == 9
    for smaller in ({"fields": ["n"]}, {"fields": []}, {"snippet": 50}):
        hits = ask(long, k=40, **smaller).json()["hits"]
        assert [hit["id"] for hit in hits] == [str(i) for i in range(40)]
    assert ask(long, query="nothing").json()["hits"] == []


def test_searches_that_are_too_much_together_are_answered_one_by_one(long: Served) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: ask(long, k=9), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    assert {len(answer.json()["hits"]) for answer in answers} == {9}


def test_what_is_read_for_each_hit_is_bounded(papers: Path) -> None:
    with Served(papers, limits=Limits(query_characters=100, query_terms=10)) as served:
        url = f"{served.url}/v1/collections/papers/search"
        for query in ("x" * 30, {str(i): 1.0 for i in range(3)}):
            for reading in ({"explain": True}, {"snippet": 50}):
                body = {"query": query, "k": 4, **reading}
                answer = httpx.post(url, json=body, timeout=60)
                error = error_of(answer)
                assert (answer.status_code, error["code"]) == (422, "too_many")
                assert "for each hit to be read" in error["message"]
                assert httpx.post(url, json={**body, "k": 3}, timeout=60).status_code == 200
            assert httpx.post(url, json={"query": query, "k": 40}, timeout=60).status_code == 200


def test_words_that_are_known_are_the_same_as_those_looked_up(papers: Path) -> None:
    texts = ["Sparse soup.", "A sparse index of sparse vectors", None, "soup"]
    with Index.open(papers) as index:
        for splits in (True, False):
            kept = TermsOfWords(index, splits)
            for text in texts:
                fresh = TermsOfWords(index, splits)
                assert kept.words_by_term([text]) == fresh.words_by_term([text])
