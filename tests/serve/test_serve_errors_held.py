"""What an answer that tells of an error holds on to."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import Future

from sparsearch.errors import StorageUnavailableError
from sparsearch.serve.writes import Deletion, Request


class Large:
    """Stands for maps of files, which are no longer there for others."""


def test_nothing_that_failed_work_held() -> None:
    gone: list[weakref.ref[Large]] = []

    def inner() -> None:
        held = Large()
        gone.append(weakref.ref(held))
        raise OSError(28, "no space left")

    def work() -> None:
        held = Large()
        gone.append(weakref.ref(held))
        try:
            inner()
        except OSError as error:
            raise StorageUnavailableError("the disk is full") from error

    request = Request(Deletion([], True))
    gc.disable()
    try:
        try:
            work()
        except StorageUnavailableError as error:
            request.fail(error)
        done: Future[int] = request.done
        assert isinstance(done.exception(), StorageUnavailableError)
        assert [found() for found in gone] == [None, None]
    finally:
        gc.enable()
