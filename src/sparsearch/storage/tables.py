"""The catalog's tables: what their rows hold, and reading and writing them in a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import IndexCorruptError
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
    "CatalogState",
    "Changes",
    "SegmentRecord",
    "SourceProgress",
    "create_tables",
    "read_generation",
    "read_settings",
    "read_source",
    "read_state",
    "read_terms",
    "report_damage",
    "write_changes",
    "write_generation",
    "write_setting",
]

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


_LARGEST_CHUNK = 1_000_000
"""Terms of the largest chunk that is written anew with others: SQLite takes no gigabytes."""

_FIELDS = "fields"
"""Setting: metadata fields that documents of earlier generations had."""


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
    """What one generation of the index consists of, segments in insertion order.

    Parameters
    ----------
    generation : int
    segments : tuple of SegmentRecord
    vocabulary_size : int
    fields : frozenset of str
        Metadata fields that documents of earlier generations had.
    """

    generation: int
    segments: tuple[SegmentRecord, ...]
    vocabulary_size: int
    fields: frozenset[str]


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
    forget_sources : bool
        Forget the progress of all others.
    fields : frozenset of str
        Metadata fields to remember; empty for those that are remembered already.
    """

    segments: Sequence[SegmentRecord]
    new_terms: Sequence[str] = ()
    sources: Mapping[str, SourceProgress] = field(default_factory=dict)
    forget_sources: bool = False
    fields: frozenset[str] = frozenset()


def create_tables(
    connection: sqlite3.Connection, settings: Mapping[str, object], terms: Sequence[str]
) -> None:
    """Make the tables of an empty index."""
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    for key, value in settings.items():
        write_setting(connection, key, value)
    _append_terms(connection, terms)
    write_generation(connection, 0)


def read_settings(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return the settings; None if the index was never finished."""
    # The tables and their contents came in one transaction.
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return None
    rows = connection.execute("SELECT key, value FROM settings").fetchall()
    try:
        return {key: json.loads(value) for key, value in rows}
    except (TypeError, ValueError):
        raise IndexCorruptError("damaged settings") from None


def read_state(connection: sqlite3.Connection) -> CatalogState:
    """Return the whole state, whose digest must fit."""
    check_digest(connection)
    rows = connection.execute(
        "SELECT uid, documents, meta_checksum, bitmap, checksum"
        " FROM segments LEFT JOIN tombstones USING (uid) ORDER BY position"
    ).fetchall()
    records = tuple(_record(*row) for row in rows)
    size = _vocabulary_size(connection)
    return CatalogState(read_generation(connection), records, size, _read_fields(connection))


def _read_fields(connection: sqlite3.Connection) -> frozenset[str]:
    row = connection.execute("SELECT value FROM settings WHERE key = ?", (_FIELDS,)).fetchone()
    try:
        return frozenset(json.loads(row[0]) if row else ())
    except (TypeError, ValueError):
        raise IndexCorruptError("damaged settings") from None


def read_terms(connection: sqlite3.Connection, start: int, stop: int) -> list[str]:
    """Return the terms with ids in ``[start, stop)``."""
    query = (
        "SELECT first_id, terms, checksum FROM vocabulary"
        " WHERE first_id + count > ? AND first_id < ? ORDER BY first_id"
    )
    terms: list[str] = []
    for first_id, chunk, expected in connection.execute(query, (start, stop)):
        if not is_intact(chunk, expected):
            raise IndexCorruptError(damaged_terms(first_id))
        terms += json.loads(chunk)[max(start - first_id, 0) : stop - first_id]
    if len(terms) != stop - start:
        raise IndexCorruptError("the vocabulary is incomplete")
    return terms


def read_source(connection: sqlite3.Connection, name: str) -> SourceProgress | None:
    """Return how far a source got, or None if it was never indexed."""
    query = "SELECT consumed, last_id, finished FROM sources WHERE name = ?"
    row = connection.execute(query, (name,)).fetchone()
    return None if row is None else SourceProgress(row[0], row[1], bool(row[2]))


def report_damage(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite says of its file, and which long values are damaged."""
    report = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    return report + damaged_values(connection)


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


def write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write all of a commit but its generation."""
    _write_segments(connection, changes.segments)
    _append_terms(connection, changes.new_terms)
    if changes.forget_sources:
        connection.execute("DELETE FROM sources")
    rows = [(name, p.consumed, p.last_id, int(p.finished)) for name, p in changes.sources.items()]
    connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", rows)
    if changes.fields:
        write_setting(connection, _FIELDS, sorted(changes.fields))


def write_setting(connection: sqlite3.Connection, key: str, value: object) -> None:
    """Set a setting."""
    row = (key, json.dumps(value))
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", row)


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
    """Append a chunk, together with those at the end that are not much larger.

    Commits of a few new words each would otherwise leave as many chunks, all of which go into the
    digest of every commit. As it is, there are few beyond one for every `_LARGEST_CHUNK` terms.
    """
    if not terms:
        return
    size = _vocabulary_size(connection)
    first = size
    chunks = "SELECT first_id, count FROM vocabulary ORDER BY first_id DESC"
    for first_id, count in connection.execute(chunks):
        if count >= min(2 * (size + len(terms) - first), _LARGEST_CHUNK):
            break
        first = first_id
    chunk = json.dumps(read_terms(connection, first, size) + list(terms), ensure_ascii=False)
    row = (first, size + len(terms) - first, chunk, checksum(chunk.encode()))
    connection.execute("DELETE FROM vocabulary WHERE first_id >= ?", (first,))
    connection.execute("INSERT INTO vocabulary VALUES (?, ?, ?, ?)", row)


def write_generation(connection: sqlite3.Connection, generation: int) -> None:
    """Set the generation, and the digest of all that is in the tables now."""
    connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, '')", (generation,))
    connection.execute("UPDATE state SET digest = ?", (digest(connection),))


def read_generation(connection: sqlite3.Connection) -> int:
    """Return the number of the last commit."""
    row = connection.execute("SELECT generation FROM state").fetchone()
    if row is None or not isinstance(row[0], int):
        raise IndexCorruptError("the generation is missing")
    return row[0]


def _vocabulary_size(connection: sqlite3.Connection) -> int:
    query = "SELECT coalesce(max(first_id + count), 0) FROM vocabulary"
    return int(connection.execute(query).fetchone()[0])
