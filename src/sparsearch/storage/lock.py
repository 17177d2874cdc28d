"""The locks of an index folder. Readers need none of them.

The writer lock lets one process change the index at a time. Who holds the cleaner lock may remove
files that belong to no committed state; a background merger holds it for as long as it lives,
because it writes such files without holding the writer lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sparsearch.errors import IndexLockedError
from sparsearch.storage.faults import storage_faults

__all__ = ["cleaner_lock", "writer_lock"]


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the index's writer lock; the system frees it when the process dies.

    Raises
    ------
    IndexLockedError
        If another process, or another `Index` object, is writing.
    """
    lock = _acquired(folder / "lock")
    if lock is None:
        raise IndexLockedError(f"{folder}: another writer is at work; try again when it is done")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def cleaner_lock(folder: Path) -> Iterator[bool]:
    """Try to become the one who removes leftover files; tells whether that succeeded."""
    lock = _acquired(folder / "cleaner.lock")
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _acquired(path: Path) -> FileLock | None:
    """Return the lock, taken; None if somebody else has it."""
    lock = FileLock(path, timeout=0, thread_local=False)
    with storage_faults(path.parent):
        try:
            lock.acquire()
        except Timeout:
            return None
    return lock
