"""Files that verbs write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from sparsearch.files import check_replaceable, write_lines

__all__ = ["check_writable", "write_text"]


def check_writable(*paths: Path | None) -> None:
    """Make sure that `write_text` can write files, where they are given.

    Raises
    ------
    StorageUnavailableError
        When one cannot be written.
    """
    for path in paths:
        if path is not None and str(path) != "-":
            check_replaceable(path)


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file, which appears whole or not at all, or to standard output for ``-``.

    Raises
    ------
    StorageUnavailableError
        When the file cannot be written.
    """
    if str(path) == "-":
        sys.stdout.writelines(lines)
    else:
        write_lines(path, lines)
