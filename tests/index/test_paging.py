"""Going through all documents page by page, while they change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparsearch.index.paging as paging
from sparsearch import Index, IndexConfig
from sparsearch.errors import FilterError, InvalidInputError


def pages(index: Index, limit: int, filter: Any = None) -> Iterator[list[str]]:
    after: str | None = None
    while True:
        page = index.page(filter, after=after, limit=limit)
        yield [document.id for document in page.documents]
        if (after := page.after) is None:
            return


def listed(index: Index, limit: int, filter: Any = None) -> list[str]:
    found = list(pages(index, limit, filter))
    assert all(len(page) == limit for page in found[:-1])
    assert len(found[-1]) <= limit
    return [name for page in found for name in page]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", "bm25", IndexConfig(segment_documents=7)) as index:
        index.add({"id": str(i), "text": "t", "n": i} for i in range(30))
        yield index


@pytest.mark.parametrize("limit", [1, 7, 29, 30, 31, 1000])
def test_all_documents_are_listed_once(index: Index, limit: int) -> None:
    index.delete(["3", "17"])
    index.upsert([{"id": "5", "text": "again", "n": 5}])
    everything = {document.id for document in index.documents()}
    found = listed(index, limit)
    assert (len(found), set(found)) == (28, everything)
    some = listed(index, limit, {"n": {">=": 15}})
    assert some == [name for name in found if int(name) >= 15]
    assert set(some) == {document.id for document in index.documents({"n": {">=": 15}})}
    index.optimize()
    assert listed(index, limit) == found


changes = st.tuples(
    st.sampled_from(["upsert", "delete", "optimize"]),
    st.lists(st.integers(0, 11).map(str), max_size=4, unique=True),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 11).map(str), min_size=1, max_size=12, unique=True),
    st.lists(changes, max_size=6),
    st.sampled_from([1, 2, 5]),
    st.booleans(),
)
def test_what_is_there_all_the_while_is_listed_once(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    steps: list[tuple[str, list[str]]],
    limit: int,
    alike: bool,
) -> None:
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        if alike:  # all hashes in three values, as if they had collided
            few = _hash_to_three
            patch.setattr("sparsearch.index.segment.hash_ids", few)
            patch.setattr("sparsearch.index.snapshot.hash_ids", few)
            patch.setattr("sparsearch.index.build.hash_ids", few)
            patch.setattr(paging, "hash_ids", few)
        with Index.create(folder / "i", "bm25", IndexConfig(segment_documents=3)) as index:
            index.add({"id": name, "text": "t"} for name in names)
            always, ever = set(names), set(names)
            found: list[str] = []
            waiting = list(steps)
            for page in pages(index, limit):
                found += page
                if waiting:
                    verb, chosen = waiting.pop(0)
                    if verb == "upsert":
                        index.upsert({"id": name, "text": "new"} for name in chosen)
                        ever |= set(chosen)
                    elif verb == "delete":
                        index.delete(chosen, missing_ok=True)
                        always -= set(chosen)
                    else:
                        index.optimize()
    assert len(found) == len(set(found))
    assert always <= set(found) <= ever


def _hash_to_three(ids: Any) -> np.ndarray:
    return np.array([int(name) % 3 + 2**63 for name in ids], np.uint64)


@pytest.mark.parametrize(
    "filter",
    [
        {"or": [{"draft": True}, {"n": {">=": 0}}]},
        {"not": {"draft": True}},
        {"draft": {"!=": True}},
        {"draft": {"exists": False}},
    ],
)
def test_a_field_of_the_filter_that_disappears(index: Index, filter: dict[str, Any]) -> None:
    index.add([{"id": "x", "text": "t", "draft": True}])
    found: list[str] = []
    for page in pages(index, 3, filter):
        found += page
        index.delete(["x"], missing_ok=True)
        index.optimize()  # now no document has the field
    assert sorted(found, key=int) == [str(i) for i in range(30)]


def test_a_page_of_much_text_ends_early(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add({"id": str(i), "text": "word " * 600_000} for i in range(5))
        sizes = [len(page) for page in pages(index, 100)]
        assert sizes == [3, 2]


def test_an_empty_index_has_one_empty_page(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        assert listed(index, 10) == []
        assert index.page(after="whatever").documents == ()


def test_what_cannot_be_asked_for(index: Index) -> None:
    for limit in (0, -1, True, 2.0, "3"):
        with pytest.raises(InvalidInputError, match="limit"):
            index.page(limit=limit)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="after is 3"):
        index.page(after=3)  # type: ignore[arg-type]
    with pytest.raises(FilterError):
        index.page({"no": 1})
    with pytest.raises(FilterError):
        index.documents({"no": 1})
    assert index.page({"no": 1}, after="3").documents == ()  # all that had it may be gone
    with pytest.raises(FilterError):
        index.page({"n": {"~": 1}}, after="3")
    documents = index.documents({"n": 5})
    index.delete(["5"])
    assert [document.id for document in documents] == ["5"]
    assert list(index.ids()) == [document.id for document in index.documents()]
    assert index.page(after="\ud800", limit=1000).after is None
