"""The writer lock: one process changes an index at a time; readers never need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sparsearch.errors import IndexLockedError
from sparsearch.storage.faults import storage_faults

__all__ = ["writer_lock"]


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the index's writer lock; the system frees it when the process dies.

    Raises
    ------
    IndexLockedError
        If another process, or another `Index` object, is writing.
    """
    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    with storage_faults(folder):
        try:
            lock.acquire()
        except Timeout:
            reason = f"{folder}: another writer is at work; try again when it is done"
            raise IndexLockedError(reason) from None
    try:
        yield
    finally:
        lock.release()
