"""An index that changes while it answers: background merges, copies, commits seen at once."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    StorageUnavailableError,
)
from sparsearch.index.merging import BASE_POSTINGS, FANOUT, SegmentSize, choose_merge
from sparsearch.index.snapshot import Snapshot
from sparsearch.storage import writer_lock

_TERMS = 40


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", encoder=None) as made:
        yield made


def _vectors(n: int, seed: int) -> SparseVectors:
    rng = np.random.default_rng(seed)
    rows = [
        {int(t): float(rng.integers(1, 99)) for t in rng.choice(_TERMS, 6, replace=False)}
        for _ in range(n)
    ]
    return SparseVectors.from_dicts(rows)


def _fill(index: Index, portions: int, size: int = 5) -> None:
    for i in range(portions):
        ids = [f"{i}-{j}" for j in range(size)]
        index.add_vectors(ids, _vectors(size, i))


def _assert_like_a_new_one(index: Index, folder: Path) -> None:
    """Hold an index to one that is made at once of the same documents."""
    ids = [document.id for document in index.documents()]
    queries = _vectors(20, 12345)
    with Index.create(folder, encoder=None) as fresh:
        fresh.add_vectors(ids, index.vectors())
        expected = fresh.search_batch(queries, k=30)
        found = index.search_batch(queries, k=30)
        for query in found:
            assert found[query] == expected[query]
    assert index.verify() == []


@given(st.lists(st.integers(0, 3 * BASE_POSTINGS), max_size=200))
@settings(max_examples=200)
def test_documents_are_rewritten_about_once_a_level(portions: list[int]) -> None:
    segments: list[int] = []
    rewritten = 0
    for postings in portions:
        segments.append(postings)
        while (chosen := choose_merge([SegmentSize(p, 0, p) for p in segments])) is not None:
            start, stop = chosen
            rewritten += sum(segments[start:stop])
            segments[start:stop] = [sum(segments[start:stop])]
    total = sum(portions)
    levels = 2 + math.ceil(math.log(max(total / BASE_POSTINGS, 1), FANOUT))
    # Within the lowest level, a segment may be joined to portions that are smaller than itself.
    lowest = len(portions) * BASE_POSTINGS
    assert rewritten <= levels * total + lowest
    largest_level = SegmentSize(total, 0, total).level
    assert len(segments) <= 4 * (largest_level + 1) ** 2


def test_small_additions_leave_large_segments_alone(index: Index) -> None:
    index.add_vectors([str(i) for i in range(4000)], _vectors(4000, 1))
    largest = index._snapshot.segments[0].stored
    _fill(index, 24)
    assert index._snapshot.segments[0].stored == largest
    assert len(index._snapshot.segments) <= 2 * FANOUT


def test_a_commit_shows_while_the_call_goes_on(tmp_path: Path) -> None:

    seen = []

    def documents() -> Iterator[dict[str, str]]:
        for i in range(12):
            seen.append(len(index.search("word", k=99)))
            yield {"id": str(i), "text": "word"}

    config = IndexConfig(segment_documents=4)
    with Index.create(tmp_path / "index", "bm25", config=config) as index:
        index.add(documents())
        assert seen == [0] * 4 + [4] * 4 + [8] * 4


def test_refreshing_does_not_wait_for_a_writer_of_the_same_object(index: Index) -> None:
    answers: list[bool] = []
    with index._writing():
        thread = threading.Thread(target=lambda: answers.append(index.refresh()))
        thread.start()
        thread.join(timeout=20)
        assert answers == [False]


def test_what_is_deleted_during_a_merge_stays_deleted(index: Index, tmp_path: Path) -> None:
    with index.merging_in_background() as merger:
        merger.stop()  # what it would do is done by hand, at the worst moment
        index._merger = _Nobody()  # type: ignore[assignment]
        _fill(index, 6)
        index.delete(["0-0", "3-4"])
        merged = index._writer().merge_next()
        assert merged is not None
        index.delete(["1-2", "5-1"])
        index.add_vectors(["0-1"], _vectors(1, 77), replace=True)
        with index._writing() as writer:
            assert writer.commit_merged(merged)
    ids = [document.id for document in index.documents()]
    assert len(ids) == len(index) == 26
    assert ids[-1] == "0-1"
    assert not {"0-0", "3-4", "1-2", "5-1"} & set(ids)
    _assert_like_a_new_one(index, tmp_path / "fresh")


def test_a_merge_that_came_too_late_changes_nothing(index: Index, tmp_path: Path) -> None:
    with index.merging_in_background() as merger:
        merger.stop()
        index._merger = _Nobody()  # type: ignore[assignment]
        _fill(index, 6)
        merged = index._writer().merge_next()
        assert merged is not None
        index.optimize()
        before = index.info()
        with index._writing() as writer:
            assert not writer.commit_merged(merged)
        assert index.info().generation == before.generation
    assert len(index) == 30
    _assert_like_a_new_one(index, tmp_path / "fresh")


class _Nobody:
    """Stands for a merger that is slow."""

    is_working = True

    def notify(self) -> None:
        """Do nothing yet."""


def test_writing_searching_and_merging_at_once(index: Index, tmp_path: Path) -> None:
    failures: list[BaseException] = []
    done = threading.Event()
    index.add_vectors(["anchor"], SparseVectors.from_dicts([{0: 99.0}]))

    def search() -> None:
        try:
            while not done.is_set():
                assert "anchor" in [hit.id for hit in index.search({0: 1.0}, k=500)]
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    with index.merging_in_background() as merger:
        for i in range(40):
            ids = [f"{i % 20}-{j}" for j in range(5)]
            index.add_vectors(ids, _vectors(5, i), replace=True)
            if i % 7 == 0:
                index.delete([f"{i % 20}-3"])
        assert merger.wait_until_idle(timeout=60)
        assert len(index._snapshot.segments) < 2 * FANOUT
    done.set()
    thread.join()
    assert failures == []
    assert len(index) == 1 + 100 - len({i % 20 for i in range(20, 40) if i % 7 == 0})
    folders = {path.name for path in (index.path / "segments").iterdir()}
    assert folders == {segment.stored.uid for segment in index._snapshot.segments}
    _assert_like_a_new_one(index, tmp_path / "fresh")


def test_writers_help_when_the_background_falls_behind(index: Index) -> None:
    with index.merging_in_background() as merger:
        merger.stop()
        index._merger = _Nobody()  # type: ignore[assignment]
        _fill(index, 34, size=1)
        assert len(index._snapshot.segments) <= 32


def test_one_merges_in_the_background(index: Index) -> None:
    with (
        index.merging_in_background(),
        Index.open(index.path) as other,
        pytest.raises(IndexLockedError, match="background"),
        other.merging_in_background(),
    ):
        pass
    with Index.open(index.path) as other, other.merging_in_background():
        _fill(index, 9)  # the other object cleans nothing away that this one needs
        assert len(index) == 45
    assert index.verify() == []


def test_nobody_merges_in_the_background_of_who_keeps_all_others_out(index: Index) -> None:
    """The thread would wait for the lock, and the block that holds it for the thread."""
    with (
        index.locked(),
        pytest.raises(IndexLockedError, match="this thread keeps all others out"),
        index.merging_in_background(),
    ):
        pass


def test_a_call_that_failed_after_its_commit_is_followed_by_one_that_knows_it(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one under the same lock once removed the files of what had been committed."""
    index.add_vectors(["a"], _vectors(1, 1))
    opened = Snapshot.open

    def fail(*_: object) -> Snapshot:
        monkeypatch.setattr(Snapshot, "open", opened)
        raise StorageUnavailableError("too many open files")

    with index.locked():
        monkeypatch.setattr(Snapshot, "open", fail)
        with pytest.raises(StorageUnavailableError):
            index.add_vectors(["b"], _vectors(1, 2))
        assert index.delete(["nothing"], missing_ok=True) == 0
    assert index.verify() == []
    with Index.open(index.path) as other:
        assert sorted(other.ids()) == sorted(index.ids()) == ["a", "b"]


def test_damage_met_in_the_background_is_told(index: Index) -> None:
    _fill(index, 3)
    path = index.path / "segments" / index._snapshot.segments[0].stored.uid / "arrays.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    merging = index.merging_in_background()
    merger = merging.__enter__()
    index.add_vectors(["one", "more"], _vectors(2, 9))
    assert merger.wait_until_idle(timeout=60)
    with pytest.raises(IndexCorruptError, match=r"arrays\.bin"):
        merging.__exit__(None, None, None)


def test_a_copy_is_an_index_of_its_own(index: Index, tmp_path: Path) -> None:
    _fill(index, 5)
    index.delete(["0-0"])
    copy = tmp_path / "backups" / "monday"
    index.snapshot(copy)
    index.delete(["1-1"])
    index.optimize()
    with Index.open(copy) as copied:
        assert copied.verify() == []
        assert len(copied) == 24
        assert "1-1" in copied
        copied.add_vectors(["more"], _vectors(1, 5))
        copied.optimize()
        _assert_like_a_new_one(copied, tmp_path / "fresh")
    assert "more" not in index
    assert index.verify() == []
    assert [path.name for path in copy.parent.iterdir()] == ["monday"]


def test_a_copy_shares_its_files_where_it_can(index: Index, tmp_path: Path) -> None:
    _fill(index, 1)
    index.snapshot(tmp_path / "copy")
    uid = index._snapshot.segments[0].stored.uid
    inside = Path("segments") / uid / "arrays.bin"
    assert os.path.samefile(index.path / inside, tmp_path / "copy" / inside)


def test_a_copy_on_another_file_system(index: Index, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or os.stat(memory).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system to copy to")
    _fill(index, 2)
    target = memory / f"sparsearch-{os.getpid()}"
    try:
        index.snapshot(target)
        with Index.open(target) as copied:
            assert copied.verify() == []
            assert len(copied) == 10
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_a_copy_never_replaces_anything(index: Index, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("also work")
    for target in (tmp_path / "full", tmp_path / "file", index.path):
        with pytest.raises(IndexExistsError, match="exists"):
            index.snapshot(target)
    (tmp_path / "empty").mkdir()
    index.snapshot(tmp_path / "empty")
    with Index.open(tmp_path / "empty") as copied:
        assert len(copied) == 0


def test_a_copy_that_cannot_be_made(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for target in (tmp_path / "file" / "x", tmp_path / "file" / "x" / "y", tmp_path / ("n" * 300)):
        with pytest.raises(StorageUnavailableError, match=r"file|nnn"):
            index.snapshot(target)


def test_what_a_killed_copy_left_is_removed(index: Index, tmp_path: Path) -> None:
    left, busy, other = (
        tmp_path / f".{name}" for name in (f"a-{'0' * 32}", f"a-{'1' * 32}", "a-b")
    )
    for folder in (left, busy, other):
        (folder / "segments").mkdir(parents=True)
    with writer_lock(busy):
        index.snapshot(tmp_path / "a")
    assert (left.exists(), busy.exists(), other.exists()) == (False, True, True)


def test_a_damaged_index_is_not_copied(index: Index, tmp_path: Path) -> None:
    _fill(index, 2)
    uid = index._snapshot.segments[1].stored.uid
    (index.path / "segments" / uid / "arrays.bin").unlink()
    with pytest.raises(IndexCorruptError, match=r"arrays\.bin"):
        index.snapshot(tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_copies_while_another_object_writes(index: Index, tmp_path: Path) -> None:
    """Each copy is some committed state: pairs are added together."""
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with Index.open(index.path) as writer:
                for i in range(40):
                    writer.add_vectors([f"a{i}", f"b{i}"], _vectors(2, i))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    sizes = []
    while thread.is_alive():
        copy = tmp_path / f"copy{len(sizes)}"
        index.snapshot(copy)
        with Index.open(copy) as copied:
            assert copied.verify() == []
            ids = {document.id for document in copied.documents()}
            assert {i[1:] for i in ids if i[0] == "a"} == {i[1:] for i in ids if i[0] == "b"}
            sizes.append(len(copied))
        shutil.rmtree(copy)
    thread.join()
    assert failures == []
    assert sizes == sorted(sizes)
