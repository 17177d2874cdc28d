"""Indexes written by every format so far open, verify, answer as they did, and can be changed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sparsearch import Index, SparseVectors
from sparsearch.errors import IndexVersionError
from sparsearch.index import segment
from sparsearch.index.segment import Segment
from sparsearch.storage import FORMAT_VERSION, SegmentFiles, StoredSegment

DATA = Path(__file__).resolve().parent.parent / "data"
sys.path.append(str(DATA))

from make_format_fixture import answers  # noqa: E402

FORMATS = sorted(DATA.glob("format-*"))


def test_every_format_is_kept() -> None:
    assert [f.name for f in FORMATS] == [f"format-{n}" for n in range(1, FORMAT_VERSION + 1)]


@pytest.mark.parametrize("written", FORMATS, ids=lambda folder: folder.name)
def test_an_index_of_an_earlier_version(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    assert not [p for p in folder.rglob("*") if p.name.endswith(("-wal", "-shm", "lock"))]
    expected = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    with Index.open(folder / "text") as text, Index.open(folder / "vectors") as vectors:
        assert text.verify() == vectors.verify() == []
        assert answers(text, vectors) == expected
        text.upsert([{"id": "doc/5", "text": "a new hound"}])
        text.optimize()
        assert text.search("hound")[0].id == "doc/5"
        assert text.verify() == []


@pytest.mark.parametrize(("encoder", "window"), [(None, "LIST_WINDOW"), ("bm25", "WINDOW")])
def test_posting_lists_of_an_unreleased_version(
    encoder: str | None, window: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had smaller windows, whose places would be taken for other documents."""
    with Index.create(tmp_path / "index", encoder) as index:
        if encoder is None:
            index.add_vectors(["a"], SparseVectors.from_dicts([{0: 1.0}]))
        else:
            index.add([{"id": "a", "text": "word " * 200}])
    monkeypatch.setattr(Segment, "n_documents", 1 + getattr(segment, window))
    with pytest.raises(IndexVersionError, match="of another form: index the documents again"):
        Index.open(tmp_path / "index")


@pytest.mark.parametrize(
    ("encoder", "old", "new"), [("bm25", "rows", "places"), (None, "list_places", "weak_bytes")]
)
def test_arrays_of_unreleased_versions(
    encoder: str | None, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had whole rows in place of places, and two bytes for each weak posting."""
    with Index.create(tmp_path / "index", encoder) as index:
        if encoder is None:
            index.add_vectors(["a"], SparseVectors.from_dicts([{0: 1.0}]))
        else:
            index.add([{"id": "a", "text": "word"}])
    open_files = SegmentFiles.open

    def open_old(files: SegmentFiles, stored: StoredSegment) -> tuple[dict[str, Any], Any]:
        arrays, attributes = open_files(files, stored)
        return {old if name == new else name: a for name, a in arrays.items()}, attributes

    monkeypatch.setattr(SegmentFiles, "open", open_old)
    with pytest.raises(IndexVersionError, match="of another form: index the documents again"):
        Index.open(tmp_path / "index")
