"""Indexes written by every format so far open, verify, answer as they did, and can be changed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from sparsearch import Index, SparseVectors
from sparsearch.errors import IndexVersionError
from sparsearch.kernels.forward import LIST_WINDOW
from sparsearch.storage import FORMAT_VERSION

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


def test_windows_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreleased versions had smaller ones, whose places would be taken for other documents."""
    n_documents = LIST_WINDOW + 1
    with Index.create(tmp_path / "index", encoder=None) as index:
        vectors = SparseVectors.from_dicts([{0: 1.0}] * n_documents)
        index.add_vectors([str(i) for i in range(n_documents)], vectors)
        index.optimize()
    monkeypatch.setattr("sparsearch.index.segment.LIST_WINDOW", 2 * LIST_WINDOW)
    with pytest.raises(IndexVersionError, match="windows of another size: index the documents"):
        Index.open(tmp_path / "index")
