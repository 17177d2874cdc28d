"""Files that verbs write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsearch.errors import StorageUnavailableError

__all__ = ["write_text", "writing"]


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file, which appears whole or not at all, or to standard output for ``-``.

    Raises
    ------
    StorageUnavailableError
        When the file cannot be written.
    """
    if str(path) == "-":
        sys.stdout.writelines(lines)
        return
    from sparsearch.runs.columns import write_lines

    with writing(path):
        if path.exists() and not path.is_file():  # a device or a pipe: nothing to replace
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
        else:
            write_lines(path, lines)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn faults of the system into an error that names the file to be written."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailableError(f"cannot write {path}: {error.strerror}") from error
