"""Which of several servers of an index writes to it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sparsearch.errors import StorageError
from sparsearch.storage import HeldLock, take_lock

__all__ = ["WriterRole"]

_LOCK_NAME = "serve.lock"


class WriterRole:
    """The right to write to an index, which one server at a time has.

    A server takes it when it starts, or when it is asked to write and finds it free, and has it
    until it ends, however it ends: the system frees the lock of a process that dies. A server
    without it reads, and follows what the other writes.

    Parameters
    ----------
    folder : Path
        The index folder.
    read_only : bool
        Never take it.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self._folder = folder
        self._lock: HeldLock | None = None
        self._read_only = read_only

    @property
    def held(self) -> bool:
        """Whether this server has it."""
        return self._lock is not None

    def take(self) -> bool:
        """Take the role if it is free; return whether this server has it."""
        if self._read_only:
            return False
        if self._lock is None:
            with suppress(StorageError):  # the folder is read-only, or gone
                self._lock = take_lock(self._folder / _LOCK_NAME)
        return self.held

    def release(self) -> None:
        """Give the role to whoever asks next."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
