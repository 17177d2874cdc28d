"""Opening the catalog's SQLite file, and transactions on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

__all__ = [
    "BUSY_SECONDS",
    "Result",
    "Work",
    "connect",
    "file_identity",
    "has_log",
    "read_only_state",
    "transact",
]

Result = TypeVar("Result")
Work: TypeAlias = Callable[[sqlite3.Connection], Result]

BUSY_SECONDS = 30.0
_IMMUTABLE = "?mode=ro&immutable=1"


def connect(path: Path, *, create: bool = False, immutable: bool = False) -> sqlite3.Connection:
    """Open the file; read-only where it cannot be written, or if it is taken as immutable."""
    connection = sqlite3.connect(
        path.resolve().as_uri() + _IMMUTABLE if immutable else _uri(path, create),
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def transact(connection: sqlite3.Connection, kind: str, work: Work[Result]) -> Result:
    """Return the result of work on a connection, and commit all of it, or nothing if it fails.

    Not a context manager: an interrupt that came as it was entered would leave it open.
    """
    try:
        connection.execute(f"BEGIN {kind}")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from any other, None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def read_only_state(path: Path) -> tuple[int, int, bool] | None:
    """Return what tells whether a file was changed, if it is there and cannot be written from here.

    A connection to a file that cannot be written may not see what others write to it: when this
    has changed, connect anew.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return None
    facts = _facts(path)
    return None if facts is None else (facts.st_mtime_ns, facts.st_size, has_log(path))


def has_log(path: Path) -> bool:
    """Whether commits may stand in a log beside the file, so that it is not complete by itself."""
    facts = _facts(path.with_name(path.name + "-wal"))
    return facts is not None and facts.st_size > 0


def _facts(path: Path) -> os.stat_result | None:
    """Return what is known of a file, None if it is not there: it may have gone a moment ago."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _uri(path: Path, create: bool) -> str:
    base = path.resolve().as_uri()
    if create:
        return base + "?mode=rwc"
    if read_only_state(path) is None:
        return base + "?mode=rw"
    # On a read-only folder SQLite cannot make the shared-memory file of a write-ahead log. Without
    # a log beside it the file is complete by itself and may be read as immutable.
    return base + ("?mode=ro" if has_log(path) else _IMMUTABLE)
