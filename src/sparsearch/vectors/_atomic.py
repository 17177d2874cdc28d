"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from sparsearch.errors import StorageUnavailableError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of `path` when the block ends without error.

    What was at `path` stays as it is until then, and for good after an error. A device or a pipe
    (``/dev/stdout``) cannot be replaced and is written directly.

    Raises
    ------
    StorageUnavailableError
        When the disk is full, or the folder missing or read-only.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            with open(target, "wb") as file:
                yield file
        else:
            yield from _replacing_regular(target)
    except OSError as error:
        raise StorageUnavailableError(f"cannot write {target}: {error}") from error


def _replacing_regular(target: Path) -> Iterator[BinaryIO]:
    temporary = target.with_name(f".{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
