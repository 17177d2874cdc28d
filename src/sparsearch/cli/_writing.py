"""Files that verbs write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from sparsearch.files import write_lines

__all__ = ["write_text"]


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
