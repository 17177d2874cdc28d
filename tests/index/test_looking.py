"""Counting, facets, single vectors, and views that hold still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import DocumentNotFoundError, FilterError, InvalidInputError
from sparsearch.index import facets

VALUES: list[Any] = [1, 1.0, 2.5, True, "1", "x", None, ["x", "y", "x"], [1, True], [], {"a": 1}]


def document(number: int) -> dict[str, Any]:
    """Return a document whose fields repeat with different periods."""
    fields = {"kind": VALUES[number % len(VALUES)], "n": number % 3}
    return {"id": f"d{number}", "text": "t", **fields, **({"rare": 1} if number == 7 else {})}


DELETED = {"d0", "d7", "d20"}
LIVE = [document(i) for i in range(40) if f"d{i}" not in DELETED]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("looking") / "index"
    with Index.create(folder, "bm25", IndexConfig(segment_documents=16)) as index:
        index.add(document(i) for i in range(40))
        index.delete(DELETED)
        assert index.info().segments > 1
        yield index


def keys(value: Any) -> set[tuple[str, Any]]:
    """Return what a value counts as: type and value, integral numbers as integers."""
    values = value if isinstance(value, list) else [value]
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    return {(type(v).__name__, v) for v in whole if isinstance(v, (bool, int, float, str))}


@given(n=st.none() | st.integers(0, 3), limit=st.integers(1, 10))
def test_facets_are_what_counting_by_hand_gives(index: Index, n: int | None, limit: int) -> None:
    chosen = [d for d in LIVE if n is None or d["n"] == n]
    condition = None if n is None else {"n": n}
    (facet,) = index.facets(["kind"], condition, limit=limit)
    expected = Counter(key for d in chosen for key in keys(d["kind"]))
    found = {(type(value).__name__, value): count for value, count in facet.values}
    assert len(found) == min(limit, len(expected))
    assert all(expected[key] == count for key, count in found.items())
    counts = [count for _, count in facet.values]
    assert counts == sorted(expected.values(), reverse=True)[:limit]
    assert facet.complete == (len(expected) <= limit)
    assert index.count(condition) == len(chosen)


def test_all_fields_by_default(index: Index) -> None:
    assert [facet.field for facet in index.facets()] == ["kind", "n", "rare"]
    # Its only document is deleted; the field is known until that is merged away.
    assert index.facets(["rare"])[0].values == ()
    with pytest.raises(FilterError, match="known are: kind, n, rare"):
        index.facets(["no"])
    with pytest.raises(InvalidInputError, match="fields are 'kind'"):
        index.facets("kind")


def test_an_index_without_documents_has_no_values(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        assert index.facets() == []
        assert index.facets(["n"]) == [facets.Facet("n", (), complete=True)]
        index.add([{"id": "a", "text": "t", "n": 1}])
        index.delete(["a"])
        for field in ("n", "no"):
            assert index.facets([field]) == [facets.Facet(field, (), complete=True)]
            assert index.count({field: 1}) == 0


def test_fields_of_too_many_values_are_not_counted(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "_MOST_VALUES", 2)
    (facet,) = index.facets(["n"])
    assert (facet.values, facet.complete) == ((), False)


def test_the_vector_of_a_document(index: Index, tmp_path: Path) -> None:
    assert index.vector("d1") == index.vectors(0, 1)
    with pytest.raises(DocumentNotFoundError):
        index.vector("d0")
    rows = [{"a": 1.0}, {"b": 2.0, "c": 0.5}]
    with Index.create(tmp_path / "vectors", None) as vectors:
        vectors.add_vectors(["x", "y"], SparseVectors.from_dicts(rows))
        assert vectors.vector("y").to_dicts() == rows[1:]


def test_a_view_holds_still(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add([{"id": "a", "text": "old words"}])
        view = index.view()
        index.upsert([{"id": "a", "text": "new words"}])
        index.add([{"id": "b", "text": "more words"}])
        index.optimize()
        assert (len(view), len(index)) == (1, 2)
        assert view.get("a").text == "old words"
        assert view.generation < index.generation
        (hit,) = view.search("old")
        assert view.explain("old", hit.id).score == hit.score
        assert index.search("old") == []
