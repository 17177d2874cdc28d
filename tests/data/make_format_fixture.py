"""Writes the index that later versions must be able to read: tests/data/format-<version>.

Run once for each released format, and keep the folder; never write one anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.storage import FORMAT_VERSION

QUERIES = ["quick fox", "lazy dog hound hound", ""]
FILTERS: list[dict[str, Any] | None] = [None, {"year": {">=": 2020}}, {"tags": "a"}]
VECTOR_QUERIES: list[dict[str, float]] = [{"fox": 1.0}, {"fox": 0.3, "日本": 2.0}, {"dog": -1.0}]


def documents() -> Iterator[dict[str, Any]]:
    """Yield documents that use every kind of field."""
    words = ["quick", "brown", "fox", "lazy", "dog", "hound", "日本", "the"]
    for i in range(12):
        text = " ".join(words[(i * step) % len(words)] for step in range(1 + i % 7))
        yield {
            "id": f"doc/{i}" if i else "ü\u2028 id",
            "title": f"Title {i}" if i % 3 else None,
            "text": text,
            "year": 2015 + i if i % 2 else 2015.5 + i,
            "tags": [["a", "b", True, 3][i % 4], "c"],
            "nested": {"deep": [i, None]},
        }


def answers(text: Index, vectors: Index) -> dict[str, Any]:
    """Return what the two indexes answer, as JSON values."""
    found = {
        json.dumps([query, filter]): [(h.id, h.score) for h in text.search(query, 30, filter)]
        for query in QUERIES
        for filter in FILTERS
    }
    by_vector = {
        json.dumps(query): [(h.id, h.score) for h in vectors.search(query, 30)]
        for query in VECTOR_QUERIES
    }
    source = text.source_progress("feed")
    stored = [[d.id, d.title, d.text, dict(d.metadata)] for d in text.documents()]
    progress = None if source is None else [source.consumed, source.last_id, source.finished]
    answered = {
        "text": found,
        "vectors": by_vector,
        "documents": stored,
        "weights": vectors.vectors().to_dicts(),
        "source": progress,
    }
    return json.loads(json.dumps(answered))  # type: ignore[no-any-return]


def main() -> None:
    """Write both indexes and what they answer."""
    folder = Path(__file__).with_name(f"format-{FORMAT_VERSION}")
    shutil.rmtree(folder, ignore_errors=True)
    config = IndexConfig(segment_documents=8)
    with Index.create(folder / "text", "bm25", config=config) as text:
        text.add(documents(), source="feed")
        text.delete(["doc/4", "doc/10"])
    narrow = IndexConfig(weight_bits=8)
    with Index.create(folder / "vectors", None, narrow) as vectors:
        rows = [{"fox": 0.5, "dog": 1.25}, {}, {"fox": 3.0, "日本": 0.01}]
        vectors.add_vectors(["a", "b", "c"], SparseVectors.from_dicts(rows), [{}, {"n": 1}, {}])
    with Index.open(folder / "text") as text, Index.open(folder / "vectors") as vectors:
        answered = json.dumps(answers(text, vectors), ensure_ascii=False, indent=1)
    (folder / "answers.json").write_text(answered + "\n", encoding="utf-8")
    for lock in folder.rglob("*lock"):
        lock.unlink()


if __name__ == "__main__":
    main()
