"""A small index with everything in it that an index can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsearch import Index, IndexConfig
from sparsearch.errors import SparsearchError

QUERY = "common word3 word7"


def document(number: int) -> dict[str, Any]:
    """Return a document made of its number alone."""
    words = " ".join(f"word{number % m}" for m in (3, 5, 7, 11, 13))
    text = f"common {words} only{number} " + "long " * (number % 4)
    return {"id": f"d{number}", "text": text, "n": number, "tags": [f"t{number % 3}", True, 0.5]}


def make_index(folder: Path, count: int = 40, **config: Any) -> Index:
    """Return an index of several segments with deleted documents, and a source that broke off."""
    index = Index.create(folder, "bm25", IndexConfig(segment_documents=16, **config))
    index.add((document(i) for i in range(count)), source="feed")
    index.delete([f"d{i}" for i in range(0, count, 9)])
    return index


def results(index: Index) -> list[object]:
    """Return what an index answers, to compare with another's answer."""
    hits = index.search(QUERY, k=1000)
    filtered = index.search(QUERY, k=1000, filter={"n": {"<": 20}, "tags": "t1"})
    return [hits, filtered, [d.id for d in index.documents()], index.source_progress("feed")]


def problems_of(folder: Path) -> list[str]:
    """Return what is found wrong with an index, by opening or by verifying it."""
    try:
        with Index.open(folder) as index:
            return index.verify()
    except SparsearchError as error:
        return [str(error)]
