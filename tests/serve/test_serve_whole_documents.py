"""A collection of passages: written to by documents, searched by either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Served, run

from sparsearch import AsyncClient, Client, Index, IndexConfig
from sparsearch.client import RemoteCollection
from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    InvalidDocumentError,
)

LONG = {"id": "long", "text": "A whale swims in the sea, far away. The whale meets a ship. " * 4}
SHORT = {"id": "short", "text": "A whale."}


@pytest.fixture(params=["bm25", "default"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "tales"
    Index.create(folder, request.param, IndexConfig(passage_length=60)).close()
    with Served(folder) as server:
        yield server


@pytest.fixture
def tales(served: Served) -> Iterator[RemoteCollection]:
    with Client(served.url) as client:
        collection = client.collection("tales")
        assert collection.add([LONG, SHORT]) == 2
        yield collection


def documents_of(hits: list[Any]) -> list[str]:
    return [hit.metadata["document"] for hit in hits]


def test_documents_are_written_whole(tales: RemoteCollection) -> None:
    assert len(tales) > 3
    assert tales.get("long#2").metadata["passage"] == 2
    with pytest.raises(DuplicateIdError):
        tales.add([{"id": "long", "text": "again"}])
    assert tales.add([{"id": "long#1", "text": "the id of a passage is none of a document"}]) == 1
    assert tales.delete(["long#1"]) == 1
    for passage in ("long#1", "long#2"):
        with pytest.raises(DocumentNotFoundError):
            tales.delete([passage])
        assert tales.delete([passage], missing_ok=True) == 0
    assert tales.upsert([{"id": "long", "text": "Now it is short."}]) == 1
    assert len(tales) == 2
    assert tales.delete_matching({"passage": 1}) == 2
    assert len(tales) == 0


def test_hits_are_distinct_by_document(tales: RemoteCollection, served: Served) -> None:
    assert documents_of(tales.search("whale", 4)).count("long") > 1
    best = tales.search("whale", distinct="document")
    assert sorted(documents_of(best)) == ["long", "short"]
    ranked = tuple(documents_of(best))
    assert tales.search_batch(["whale"], distinct="document").max_passage().ids("0") == ranked
    with pytest.raises(FilterError, match="no document has a field 'author'"):
        tales.search("whale", distinct="author")

    async def use() -> None:
        async with AsyncClient(served.url) as client:
            collection = client.collection("tales")
            assert await collection.search("whale", distinct="document") == best
            found = await collection.search_batch(["whale"], distinct="document")
            assert found.max_passage().ids("0") == ranked

    run(use())


def test_a_document_that_cannot_be_cut_is_refused_before_anything_is_stored(
    tales: RemoteCollection,
) -> None:
    before = len(tales)
    with pytest.raises(InvalidDocumentError, match="field 'document' is kept for passages"):
        tales.upsert([{"id": "new", "text": "t"}, {"id": "bad", "text": "t", "document": "x"}])
    assert len(tales) == before
