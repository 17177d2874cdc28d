"""A folder of plain text files, or a single one: each file is a document."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.files import MAX_LINE_BYTES, TextFile
from sparsearch.readers.fields import DETECT, FieldMapping
from sparsearch.readers.source import ErrorHandler, Source

__all__ = ["TextSource"]


class _Entry(NamedTuple):
    id: str
    path: str
    size: int


class TextSource(Source):
    """Text files, plain or gzip, in the order of their ids.

    The id is the path relative to the folder, with ``/``; the title is the file name without its
    suffix; the text is the whole content, with LF between the lines and none at the end.

    Hidden and binary files (a NUL byte in them), links to folders and what is no regular file are
    left out and listed in `skipped`. Links to folders are not followed, so there are no loops.
    A file that is neither binary nor UTF-8 is an error.

    Raises
    ------
    InvalidInputError
        When `fields` names any, since text files have none.
    """

    format = "text"

    def __init__(self, path: Path, fields: FieldMapping, on_error: ErrorHandler | None) -> None:
        super().__init__(path, fields, on_error)
        if fields != DETECT:
            raise InvalidInputError(f"{path}: text files have no fields; name none")
        self._position = 0
        self._not_text: list[tuple[str, str]] = []
        if path.is_dir():
            self._entries = sorted(self._walk(path, ""))
        else:
            self._entries = [_Entry(path.name, str(path), path.stat().st_size)]
        self._not_text.sort()
        self.skipped = list(self._not_text)

    @property
    def size(self) -> int:
        """Bytes of all files to read."""
        return sum(entry.size for entry in self._entries)

    @property
    def position(self) -> int:
        """Bytes of the files read so far."""
        return self._position

    def _walk(self, folder: Path, prefix: str) -> Iterator[_Entry]:
        """Yield the files below a folder; note in `_not_text` what is none."""
        folders = [(os.fspath(folder), prefix)]
        while folders:
            path, prefix = folders.pop()
            for entry in _scan(path):
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    folders.append((entry.path, name + "/"))
                    continue
                reason = _why_not(entry)
                if reason:
                    self._not_text.append((name, reason))
                else:
                    yield _Entry(name, entry.path, entry.stat().st_size)

    def _read(self) -> Iterator[dict[str, object]]:
        self.skipped = list(self._not_text)
        self._position = 0
        for entry in self._entries:
            try:
                text = _read_text(entry)
            except _BinaryFileError:
                self.skipped.append((entry.id, "binary (it holds a NUL byte)"))
            except FileFormatError as error:
                self._report(error)
            else:
                yield {"id": entry.id, "title": _title(entry.id), "text": text}
            self._position += entry.size


class _BinaryFileError(Exception):
    """The file is not text."""


def _scan(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise FileFormatError(path, None, f"cannot be read: {error.strerror}") from error


def _why_not(entry: os.DirEntry[str]) -> str:
    """Return why something in a folder is not read, empty if it is."""
    if entry.name.startswith("."):
        return "hidden"
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "a link to a folder"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _read_text(entry: _Entry) -> str:
    try:
        entry.id.encode()
    except UnicodeEncodeError as error:
        raise FileFormatError(entry.path, None, "the file name is not UTF-8; rename it") from error
    with TextFile(entry.path) as file:
        lines = []
        length = 0
        for number, line in file.lines():
            length += len(line)
            if length > MAX_LINE_BYTES:
                raise FileFormatError(entry.path, number, f"over {MAX_LINE_BYTES} bytes of text")
            lines.append(line)
        if any(b"\0" in line for line in lines):
            raise _BinaryFileError
        return "\n".join(file.decode(line, number) for number, line in enumerate(lines, start=1))


def _title(document_id: str) -> str:
    name = PurePosixPath(document_id)
    return (name.with_suffix("") if name.suffix == ".gz" else name).stem
