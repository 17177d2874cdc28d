"""Which of several servers of an index writes to it."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

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
        self._lock = FileLock(folder / _LOCK_NAME, timeout=0, thread_local=False)
        self._read_only = read_only

    @property
    def held(self) -> bool:
        """Whether this server has it."""
        return bool(self._lock.is_locked)

    def take(self) -> bool:
        """Take the role if it is free; return whether this server has it."""
        if self._read_only:
            return False
        if self.held:
            return True
        if not self._folder.is_dir():  # which taking the lock would make
            return False
        try:
            self._lock.acquire()
        except (Timeout, OSError):  # an OSError: the folder is read-only
            return False
        return True

    def release(self) -> None:
        """Give the role to whoever asks next."""
        self._lock.release(force=True)
