"""Documents to index, and files of them."""

from __future__ import annotations

import json
from pathlib import Path

PAPERS = [
    {"id": "a", "title": "Sparse retrieval", "text": "Learned sparse vectors.", "year": 2019},
    {"id": "b", "title": "Dense retrieval", "text": "Dense vectors, and graphs.", "year": 2021},
    {"id": "c", "text": "An inverted index holds posting lists of terms.", "year": 2021},
    {"id": "d", "title": "Étude du café", "text": "ein Café \x1b[31m‮ in 東京", "kind": "note"},
]


def write_jsonl(path: Path, documents) -> Path:
    lines = (json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    path.write_text("".join(lines), encoding="utf-8")
    return path
