"""The catalog: one small SQLite file whose transactions are the commits of an index.

Everything large lives in segment folders; the catalog holds which segments make up the index, which
of their documents are deleted, the vocabulary, the settings and how far interrupted sources got.
Each commit raises the generation and stores a digest over the whole state, by which every reading
finds altered rows that SQLite itself would not notice.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import IndexCorruptError, IndexNotFoundError, IndexVersionError
from sparsearch.storage.connection import BUSY_SECONDS, connect, read_only_state, transaction
from sparsearch.storage.faults import storage_faults
from sparsearch.storage.integrity import (
    check_digest,
    damaged_deletions,
    damaged_terms,
    damaged_values,
    digest,
    is_intact,
)
from sparsearch.storage.segments import StoredSegment, checksum

__all__ = [
    "FORMAT_VERSION",
    "Catalog",
    "CatalogState",
    "Changes",
    "SegmentRecord",
    "SourceProgress",
]

FORMAT_VERSION = 1
"""Version written; an index of a higher version is refused."""

OLDEST_READABLE_VERSION = 1
KNOWN_FEATURES: frozenset[str] = frozenset()
"""Features an index may require of its reader; unknown ones are refused."""

CATALOG_NAME = "catalog.sqlite"
_PATIENCE_MS = 200

_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1), generation INTEGER NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE segments (
    uid TEXT PRIMARY KEY, position INTEGER NOT NULL, documents INTEGER NOT NULL,
    meta_checksum TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tombstones (
    uid TEXT PRIMARY KEY REFERENCES segments (uid) ON DELETE CASCADE,
    bitmap BLOB NOT NULL, checksum TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE vocabulary (
    first_id INTEGER PRIMARY KEY, count INTEGER NOT NULL, terms TEXT NOT NULL,
    checksum TEXT NOT NULL
);
CREATE TABLE sources (
    name TEXT PRIMARY KEY, consumed INTEGER NOT NULL, last_id TEXT NOT NULL,
    finished INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class SegmentRecord:
    """One segment of the index.

    Parameters
    ----------
    stored : StoredSegment
        Its folder's name and the checksum of its ``meta.json``.
    documents : int
        Documents it holds, deleted ones included.
    deleted : ndarray of bool [documents] or None
        Which of them are deleted; None when none is.
    """

    stored: StoredSegment
    documents: int
    deleted: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SourceProgress:
    """How far a named source has been indexed: records consumed and the id of the last one."""

    consumed: int
    last_id: str
    finished: bool = False


@dataclass(frozen=True)
class CatalogState:
    """What one generation of the index consists of, segments in insertion order."""

    generation: int
    segments: tuple[SegmentRecord, ...]
    vocabulary_size: int


@dataclass(frozen=True)
class Changes:
    """What one commit makes visible at once.

    Parameters
    ----------
    segments : sequence of SegmentRecord
        All segments of the new state, in insertion order.
    new_terms : sequence of str
        Terms appended to the vocabulary.
    sources : mapping of str to SourceProgress
        Progress of sources, by name.
    """

    segments: Sequence[SegmentRecord]
    new_terms: Sequence[str] = ()
    sources: Mapping[str, SourceProgress] = field(default_factory=dict)


class Catalog:
    """The catalog of one index folder; threads may share it.

    Parameters
    ----------
    folder : Path
        The index folder.

    Raises
    ------
    IndexNotFoundError
        If the folder holds no index.
    IndexVersionError
        If the index was written by a newer sparsearch, or needs a feature this one lacks.
    IndexCorruptError
        If its contents were altered; every method raises this then.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / CATALOG_NAME
        if not self.path.is_file():
            raise IndexNotFoundError(f"{folder} holds no index; create one with Index.create")
        self._guard = threading.RLock()
        self._closed = False
        with storage_faults(folder):
            self._read_only_state = read_only_state(self.path)
            self._connection = self._connect()
        try:
            self.settings = self._read_settings()
            _check_version(folder, self.settings)
            with self._transaction() as connection:
                check_digest(connection)
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object], terms: Sequence[str]) -> Catalog:
        """Write a new, empty catalog; all of it becomes visible in one transaction."""
        settings = {"format_version": FORMAT_VERSION, "features": [], **settings}
        with storage_faults(folder):
            connection = connect(folder / CATALOG_NAME, create=True)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # A killed creator may have left an empty file behind; a finished one is refused.
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                rows = [(key, json.dumps(value)) for key, value in settings.items()]
                connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)
                _append_terms(connection, terms)
                _write_state(connection, 0)
                connection.execute("COMMIT")
            finally:
                connection.close()
        return cls(folder)

    def _connect(self) -> sqlite3.Connection:
        """Open the file; who forgets to close a catalog has it closed with the last reference."""
        connection = connect(self.path)
        weakref.finalize(self, connection.close)
        return connection

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._connection.close()

    def generation(self) -> int:
        """Return the number of the last commit; cheap, for readers that poll."""
        with self._transaction() as connection:
            return _generation(connection)

    def state(self) -> CatalogState:
        """Return the state as of the last commit, read in one transaction."""
        with self._transaction() as connection:
            check_digest(connection)
            rows = connection.execute(
                "SELECT uid, documents, meta_checksum, bitmap, checksum"
                " FROM segments LEFT JOIN tombstones USING (uid) ORDER BY position"
            ).fetchall()
            records = tuple(_record(*row) for row in rows)
            return CatalogState(_generation(connection), records, _vocabulary_size(connection))

    def terms(self, start: int, stop: int) -> list[str]:
        """Return the vocabulary's terms with ids in ``[start, stop)``; ``start`` ends a chunk."""
        query = (
            "SELECT first_id, terms, checksum FROM vocabulary"
            " WHERE first_id >= ? AND first_id < ? ORDER BY first_id"
        )
        terms: list[str] = []
        with self._transaction() as connection:
            for first_id, chunk, expected in connection.execute(query, (start, stop)):
                if not is_intact(chunk, expected):
                    raise IndexCorruptError(damaged_terms(first_id))
                terms += json.loads(chunk)
            if len(terms) != stop - start:
                raise IndexCorruptError("the vocabulary is incomplete")
        return terms

    def source(self, name: str) -> SourceProgress | None:
        """Return how far a source got, or None if it was never indexed."""
        query = "SELECT consumed, last_id, finished FROM sources WHERE name = ?"
        with self._transaction() as connection:
            row = connection.execute(query, (name,)).fetchone()
        return None if row is None else SourceProgress(row[0], row[1], bool(row[2]))

    def commit(self, changes: Changes) -> None:
        """Make a new state visible to everyone who reads the catalog from now on.

        Raises
        ------
        StorageUnavailableError
            If the disk is full or read-only; the last commit stays in force.
        """
        with self._next_generation() as connection:
            _write_segments(connection, changes.segments)
            _append_terms(connection, changes.new_terms)
            rows = [
                (name, p.consumed, p.last_id, int(p.finished))
                for name, p in changes.sources.items()
            ]
            connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", rows)

    def put_setting(self, key: str, value: object) -> None:
        """Set a setting that may change, in a commit of its own.

        Raises
        ------
        StorageUnavailableError
            If the disk is full or read-only; the last commit stays in force.
        """
        with self._next_generation() as connection:
            row = (key, json.dumps(value))
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", row)

    @contextmanager
    def _next_generation(self) -> Iterator[sqlite3.Connection]:
        """Make what is written inside the next generation, in one transaction."""
        with self._transaction("IMMEDIATE") as connection:
            generation = _generation(connection)
            yield connection
            connection.execute("DELETE FROM state")
            _write_state(connection, generation + 1)
        self._empty_log()

    def copy(self, folder: Path) -> None:
        """Write the last committed state as the catalog of another folder."""
        with self._guard, storage_faults(folder):
            self._keep_up()
            with closing(connect(folder / CATALOG_NAME, create=True)) as target:
                self._connection.backup(target)

    def reload_settings(self) -> None:
        """Take over settings that others have changed."""
        self.settings = self._read_settings()

    def _empty_log(self) -> None:
        """Move the commit from SQLite's log into its file, unless a reader is in the way.

        The file is small, and by itself it is covered by a digest; of a damaged log SQLite would
        drop the end without a word.
        """
        with self._guard, storage_faults(self.folder):
            self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")

    def problems(self) -> list[str]:
        """Check the whole file, long values included; return what is wrong, one line each."""
        try:
            self.generation()
            # Anew: the open connection may remember pages as they were before the damage.
            with closing(Catalog(self.folder)) as fresh, fresh._transaction() as connection:
                report = [row[0] for row in connection.execute("PRAGMA integrity_check")]
                report += damaged_values(connection)
        except (IndexCorruptError, IndexNotFoundError, IndexVersionError) as error:
            return [str(error)]
        return [f"{self.path}: {line}" for line in report if line != "ok"]

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        """Run one transaction, one thread at a time; what goes wrong becomes a typed error."""
        with self._guard, storage_faults(self.folder):
            self._keep_up()
            with transaction(self._connection, kind):
                try:
                    yield self._connection
                except IndexCorruptError as error:
                    reason = f"{self.path}: {error}; restore it from a backup"
                    raise IndexCorruptError(reason) from None

    def _keep_up(self) -> None:
        """Connect anew where others have changed a file that is read-only from here."""
        state = read_only_state(self.path)
        if state != self._read_only_state and not self._closed:
            self._connection.close()
            self._connection = self._connect()
            self._read_only_state = state

    def _read_settings(self) -> dict[str, Any]:
        with self._transaction() as connection:
            # The tables and their contents came in one transaction.
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                raise IndexNotFoundError(f"{self.folder}: the index was never finished")
            rows = connection.execute("SELECT key, value FROM settings").fetchall()
            try:
                return {key: json.loads(value) for key, value in rows}
            except (TypeError, ValueError):
                raise IndexCorruptError("damaged settings") from None


def _check_version(folder: Path, settings: Mapping[str, Any]) -> None:
    version = settings.get("format_version")
    if not isinstance(version, int) or version < OLDEST_READABLE_VERSION:
        raise IndexVersionError(f"{folder}: unknown index format {version!r}")
    if version > FORMAT_VERSION:
        raise IndexVersionError(
            f"{folder}: index format {version} is newer than {FORMAT_VERSION}, the newest this "
            "sparsearch reads; upgrade sparsearch"
        )
    unknown = set(settings.get("features", [])) - KNOWN_FEATURES
    if unknown:
        raise IndexVersionError(
            f"{folder}: the index needs features this sparsearch lacks "
            f"({', '.join(sorted(map(str, unknown)))}); upgrade sparsearch"
        )


def _record(
    uid: str, documents: int, meta_checksum: str, bitmap: bytes | None, expected: str | None
) -> SegmentRecord:
    deleted = None
    if expected is not None:
        if bitmap is None or not is_intact(bitmap, expected):
            raise IndexCorruptError(damaged_deletions(uid))
        bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), count=documents)
        deleted = bits.astype(np.bool_)
    return SegmentRecord(StoredSegment(uid, meta_checksum), documents, deleted)


def _write_segments(connection: sqlite3.Connection, records: Sequence[SegmentRecord]) -> None:
    kept = {record.stored.uid for record in records}
    for (uid,) in connection.execute("SELECT uid FROM segments").fetchall():
        if uid not in kept:
            connection.execute("DELETE FROM segments WHERE uid = ?", (uid,))
    for position, record in enumerate(records):
        connection.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?)"
            " ON CONFLICT (uid) DO UPDATE SET position = excluded.position",
            (record.stored.uid, position, record.documents, record.stored.meta_checksum),
        )
        if record.deleted is not None:
            _write_tombstones(connection, record.stored.uid, record.deleted)


def _write_tombstones(
    connection: sqlite3.Connection, uid: str, deleted: npt.NDArray[np.bool_]
) -> None:
    bitmap = np.packbits(deleted).tobytes()
    connection.execute(
        "INSERT INTO tombstones VALUES (?, ?, ?) ON CONFLICT (uid) DO UPDATE SET"
        " bitmap = excluded.bitmap, checksum = excluded.checksum"
        " WHERE tombstones.checksum != excluded.checksum",
        (uid, bitmap, checksum(bitmap)),
    )


def _append_terms(connection: sqlite3.Connection, terms: Sequence[str]) -> None:
    if not terms:
        return
    chunk = json.dumps(list(terms), ensure_ascii=False)
    row = (_vocabulary_size(connection), len(terms), chunk, checksum(chunk.encode()))
    connection.execute("INSERT INTO vocabulary VALUES (?, ?, ?, ?)", row)


def _write_state(connection: sqlite3.Connection, generation: int) -> None:
    connection.execute("INSERT INTO state VALUES (1, ?, '')", (generation,))
    connection.execute("UPDATE state SET digest = ?", (digest(connection),))


def _generation(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT generation FROM state").fetchone()
    if row is None or not isinstance(row[0], int):
        raise IndexCorruptError("the generation is missing")
    return row[0]


def _vocabulary_size(connection: sqlite3.Connection) -> int:
    query = "SELECT coalesce(max(first_id + count), 0) FROM vocabulary"
    return int(connection.execute(query).fetchone()[0])
