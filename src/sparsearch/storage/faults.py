"""Operating-system faults (full disk, read-only folder) as typed errors."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsearch.errors import IndexCorruptError, StorageUnavailableError

__all__ = ["storage_faults"]

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same call again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same call again",
    errno.EROFS: "the file system is read-only; the index can be searched but not changed",
    errno.EACCES: "permission denied; check the owner and mode of the folder",
    errno.EPERM: "operation not permitted; check the owner and mode of the folder",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) or close other indexes",
}

# By a part of SQLite's messages: Python 3.10 does not give its error codes.
_SQLITE_ADVICE = {
    "disk is full": _ADVICE[errno.ENOSPC],
    "readonly": _ADVICE[errno.EROFS],
    "locked": "another process holds it locked; try again",
    "locking protocol": "another process holds it locked; try again",
    "unable to open": "it cannot be opened; check the owner and mode of the folder",
    "disk I/O error": "the disk failed to read or write; check it and its free space",
}


@contextmanager
def storage_faults(folder: Path) -> Iterator[None]:
    """Turn faults of the system or of SQLite into errors that name the folder and what to do.

    What was committed before the fault stays committed.

    Raises
    ------
    StorageUnavailableError
        For a full disk, a read-only folder, missing permissions and other I/O errors.
    IndexCorruptError
        When SQLite finds its file damaged.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, str(error))
        raise StorageUnavailableError(f"{folder}: {advice}") from error
    except sqlite3.ProgrammingError as error:
        raise StorageUnavailableError(f"{folder}: the index is closed; open it again") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # SQLite's message about a damaged schema may quote bytes that are not text.
        advice = _sqlite_advice(error)
        if advice:
            raise StorageUnavailableError(f"{folder}: catalog: {advice}") from error
        reason = f"{folder / 'catalog.sqlite'} is damaged ({error}); restore it from a backup"
        raise IndexCorruptError(reason) from error


def _sqlite_advice(error: Exception) -> str:
    """Say what to do about a fault of the system; nothing if it is the file that is damaged."""
    text = str(error)
    return next((advice for words, advice in _SQLITE_ADVICE.items() if words in text), "")
