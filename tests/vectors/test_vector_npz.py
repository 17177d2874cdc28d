from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_strategies import batches, terms

from sparsearch.errors import FileFormatError, InvalidInputError, StorageUnavailableError
from sparsearch.vectors import SparseVectors, VectorFile, Vocabulary, load_npz, save_npz

EXAMPLE = VectorFile(
    SparseVectors.from_dicts([{"naïve": 0.1, "b": -2}, {}, {"": 0}]), ["d1", "d2", "日本"]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("npz")


@pytest.fixture(scope="module")
def saved(folder: Path) -> bytes:
    save_npz(folder / "example.npz", EXAMPLE)
    return (folder / "example.npz").read_bytes()


@settings(max_examples=50)
@given(vectors=batches(), data=st.data())
def test_round_trip(folder: Path, vectors: SparseVectors, data: st.DataObject) -> None:
    count = len(vectors)
    names = st.lists(terms.filter(bool), min_size=count, max_size=count)
    content = VectorFile(vectors, data.draw(st.none() | names))
    save_npz(folder / "round.npz", content)
    assert load_npz(folder / "round.npz") == content


def test_same_content_makes_the_same_file(folder: Path, saved: bytes) -> None:
    save_npz(folder / "no suffix", load_npz(folder / "example.npz"))
    assert (folder / "no suffix").read_bytes() == saved
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (["a"], "1 ids for 3 vectors"),
        (["a", "", "c"], "the id of row 1 is ''"),
        (["a", "b", 3], "the id of row 2 is 3"),
        (["a", "\ud800", "c"], "the id of row 1.*not valid Unicode"),
    ],
)
def test_bad_ids(ids: list[str], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        VectorFile(EXAMPLE.vectors, ids)


def test_a_failed_save_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "kept.npz"
    save_npz(path, EXAMPLE)

    def full_disk(file: io.BufferedWriter, **members: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(StorageUnavailableError, match=r"cannot write .*No space"):
        save_npz(path, VectorFile(EXAMPLE.vectors[:1]))
    assert load_npz(path) == EXAMPLE
    assert not list(folder.glob(".*"))


def test_paths_that_cannot_be_used(folder: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        load_npz(folder / "missing.npz")
    for path in (folder, folder / "missing" / "file.npz"):
        with pytest.raises(StorageUnavailableError, match="cannot write"):
            save_npz(path, EXAMPLE)


def members() -> dict[str, Any]:
    blob = np.frombuffer("aé".encode(), dtype=np.uint8)
    return {
        "header": np.array([1, 1, 1]),
        "offsets": np.array([0, 1, 2]),
        "term_ids": np.array([0, 1], dtype=np.uint32),
        "weights": np.array([1, 2], dtype=np.float32),
        "terms": blob,
        "term_offsets": np.array([0, 1, 3]),
        "ids": blob,
        "id_offsets": np.array([0, 1, 3]),
    }


def test_format(folder: Path) -> None:
    np.savez(folder / "format.npz", **members())
    content = load_npz(folder / "format.npz")
    assert content.ids == ["a", "é"]
    assert content.vectors.to_dicts() == [{"a": 1.0}, {"é": 2.0}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": None}, "['weights'] are missing"),
        ({"extra": np.array([1])}, "['extra'] unknown"),
        ({"header": None}, "no member 'header'"),
        ({"header": np.array([2, 1, 1])}, "header [2, 1, 1] is not of format version 1"),
        ({"header": np.array([], dtype=int)}, "header [] is not of format version 1"),
        ({"header": np.array([1, 1])}, "not a readable"),
        ({"header": np.array([["a"]])}, "not the array that its header promises"),
        ({"header": np.array([1, 0, 1])}, "members ['term_offsets', 'terms'] unknown"),
        ({"terms": None}, "members ['terms'] are missing"),
        ({"id_offsets": None}, "members ['id_offsets'] are missing"),
        ({"ids": None, "id_offsets": None}, "members ['id_offsets', 'ids'] are missing"),
        ({"terms": np.array(["a", "b"])}, "'terms' has dtype <U1"),
        ({"ids": np.array(["a", None], dtype=object)}, "not the array that its header promises"),
        ({"term_offsets": np.array([0, 2, 3])}, "'terms' is not UTF-8"),
        ({"term_offsets": np.array([0, 1, 4])}, "'term_offsets': offsets end at 4"),
        ({"term_offsets": np.array([0, 3])}, "row 1: term id 1 is not an integer from 0 to 0"),
        ({"term_offsets": np.array([0, 0, 0, 3])}, "terms 0 and 1 are both ''"),
        ({"id_offsets": np.array([0, 3])}, "1 ids for 2 vectors"),
        ({"id_offsets": np.array([0, 0, 3])}, "the id of row 0 is ''"),
        ({"offsets": np.array([0, 1, 3])}, "offsets end at 3"),
        ({"term_ids": np.array([0, -1])}, "row 1: term id -1"),
        ({"weights": np.array([np.nan, 1])}, "row 0: NaN weight for term 'a'"),
        ({"weights": np.ones((2, 1))}, "not the array that its header promises"),
    ],
)
def test_bad_members(folder: Path, changes: dict[str, Any], reason: str) -> None:
    changed = {name: array for name, array in {**members(), **changes}.items() if array is not None}
    path = folder / "bad.npz"
    np.savez(path, **changed)
    with pytest.raises(FileFormatError) as caught:
        load_npz(path)
    assert reason in caught.value.reason
    assert caught.value.path == path


def test_other_files(folder: Path) -> None:
    path = folder / "other.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(np.eye(2)))
    with pytest.raises(FileFormatError, match="from_scipy"):
        load_npz(path)
    np.savez_compressed(path, **members())
    with pytest.raises(FileFormatError, match="is compressed"):
        load_npz(path)
    for data in (b"", b"PK", b"text", b"\x93NUMPY\x01\x00"):
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match="not a readable"):
            load_npz(path)


def test_a_header_cannot_make_it_allocate(folder: Path) -> None:
    path = folder / "huge.npz"
    np.savez(path, **members())
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }\n"
    with zipfile.ZipFile(path) as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist()}
    for size in (b"10000000000000", b"-2", b"2.0", b"(" * 300, b"True"):
        text = header % size
        contents["weights.npy"] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        with pytest.raises(FileFormatError):
            load_npz(path)


def load_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        content = load_npz(path)
    except FileFormatError:
        return
    assert content == EXAMPLE  # the change hit a byte that carries nothing


def test_every_truncation_is_refused(folder: Path, saved: bytes) -> None:
    path = folder / "cut.npz"
    for size in range(0, len(saved), 7):
        path.write_bytes(saved[:size])
        with pytest.raises(FileFormatError):
            load_npz(path)


def test_altered_bytes(folder: Path, saved: bytes) -> None:
    random = np.random.default_rng(0)
    for position in range(len(saved)):
        altered = bytearray(saved)
        altered[position] ^= int(random.integers(1, 256))
        load_or_refuse(folder / "altered.npz", bytes(altered))


def test_npz_keeps_an_unused_vocabulary(folder: Path) -> None:
    content = VectorFile(SparseVectors([0], [], [], Vocabulary(["unused"])), [])
    save_npz(folder / "unused.npz", content)
    assert load_npz(folder / "unused.npz") == content
