"""An open index whose folder is moved, removed or replaced: nothing there is touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsearch import Index, IndexConfig
from sparsearch.errors import IndexReplacedError
from sparsearch.storage import cleaner_lock, take_lock, writer_lock

CALLS: dict[str, Callable[[Index, Path], object]] = {
    "add": lambda index, _: index.add([{"id": "x", "text": "x"}]),
    "upsert": lambda index, _: index.upsert([{"id": "n1", "text": "x"}]),
    "delete": lambda index, _: index.delete(["o1"]),
    "optimize": lambda index, _: index.optimize(),
    "refresh": lambda index, _: index.refresh(),
    "snapshot": lambda index, path: index.snapshot(path / "snapshot"),
    "verify": lambda index, _: index.verify(),
    "merge": lambda index, _: index.merging_in_background().__enter__(),
    "lock": lambda index, _: index.locked().__enter__(),
}


def make(path: Path, word: str, count: int) -> Index:
    index = Index.create(path, "bm25", IndexConfig(segment_documents=4))
    index.add({"id": f"{word[0]}{i}", "text": f"{word} text"} for i in range(count))
    return index


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Index]:
    with make(tmp_path / "index", "old", 10) as index:
        yield index


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("moved", [True, False])
def test_another_index_in_its_place_stays_whole(
    old: Index, tmp_path: Path, moved: bool, call: str
) -> None:
    if moved:
        old.path.rename(tmp_path / "away")
    else:
        shutil.rmtree(old.path)
    make(old.path, "new", 20).close()
    before = sorted(path for path in old.path.rglob("*"))
    with pytest.raises(IndexReplacedError, match="moved, removed or replaced"):
        CALLS[call](old, tmp_path)
    assert sorted(path for path in old.path.rglob("*")) == before
    for path, count in ((old.path, 20), *([(tmp_path / "away", 10)] if moved else [])):
        with Index.open(path) as index:
            assert (index.verify(), len(index)) == ([], count)
    assert len(old.search("old", k=99)) == len(old) == 10


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_that_is_gone_is_not_made_again(old: Index, tmp_path: Path, call: str) -> None:
    shutil.rmtree(old.path)
    with pytest.raises(IndexReplacedError):
        CALLS[call](old, tmp_path)
    assert not old.path.exists()
    assert len(old.search("old", k=99)) == 10


def test_a_folder_that_comes_back_can_be_written_to_again(old: Index, tmp_path: Path) -> None:
    old.path.rename(tmp_path / "away")
    with pytest.raises(IndexReplacedError):
        old.refresh()
    (tmp_path / "away").rename(old.path)
    old.add([{"id": "x", "text": "old"}])
    assert len(old.search("old", k=99)) == 11
    assert old.verify() == []


def test_a_folder_replaced_while_documents_come(old: Index, tmp_path: Path) -> None:
    def documents() -> Iterator[dict[str, str]]:
        yield {"id": "before", "text": "old"}
        old.path.rename(tmp_path / "away")
        make(old.path, "new", 20).close()
        for i in range(9):
            yield {"id": f"after{i}", "text": "old"}

    with pytest.raises(IndexReplacedError):
        old.add(documents())
    for path, count in ((old.path, 20), (tmp_path / "away", 10)):
        with Index.open(path) as index:
            assert (index.verify(), len(index)) == ([], count)


def test_a_merge_in_a_folder_that_is_moved_away_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    with Index.create(folder, "bm25") as index:
        index.add([{"id": "a", "text": "t"}])

        def moved(writer: object) -> None:
            folder.rename(tmp_path / "away")
            raise FileNotFoundError("the folder of a segment that is being written")

        monkeypatch.setattr("sparsearch.index.index.Writer.merge_next", moved)
        with index.merging_in_background() as merger:
            assert merger.wait_until_idle(30)
            assert not merger.is_working
            with pytest.raises(IndexReplacedError):
                index.delete(["a"])
        assert [hit.id for hit in index.search("t")] == ["a"]


def test_no_lock_makes_a_folder(tmp_path: Path) -> None:
    """It would stand in the way of an index that is about to be moved there."""
    for lock in (writer_lock, cleaner_lock):
        with pytest.raises(IndexReplacedError), lock(tmp_path / "gone"):
            pass
    assert not (tmp_path / "gone").exists()


def test_a_lock_is_free_again_once_it_is_released(tmp_path: Path) -> None:
    held = take_lock(tmp_path / "lock")
    assert held is not None
    assert take_lock(tmp_path / "lock") is None
    held.release()
    again = take_lock(tmp_path / "lock")
    assert again is not None
    again.release()


def test_a_working_folder_that_was_changed_is_hinted_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with Index.create("index", "bm25") as index:
        index.add([{"id": "a", "text": "t"}])
        monkeypatch.chdir("other")
        with pytest.raises(IndexReplacedError, match="open it by its whole path"):
            index.add([{"id": "b", "text": "t"}])
        monkeypatch.chdir(tmp_path)
        assert index.add([{"id": "b", "text": "t"}]) == 1
