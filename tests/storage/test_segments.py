"""Segment files: what is written comes back, and damage is found."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from sparsearch.errors import IndexCorruptError, IndexVersionError, StorageUnavailableError
from sparsearch.storage import Blob, SegmentFiles, StoredSegment, release_pages
from sparsearch.storage.segments import checksum

ARRAYS = {
    "numbers": np.arange(1000, dtype=np.int64),
    "codes": np.arange(300, dtype=np.uint16),
    "rows": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "nothing": np.empty(0, np.float32),
    "no_rows": np.empty((0, 7), np.uint8),
}


@pytest.fixture
def files(tmp_path: Path) -> SegmentFiles:
    return SegmentFiles(tmp_path / "segments")


def test_arrays_and_attributes_come_back(files: SegmentFiles) -> None:
    stored = files.write(ARRAYS, {"documents": 3, "names": ["ä", "\x00"]})
    arrays, attributes = files.open(stored)
    assert attributes == {"documents": 3, "names": ["ä", "\x00"]}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
        assert not arrays[name].flags.writeable
    assert files.verify(stored) == []


def test_each_array_is_a_plain_npy_file_at_its_place(files: SegmentFiles) -> None:
    folder = files.folder / files.write(ARRAYS, {}).uid
    meta = json.loads((folder / "meta.json").read_bytes())
    with open(folder / "arrays.bin", "rb") as file:
        for name, array in ARRAYS.items():
            file.seek(meta["arrays"][name]["start"])
            np.testing.assert_array_equal(np.load(file, allow_pickle=False), array)


def test_a_segment_without_arrays(files: SegmentFiles) -> None:
    stored = files.write({}, {"documents": 0})
    assert files.open(stored) == ({}, {"documents": 0})
    assert files.verify(stored) == []


def test_pages_let_go_of_are_read_again(files: SegmentFiles) -> None:
    large = {f"a{i}": np.arange(n, dtype=np.uint32) for i, n in enumerate((5, 70_000, 3, 9_000))}
    arrays, _ = files.open(files.write(large, {}))
    for name, array in large.items():
        release_pages(arrays[name])
        release_pages(arrays[name][1:])
        np.testing.assert_array_equal(arrays[name], array)
    release_pages(np.arange(9))  # not mapped: nothing to let go of


def test_a_blob_is_written_in_chunks(files: SegmentFiles) -> None:
    chunks = [np.frombuffer(part, np.uint8) for part in (b"ab", b"", b"cde")]
    arrays, _ = files.open(files.write({"text": Blob(5, iter(chunks))}, {}))
    assert bytes(arrays["text"]) == b"abcde"


def test_a_failed_write_leaves_nothing_behind(files: SegmentFiles) -> None:
    def broken() -> object:
        yield np.zeros(3, np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        files.write({"good": np.arange(3), "text": Blob(9, broken())}, {})  # type: ignore[arg-type]
    assert list(files.folder.iterdir()) == []


def test_a_fault_while_writing_is_a_typed_error(files: SegmentFiles) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageUnavailableError, match=str(files.folder)):
            files.write({"small": np.arange(3), "large": np.arange(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(files.folder.iterdir()) == []


def test_remove_except_deletes_the_rest(files: SegmentFiles) -> None:
    keep, drop = files.write(ARRAYS, {}), files.write(ARRAYS, {})
    (files.folder / ".writing-leftover").mkdir()
    files.remove_except([keep.uid])
    assert [entry.name for entry in files.folder.iterdir()] == [keep.uid]
    with pytest.raises(FileNotFoundError):
        files.open(drop)


def test_remove_except_needs_no_folder(files: SegmentFiles) -> None:
    files.remove_except([])


@pytest.mark.parametrize("name", ["arrays.bin", "meta.json"])
@pytest.mark.parametrize("keep", [0, 1, -1])
def test_a_truncated_file_is_refused(files: SegmentFiles, name: str, keep: int) -> None:
    stored = files.write(ARRAYS, {})
    path = files.folder / stored.uid / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IndexCorruptError, match=str(path)):
        files.open(stored)
    assert str(path) in files.verify(stored)[0]


@pytest.mark.parametrize("name", ["arrays.bin", "meta.json"])
def test_a_missing_file_is_refused(files: SegmentFiles, name: str) -> None:
    stored = files.write(ARRAYS, {})
    path = files.folder / stored.uid / name
    path.unlink()
    with pytest.raises(IndexCorruptError, match=r"is missing"):
        files.open(stored)
    assert str(path) in files.verify(stored)[0]


def test_verify_reads_every_byte(files: SegmentFiles) -> None:
    stored = files.write(ARRAYS, {"documents": 1})
    for path in sorted((files.folder / stored.uid).iterdir()):
        whole = path.read_bytes()
        for position in range(0, len(whole), 7):
            damaged = bytearray(whole)
            damaged[position] ^= 0x10
            path.write_bytes(damaged)
            assert files.verify(stored), f"{path.name} byte {position}"
        path.write_bytes(whole)
    assert files.verify(stored) == []


def test_an_altered_meta_file_is_refused_even_if_it_is_plausible(files: SegmentFiles) -> None:
    stored = files.write(ARRAYS, {"documents": 1})
    path = files.folder / stored.uid / "meta.json"
    meta = json.loads(path.read_bytes())
    meta["attributes"]["documents"] = 2
    path.write_text(json.dumps(meta))
    with pytest.raises(IndexCorruptError, match="altered"):
        files.open(stored)


def test_a_segment_that_never_was(files: SegmentFiles) -> None:
    nowhere = StoredSegment("0" * 32, "1" * 32)
    with pytest.raises(FileNotFoundError):
        files.open(nowhere)
    assert files.verify(nowhere)


def test_threads_may_write_at_once(files: SegmentFiles) -> None:
    files.write({"first": np.arange(3)}, {})
    stored: list[StoredSegment] = []
    threads = [
        threading.Thread(target=lambda i=i: stored.append(files.write({"n": np.full(9, i)}, {})))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(files.open(s)[0]["n"][0]) for s in stored) == [0, 1, 2, 3]


def test_a_segment_from_between_releases_is_refused(files: SegmentFiles) -> None:
    stored = files.write(ARRAYS, {})
    path = files.folder / stored.uid / "meta.json"
    path.write_text('{"attributes": {}, "files": {}}')
    old = StoredSegment(stored.uid, checksum(path.read_bytes()))
    with pytest.raises(IndexVersionError, match="unreleased"):
        files.open(old)
    assert "unreleased" in files.verify(old)[0]
