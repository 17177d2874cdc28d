"""Merging segments in a thread, while others write and search."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import warnings
from collections.abc import Callable

from sparsearch.errors import IndexLockedError, IndexReplacedError, StorageUnavailableError

__all__ = ["BackgroundMerger"]

_RETRY_SECONDS = 0.2


class BackgroundMerger:
    """A thread that merges whenever it is told that there may be something to merge.

    Parameters
    ----------
    merge_once : callable
        Does one merge and returns True, or finds nothing to merge and returns False.

    Attributes
    ----------
    failure : Exception or None
        What ended the thread early.
    """

    def __init__(self, merge_once: Callable[[], bool]) -> None:
        self._merge_once = merge_once
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._guard = threading.Lock()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sparsearch-merger", daemon=True)
        self._thread.start()
        self.notify()

    @property
    def is_working(self) -> bool:
        """Whether the thread still does its work."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def notify(self) -> None:
        """Tell it that segments were committed."""
        with self._guard:
            self._idle.clear()
            self._wanted.set()

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to merge, or the thread has ended; False on timeout."""
        return self._idle.wait(timeout)

    def stop(self) -> None:
        """Let it finish the merge it is at, and end it.

        Raises
        ------
        IndexCorruptError
            If it met a damaged segment.
        """
        self._stopping.set()
        self._wanted.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wanted.wait()
                self._wanted.clear()
                self._merge_all()
                _return_free_memory()
                with self._guard:
                    if not self._wanted.is_set():
                        self._idle.set()
        except IndexReplacedError:
            pass  # nothing is left to be merged; whoever writes is told
        except Exception as error:
            self.failure = error
        finally:
            self._idle.set()

    def _merge_all(self) -> None:
        """Merge until nothing is left to merge."""
        try:
            while not self._stopping.is_set() and self._merge_once():
                pass
        except IndexLockedError:
            # Another process is writing. What was merged is lost, what was stored is not.
            self._stopping.wait(_RETRY_SECONDS)
            self._wanted.set()
        except StorageUnavailableError as error:
            advice = "all documents are stored; merging their segments is put off"
            warnings.warn(f"{error} ({advice})", RuntimeWarning, stacklevel=2)


def _return_free_memory() -> None:
    """Give freed memory back to the operating system.

    glibc keeps much of what a merge has freed for the next one, which may be days away
    (docs/lab-notes.md has figures). Other C libraries have no such call.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
