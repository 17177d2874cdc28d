"""A full disk or a read-only folder: a typed error, and nothing stored is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from small_index import document, make_index, results

from sparsearch import Index, IndexConfig
from sparsearch.errors import StorageUnavailableError

pytestmark = pytest.mark.filterwarnings("ignore:.*merging their segments is put off:RuntimeWarning")


def _run(*command: str | Path) -> bool:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder):
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        _run("umount", "-l", folder)


def _fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def _large(number: int) -> dict[str, str]:
    return {"id": f"large{number}", "text": f"common {number} " + "x" * 50_000}


def test_a_disk_that_fills_up_while_adding(disk: Path) -> None:
    with make_index(disk / "index") as index:
        before = results(index)
        with pytest.raises(StorageUnavailableError, match="full; free some space"):
            index.add((_large(i) for i in range(1000)), source="large")
        progress = index.source_progress("large")
        assert progress is not None
        stored = progress.consumed
        assert 0 < stored < 1000
        assert stored == sum(d.id.startswith("large") for d in index.documents())
        assert index.verify() == []
        # Space comes free; the same call goes on where it broke off.
        index.delete([f"large{i}" for i in range(stored)])
        index.optimize()
        assert results(index)[2] == before[2]
        index.add((_large(i) for i in range(stored, stored + 3)), source="large")
        assert f"large{stored}" in index
    with Index.open(disk / "index") as index:
        assert index.verify() == []
        assert len(index) == len(before[2]) + 3  # type: ignore[arg-type]


@pytest.mark.parametrize("room", [0, 5_000, 40_000, 70_000, 100_000])
def test_little_room_for_any_change(disk: Path, room: int) -> None:
    """Wherever in a change the disk is full, the last commit stays in force."""
    with make_index(disk / "index") as index:
        before = results(index)
        filler = _fill(disk)
        os.truncate(filler, filler.stat().st_size - room)
        changes: list[Callable[[], object]] = [
            lambda: index.add([_large(1), _large(2)]),
            lambda: index.upsert([_large(3), {"id": "d1", "text": "y" * 90_000}]),
        ]
        for change in changes:
            with pytest.raises(StorageUnavailableError):
                change()
            assert results(index) == before
        assert index.verify() == []
        filler.unlink()
        assert index.add([_large(1)]) == 1
    with Index.open(disk / "index") as index:
        assert index.verify() == []
        assert len(index) == len(before[2]) + 1  # type: ignore[arg-type]


def test_an_index_on_a_full_disk_can_be_opened_once_there_is_some_room(disk: Path) -> None:
    with make_index(disk / "index") as index:
        before = results(index)
    filler = _fill(disk)
    try:
        with Index.open(disk / "index") as index:
            assert results(index) == before
    except StorageUnavailableError as error:
        assert "disk" in str(error)  # noqa: PT017 - either outcome is defined
    filler.unlink()
    with Index.open(disk / "index") as index:
        assert results(index) == before


def test_creating_on_a_full_disk_can_be_repeated(disk: Path) -> None:
    filler = _fill(disk)
    with pytest.raises(StorageUnavailableError):
        Index.create(disk / "index", "bm25")
    filler.unlink()
    with Index.create(disk / "index", "bm25") as index:
        index.add([document(1)])


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Return a read-only view of a folder."""
    views: list[Path] = []

    def view(folder: Path) -> Path:
        target = tmp_path / f"view{len(views)}"
        target.mkdir()
        if not _run("mount", "--bind", folder, target):
            pytest.skip("mounting a folder read-only is not permitted here")
        views.append(target)
        if not _run("mount", "-o", "remount,ro,bind", target):
            pytest.skip("mounting a folder read-only is not permitted here")
        return target

    yield view
    for target in views:
        _run("umount", "-l", target)


def test_a_read_only_folder_can_be_searched_but_not_changed(
    tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    with make_index(tmp_path / "index") as index:
        before = results(index)
    with Index.open(read_only(tmp_path) / "index") as index:
        assert results(index) == before
        assert index.verify() == []
        assert not index.refresh()
        assert index.info().documents == len(before[2])  # type: ignore[arg-type]
        changes: list[Callable[[], object]] = [
            lambda: index.add([document(1000)]),
            lambda: index.upsert([document(1)]),
            lambda: index.delete(["d1"]),
            index.optimize,
        ]
        for change in changes:
            with pytest.raises(StorageUnavailableError, match="read-only"):
                change()
        assert results(index) == before


def test_a_read_only_view_of_an_index_that_someone_else_has_open(
    tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    view = read_only(tmp_path) / "index"
    with make_index(tmp_path / "index") as writer, Index.open(view) as reader:
        assert results(reader) == results(writer)
        writer.add([document(1000)])
        writer.delete(["d1"])
        assert reader.refresh()
        assert results(reader) == results(writer)


def test_a_read_only_view_keeps_up_with_writers_that_come_and_go(
    tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    make_index(tmp_path / "index").close()
    with Index.open(read_only(tmp_path) / "index") as reader:
        for i in range(1000, 1005):
            with Index.open(tmp_path / "index") as writer:
                writer.upsert([document(i), document(3)])
                writer.delete([f"d{i - 1}"], missing_ok=True)
                if i % 2:
                    assert reader.refresh()
                    assert results(reader) == results(writer)
                expected = results(writer)
            assert reader.refresh() == (i % 2 == 0)
            assert results(reader) == expected
            assert reader.verify() == []


def test_a_read_only_view_is_read_while_commits_come_in_between(
    tmp_path: Path, read_only: Callable[[Path], Path]
) -> None:
    """Such a file is read without locks; what came in between was once taken for damage."""
    make_index(tmp_path / "index").close()

    def write() -> None:
        for i in range(1000, 1150):
            with Index.open(tmp_path / "index") as writer:
                writer.upsert([document(i)])

    with Index.open(read_only(tmp_path) / "index") as reader, ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        while not written.done():
            reader.refresh()
        written.result()
        reader.refresh()
        with Index.open(tmp_path / "index") as writer:
            assert results(reader) == results(writer)


def test_creating_in_a_read_only_folder(tmp_path: Path, read_only: Callable[[Path], Path]) -> None:
    (tmp_path / "empty").mkdir()
    view = read_only(tmp_path)
    for name in ("new", "empty"):
        with pytest.raises(StorageUnavailableError, match="read-only"):
            Index.create(view / name, "bm25", IndexConfig())


def test_an_index_on_a_full_disk_is_searched(disk: Path) -> None:
    with make_index(disk / "index") as index:
        expected = results(index)
    filler = _fill(disk)
    with Index.open(disk / "index") as index:
        assert results(index) == expected
        assert index.verify() == []
        for call in (lambda: index.delete(["d1"]), lambda: index.add([document(99)])):
            with pytest.raises(StorageUnavailableError, match="disk"):
                call()
        assert not index.refresh()
        filler.unlink()
        index.delete(["d1"])
        assert "d1" not in index
    with Index.open(disk / "index") as index:
        assert "d1" not in index
        assert index.verify() == []
