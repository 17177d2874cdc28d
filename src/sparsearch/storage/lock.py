"""The locks of an index folder. Readers need none of them.

The writer lock lets one process change the index at a time. Who holds the cleaner lock may remove
files that belong to no committed state; a background merger holds it for as long as it lives,
because it writes such files without holding the writer lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsearch.errors import IndexLockedError, IndexReplacedError
from sparsearch.storage.faults import storage_faults

__all__ = ["HeldLock", "cleaner_lock", "take_lock", "writer_lock"]


class HeldLock:
    """A lock that this process has. The system frees it when the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # also for children that were forked meanwhile
        os.close(self._descriptor)


def take_lock(path: Path) -> HeldLock | None:
    """Return the lock of a file, which is made if need be; None if somebody else has it.

    The file's folder is never made, as lock libraries do: an index that is moved away at this
    moment must not leave an empty folder in its place, where another is about to be put.

    Raises
    ------
    IndexReplacedError
        If the folder is gone.
    StorageUnavailableError
        If the file cannot be made or locked.
    """
    with storage_faults(path.parent):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError as error:
            reason = f"{path.parent}: the index that was opened here was moved or removed"
            raise IndexReplacedError(f"{reason}; open it where it is") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
    return HeldLock(descriptor)


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the index's writer lock; the system frees it when the process dies.

    Raises
    ------
    IndexLockedError
        If another process, or another `Index` object, is writing.
    """
    lock = take_lock(folder / "lock")
    if lock is None:
        raise IndexLockedError(f"{folder}: another writer is at work; try again when it is done")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def cleaner_lock(folder: Path) -> Iterator[bool]:
    """Try to become the one who removes leftover files; tells whether that succeeded."""
    lock = take_lock(folder / "cleaner.lock")
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()
