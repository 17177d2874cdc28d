"""Ids in the columns of text files: which ones a format can hold, and writing a file at once."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["check_id", "check_tab_separable", "check_trec_writable", "write_lines"]

_BYTE_ORDER_MARK = "\ufeff"


def check_id(value: object, what: str) -> str:
    """Return `value` as a plain string if it can be an id; `what` says whose id it is."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{what} id {shorten(value)} is not a non-empty string")
    return str.__str__(value)  # NumPy's strings are a subclass


def check_trec_writable(ids: Iterable[str], what: str) -> None:
    """Refuse ids that a whitespace-separated file cannot hold.

    Any Unicode whitespace is refused, since tools written in Python split at all of it.
    """
    ids = list(ids)
    if " ".join(ids).split() != ids or any(id.startswith(_BYTE_ORDER_MARK) for id in ids):
        found = next(id for id in ids if id.split() != [id] or id.startswith(_BYTE_ORDER_MARK))
        reason = f"{what} {shorten(found)} contains whitespace or starts with a byte order mark"
        raise InvalidInputError(f"{reason}, which the TREC format cannot hold; rename it")
    _check_encodable(ids, what)


def check_tab_separable(ids: Iterable[str], what: str) -> None:
    """Refuse ids that a tab-separated file cannot hold."""
    ids = list(ids)
    for id in ids:
        if any(separator in id for separator in "\t\r\n"):
            reason = f"{what} {shorten(id)} contains a tab or a line end"
            raise InvalidInputError(f"{reason}, which a TSV file cannot hold; rename it")
    _check_encodable(ids, what)


def _check_encodable(ids: list[str], what: str) -> None:
    try:
        "".join(ids).encode()
    except UnicodeEncodeError as error:
        surrogate = error.object[error.start]
        found = next(id for id in ids if surrogate in id)
        reason = f"{what} {shorten(found)} holds a lone surrogate, which is not a character"
        raise InvalidInputError(f"{reason} and cannot be written; rename it") from error


def write_lines(path: str | PathLike[str], lines: Iterable[str]) -> None:
    """Write a UTF-8 text file that is either there completely or not at all.

    The lines go to a file of another name in the same folder, which then takes the place of
    `path`; when a line cannot be produced, what was at `path` is left as it was.

    Parameters
    ----------
    path : str or PathLike
        The file; compressed with gzip if the name ends in ``.gz``. Equal lines give equal bytes.
    lines : iterable of str
        The lines, each with its line end.

    Raises
    ------
    OSError
        When the folder does not exist or cannot be written to.
    """
    with _replacing(Path(path)) as file:
        if os.fspath(path).endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
                compressed.writelines(line.encode() for line in lines)
        else:
            file.writelines(line.encode() for line in lines)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    # The name is short, so that a name of the longest length allowed can be written too.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
