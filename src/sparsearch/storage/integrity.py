"""Whether the catalog's rows are as they were committed: a digest over all, checksums of some."""

from __future__ import annotations

import sqlite3

from sparsearch.errors import IndexCorruptError
from sparsearch.storage.segments import checksum

__all__ = [
    "check_digest",
    "damaged_deletions",
    "damaged_terms",
    "damaged_values",
    "digest",
    "is_intact",
]


def digest(connection: sqlite3.Connection) -> str:
    """Digest tables and every row but `state.digest`; long values enter by their own checksums.

    So a commit costs the number of rows, not the size of the vocabulary. Rows enter as `ascii`
    writes them: `repr` depends on which characters a version of Python knows.
    """
    parts = [ascii(connection.execute("SELECT generation FROM state").fetchone())]
    for query in (
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name",
        "SELECT key, value FROM settings ORDER BY key",
        "SELECT uid, position, documents, meta_checksum FROM segments ORDER BY position",
        "SELECT uid, checksum FROM tombstones ORDER BY uid",
        "SELECT first_id, count, checksum FROM vocabulary ORDER BY first_id",
        "SELECT name, consumed, last_id, finished FROM sources ORDER BY name",
    ):
        parts.extend(map(ascii, connection.execute(query)))
    return checksum("\n".join(parts).encode())


def check_digest(connection: sqlite3.Connection) -> None:
    """Raise IndexCorruptError if a row is not as it was committed."""
    stored = connection.execute("SELECT digest FROM state").fetchone()
    if stored is None or stored[0] != digest(connection):
        raise IndexCorruptError("contents differ from their digest")


def is_intact(value: object, expected: object) -> bool:
    """Return whether a long value is the one its checksum was made of."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return isinstance(value, bytes) and checksum(value) == expected


def damaged_values(connection: sqlite3.Connection) -> list[str]:
    """Return which long values differ from their checksums."""
    deletions = connection.execute("SELECT uid, bitmap, checksum FROM tombstones")
    damaged = [damaged_deletions(uid) for uid, *value in deletions if not is_intact(*value)]
    vocabulary = connection.execute("SELECT first_id, terms, checksum FROM vocabulary")
    return damaged + [damaged_terms(first) for first, *value in vocabulary if not is_intact(*value)]


def damaged_deletions(uid: object) -> str:
    """Say that the deletions of a segment are damaged."""
    return f"deletions of segment {uid} differ from their checksum"


def damaged_terms(first_id: object) -> str:
    """Say that a stretch of the vocabulary is damaged."""
    return f"vocabulary from term {first_id} differs from its checksum"
