"""The catalog: commits are all or nothing, and altered rows are found."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import (
    IndexCorruptError,
    IndexNotFoundError,
    IndexVersionError,
    StorageUnavailableError,
)
from sparsearch.storage import (
    FORMAT_VERSION,
    Catalog,
    Changes,
    SegmentRecord,
    SourceProgress,
    StoredSegment,
)
from sparsearch.storage.connection import has_log, read_only_state, transact


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog.create(tmp_path, {"config": {"a": 1}}, ["the", "of"])) as catalog:
        yield catalog


def record(name: str, deleted: list[bool] | None = None, documents: int = 11) -> SegmentRecord:
    mask = None if deleted is None else np.array(deleted)
    return SegmentRecord(StoredSegment(name * 32, name.upper() * 32), documents, mask)


def uids(catalog: Catalog) -> list[str]:
    return [segment.stored.uid[0] for segment in catalog.state().segments]


def test_a_new_catalog_is_empty(catalog: Catalog) -> None:
    state = catalog.state()
    assert (state.generation, state.segments, state.vocabulary_size) == (0, (), 2)
    assert catalog.terms(0, 2) == ["the", "of"]
    assert catalog.settings == {
        "format_version": FORMAT_VERSION,
        "features": [],
        "config": {"a": 1},
    }
    assert catalog.source("x") is None
    assert catalog.problems() == []


def test_a_commit_is_seen_by_everyone_at_once(catalog: Catalog, tmp_path: Path) -> None:
    deleted = [i % 3 == 0 for i in range(11)]
    with closing(Catalog(tmp_path)) as reader:
        changes = Changes(
            [record("a"), record("b", deleted)], ["ä", ""], {"s": SourceProgress(5, "id5")}
        )
        catalog.commit(changes)
        for which in (catalog, reader):
            assert which.generation() == 1
            assert uids(which) == ["a", "b"]
            assert which.state().vocabulary_size == 4
            assert which.terms(2, 4) == ["ä", ""]
            assert which.source("s") == SourceProgress(5, "id5", finished=False)
            np.testing.assert_array_equal(which.state().segments[1].deleted, deleted)
            assert which.problems() == []


def test_segments_keep_the_order_of_the_last_commit(catalog: Catalog) -> None:
    for names in ("ab", "abc", "dc", "cd", "", "e"):
        catalog.commit(Changes([record(name) for name in names]))
        assert uids(catalog) == list(names)
    assert catalog.generation() == 6


def test_deletions_of_a_segment_go_with_it(catalog: Catalog) -> None:
    catalog.commit(Changes([record("a", [True] * 11)]))
    catalog.commit(Changes([]))
    catalog.commit(Changes([record("a")]))
    assert catalog.state().segments[0].deleted is None


def test_a_failed_commit_changes_nothing(catalog: Catalog) -> None:
    catalog.commit(Changes([record("a")]))
    with pytest.raises(AttributeError):
        catalog.commit(Changes([record("b"), None], ["new"]))  # type: ignore[list-item]
    assert uids(catalog) == ["a"]
    assert (catalog.generation(), catalog.state().vocabulary_size) == (1, 2)
    assert catalog.problems() == []


def test_reading_beyond_the_vocabulary_is_refused(catalog: Catalog) -> None:
    with pytest.raises(IndexCorruptError, match="vocabulary is incomplete"):
        catalog.terms(0, 3)


def test_a_folder_without_a_catalog(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"Index\.create"):
        Catalog(tmp_path)


def test_a_creation_that_was_killed_left_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").touch()
    with pytest.raises(IndexNotFoundError, match="never finished"):
        Catalog(tmp_path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 8192])
def test_something_else_by_the_catalogs_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(IndexCorruptError, match=r"catalog\.sqlite is damaged"):
        Catalog(tmp_path)


def alter(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection, connection:
        connection.execute(statement, values)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE settings SET value = '2' WHERE key = 'format_version'", "upgrade sparsearch"),
        ("UPDATE settings SET value = '0' WHERE key = 'format_version'", "unknown index format 0"),
        ("UPDATE settings SET value = '\"1\"' WHERE key = 'format_version'", "unknown"),
        ("DELETE FROM settings WHERE key = 'format_version'", "unknown index format None"),
        ("UPDATE settings SET value = '[\"graphs\"]' WHERE key = 'features'", "graphs"),
    ],
)
def test_an_index_of_another_version_is_refused(
    catalog: Catalog, tmp_path: Path, statement: str, reason: str
) -> None:
    alter(tmp_path, statement)
    with pytest.raises(IndexVersionError, match=reason):
        Catalog(tmp_path)


ALTERATIONS = [
    "UPDATE settings SET value = '{\"a\": 2}' WHERE key = 'config'",
    "UPDATE settings SET value = '{' WHERE key = 'config'",
    "UPDATE settings SET value = x'ff' WHERE key = 'config'",
    "UPDATE settings SET value = CAST(x'ff41' AS TEXT) WHERE key = 'config'",
    "UPDATE settings SET value = 5 WHERE key = 'config'",
    "DELETE FROM settings WHERE key = 'config'",
    "UPDATE state SET generation = 7",
    "UPDATE state SET generation = 'x'",
    "UPDATE state SET digest = ''",
    "DELETE FROM state",
    "UPDATE segments SET documents = 12",
    "UPDATE segments SET uid = 'other'",
    "UPDATE segments SET position = 3",
    "UPDATE segments SET meta_checksum = x'00'",
    "DELETE FROM segments",
    "UPDATE tombstones SET checksum = 'x'",
    "DELETE FROM tombstones",
    "UPDATE vocabulary SET first_id = first_id + 1",
    "UPDATE vocabulary SET count = 1",
    "DELETE FROM vocabulary",
    "UPDATE sources SET consumed = 6",
    "DROP TABLE sources",
    "ALTER TABLE segments RENAME TO segmants",
]


@pytest.mark.parametrize("statement", ALTERATIONS)
def test_altered_rows_are_found(catalog: Catalog, tmp_path: Path, statement: str) -> None:
    changes = Changes([record("a", [True] * 11)], ["new"], {"s": SourceProgress(5, "id5")})
    catalog.commit(changes)
    alter(tmp_path, statement)
    assert catalog.problems(), "the open catalog does not see it"
    with pytest.raises(IndexCorruptError, match=r"catalog\.sqlite"):
        catalog.state()
    with pytest.raises(IndexCorruptError, match=r"catalog\.sqlite"):
        Catalog(tmp_path)


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE tombstones SET bitmap = x'0000'", Catalog.state),
        ("UPDATE tombstones SET bitmap = 99999999999", Catalog.state),
        ("UPDATE tombstones SET bitmap = 'text'", Catalog.state),
        ("UPDATE vocabulary SET terms = '[\"a\"]'", lambda catalog: catalog.terms(2, 3)),
        ("UPDATE vocabulary SET terms = x'00'", lambda catalog: catalog.terms(2, 3)),
    ],
)
def test_altered_long_values_are_found(
    catalog: Catalog, tmp_path: Path, statement: str, read: Callable[[Catalog], object]
) -> None:
    catalog.commit(Changes([record("a", [True] * 11)], ["new"]))
    alter(tmp_path, statement)
    assert "checksum" in catalog.problems()[0]
    with pytest.raises(IndexCorruptError, match="checksum"):
        read(catalog)


def test_a_closed_catalog_says_so(catalog: Catalog) -> None:
    catalog.close()
    catalog.close()
    with pytest.raises(StorageUnavailableError, match="closed"):
        catalog.generation()


def test_the_digest_is_the_same_under_every_version_of_python(catalog: Catalog) -> None:
    """New characters are printable in newer versions only: `repr` would write them another way."""
    catalog.commit(Changes([], sources={"\U0001fae8 \u0378": SourceProgress(1, "日\u2028")}))
    expected = "3c61a56787b75585e40d2884d1fef96a"
    with closing(sqlite3.connect(catalog.path)) as connection:
        assert connection.execute("SELECT digest FROM state").fetchone() == (expected,)


class Interrupted(sqlite3.Connection):
    """What Ctrl-C does as a transaction has begun."""

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        cursor = super().execute(statement, *values)
        if statement.startswith("BEGIN"):
            raise KeyboardInterrupt
        return cursor


def test_an_interrupt_as_a_transaction_has_begun_ends_it(tmp_path: Path) -> None:
    """The next one was called impossible, and the catalog damaged."""
    path = tmp_path / "catalog"
    with closing(sqlite3.connect(path, factory=Interrupted)) as connection:
        with pytest.raises(KeyboardInterrupt):
            transact(connection, "IMMEDIATE", lambda connection: None)
        assert not connection.in_transaction


def test_threads_may_share_a_catalog(catalog: Catalog) -> None:
    """Each transaction is one thread's, though all threads use one connection."""
    failures: list[BaseException] = []

    def commit(name: str) -> None:
        try:
            for _ in range(20):
                catalog.commit(Changes([record(name)], sources={name: SourceProgress(1, "x")}))
                assert len(catalog.state().segments) == 1
                assert catalog.generation() > 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=commit, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert catalog.generation() == 80
    assert catalog.problems() == []


def test_a_file_that_was_removed_a_moment_ago(tmp_path: Path) -> None:
    """Its place is looked at after it was there: no raw error, what comes next tells."""
    for missing in (tmp_path / "catalog.sqlite", tmp_path / "moved" / "catalog.sqlite"):
        assert read_only_state(missing) is None
        assert not has_log(missing)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
@settings(max_examples=30)
def test_chunks_of_the_vocabulary_stay_few(sizes: list[int]) -> None:
    with TemporaryDirectory() as folder, closing(Catalog.create(Path(folder), {}, [])) as catalog:
        terms: list[str] = []
        for size in sizes:
            before = len(terms)
            terms += [f"term {number}" for number in range(before, before + size)]
            catalog.commit(Changes((), terms[before:]))
            assert catalog.terms(before, len(terms)) == terms[before:]
        for start, stop in [(0, len(terms)), (1, len(terms)), (len(terms) // 2, len(terms) - 1)]:
            assert catalog.terms(start, stop) == terms[start:stop]
        assert catalog.problems() == []
        with closing(sqlite3.connect(catalog.path)) as connection:
            ((chunks,),) = connection.execute("SELECT count(*) FROM vocabulary")
        assert 2 ** (chunks - 1) <= len(terms)


class FullDisk:
    """A connection whose log cannot be moved into the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if "wal_checkpoint" in statement:
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.execute(statement, *values)


def test_a_commit_whose_log_cannot_be_emptied_is_not_called_failed(tmp_path: Path) -> None:
    """It was, and whoever made it again was told that the ids are taken."""
    with closing(Catalog.create(tmp_path, {}, [])) as catalog:
        plain = catalog._connection
        patience = plain.execute("PRAGMA busy_timeout").fetchone()
        catalog._connection = FullDisk(plain)  # type: ignore[assignment]
        catalog.commit(Changes([record("a")]))
        assert uids(catalog) == ["a"]
        assert plain.execute("PRAGMA busy_timeout").fetchone() == patience
        catalog._connection = plain
        with closing(Catalog(tmp_path)) as other:
            assert uids(other) == ["a"]
