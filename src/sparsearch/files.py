"""Files of others: text read with care (gzip, UTF-8, bounded lines), results written whole.

Nothing here is about the index folder, which the storage layer looks after.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from errno import EISDIR
from io import BufferedReader
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from sparsearch.errors import (
    FileFormatError,
    InvalidInputError,
    StorageUnavailableError,
    shorten,
)

__all__ = [
    "MAX_LINE_BYTES",
    "STANDARD_INPUT",
    "TextFile",
    "as_path",
    "cache_folder",
    "check_replaceable",
    "digest_of_files",
    "replacing",
    "write_lines",
]

MAX_LINE_BYTES = 256 * 1024 * 1024
"""Longest line accepted, so that a hostile file (a gzip bomb) cannot take all memory."""

STANDARD_INPUT = "/dev/stdin"
"""The path by which standard input is read as a file."""

_GZIP_MAGIC = b"\x1f\x8b"


def as_path(path: str | PathLike[str]) -> Path:
    """Return what was given as a path of a file or folder.

    Raises
    ------
    InvalidInputError
        When it can be none. An empty string is refused, too: it would mean the current folder, and
        stands more often for a variable that was not set.
    """
    if not isinstance(path, (str, PathLike)) or isinstance(os.fspath(path), bytes):
        raise InvalidInputError(f"path is {shorten(path)}, not a string or a pathlib.Path")
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise InvalidInputError(f"path {shorten(path)} names no file or folder")
    return Path(path)


def cache_folder() -> Path:
    """Return where what can be made or fetched again is kept; it need not exist.

    That is ``sparsearch`` in the user's cache folder (XDG Base Directory Specification) or, of a
    user without a home, in the folder of temporary files.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        base = Path(tempfile.gettempdir())
    return base / "sparsearch"


def digest_of_files(files: Mapping[str, Path]) -> str:
    """Return one SHA-256 of the names and contents of files, 64 hexadecimal digits.

    Parameters
    ----------
    files : mapping of str to Path
        Each with the name that stands for it, whatever their order.

    Raises
    ------
    OSError
        When one cannot be read.
    """
    total = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256()
        with files[name].open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        total.update(f"{name}:{content.hexdigest()}\n".encode())
    return total.hexdigest()


class TextFile:
    """The lines of a UTF-8 text file, plain or gzip, each with its one-based number.

    Line ends (LF or CRLF) are removed; a byte order mark at the start is dropped.
    Use as a context manager and iterate once. A reader that goes on after a line it cannot use
    iterates over `lines` and decodes each line itself.

    Parameters
    ----------
    path : str or PathLike
        The file.
    max_line_bytes : int
        Longest line accepted.

    Attributes
    ----------
    size : int
        Bytes of the file on disk (compressed bytes for gzip).
    complete : bool
        Whether the last line read ended in a newline (or none was read); false only when the
        file ends in the middle of a line.

    Raises
    ------
    FileFormatError
        When the file does not exist or cannot be read.
    """

    def __init__(self, path: str | PathLike[str], max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.path = path
        self.max_line_bytes = max_line_bytes
        self.complete = True
        self._end = 0
        try:
            self._raw = _opened(as_path(path))
            self.size = os.fstat(self._raw.fileno()).st_size
            compressed = self._raw.peek(2)[:2] == _GZIP_MAGIC
        except OSError as error:
            raise FileFormatError(path, None, f"cannot be read: {error.strerror}") from error
        self._stream: BinaryIO = self._raw
        if compressed:
            self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw, mode="rb"))

    @property
    def hint(self) -> str:
        """What to add to the reason why the line that was read last is malformed, if anything."""
        return "" if self.complete else "; the file ends in this line and may be cut off"

    @property
    def position(self) -> int:
        """Bytes of the file on disk read so far; with `size`, the progress. 0 for a pipe."""
        if self._raw.closed:
            return self._end
        return self._raw.tell() if self._raw.seekable() else 0

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._end = self.position
        self._stream.close()
        self._raw.close()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield ``(line number, line)``.

        Raises
        ------
        FileFormatError
            On bytes that are not UTF-8, a line over the limit, damaged gzip data, or when the file
            cannot be read further; lines before it have been yielded.
        """
        for number, line in self.lines():
            yield number, self.decode(line, number)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield ``(line number, bytes of the line, its line end included)``.

        Raises
        ------
        FileFormatError
            On a line over the limit, damaged gzip data, or when the file cannot be read further.
        """
        number = 0
        while True:
            number += 1
            line = self._read_line(number)
            if not line:
                return
            self.complete = line.endswith(b"\n")
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line

    def decode(self, line: bytes, number: int) -> str:
        """Return a line from `lines` as text without its line end.

        Raises
        ------
        FileFormatError
            On bytes that are not UTF-8.
        """
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} of the line is not UTF-8; convert the file to UTF-8"
            raise FileFormatError(self.path, number, reason) from error
        return text.rstrip("\r\n")

    def _read_line(self, number: int) -> bytes:
        try:
            line = self._stream.readline(self.max_line_bytes + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            reason = f"damaged gzip data ({error}); the file may be cut off"
            raise FileFormatError(self.path, number, reason) from error
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            raise FileFormatError(self.path, number, reason) from error
        if len(line) > self.max_line_bytes:
            reason = f"line longer than {self.max_line_bytes} bytes"
            raise FileFormatError(self.path, number, reason)
        return line


def _opened(path: Path) -> BufferedReader:
    if path == Path(STANDARD_INPUT):
        # Opened by its name, a socket or a file of another user would be refused, and a file that
        # others have begun to read would be read from its start.
        return os.fdopen(os.dup(0), "rb")
    return open(path, "rb")


@contextmanager
def replacing(path: str | PathLike[str], mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of `path` when the block ends without error.

    What was at `path` stays as it is until then, and for good after an error. A link is followed. A
    device or a pipe, and whatever standard output goes to, cannot be replaced and is written
    directly.

    Raises
    ------
    StorageUnavailableError
        When the disk is full, or the folder missing or read-only.
    """
    target = as_path(path)
    try:
        if _written_directly(target):
            with open(target, "wb") as file:
                yield file
        else:
            yield from _replacing_regular(target.resolve(), mode)
    except OSError as error:
        raise StorageUnavailableError(f"cannot write {target}: {error.strerror}") from error


def check_replaceable(path: str | PathLike[str]) -> None:
    """Make sure that a file can be written, before the work whose result it is to hold.

    Raises
    ------
    StorageUnavailableError
        When its folder is missing or read-only, or it is a folder itself.
    """
    target = as_path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if not _written_directly(target):
            with tempfile.TemporaryFile(dir=target.resolve().parent):
                pass
    except OSError as error:
        raise StorageUnavailableError(f"cannot write {target}: {error.strerror}") from error


def write_lines(path: str | PathLike[str], lines: Iterable[str]) -> None:
    """Write a UTF-8 text file as `replacing` does; equal lines give equal bytes.

    Parameters
    ----------
    path : str or PathLike
        The file; compressed with gzip if the name ends in ``.gz``.
    lines : iterable of str
        The lines, each with its line end.

    Raises
    ------
    StorageUnavailableError
        When the file cannot be written.
    """
    with replacing(path) as file:
        if os.fspath(path).endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
                compressed.writelines(line.encode() for line in lines)
        else:
            file.writelines(line.encode() for line in lines)


def _written_directly(target: Path) -> bool:
    if not target.exists():
        return False
    standard_output = os.path.exists("/dev/stdout") and target.samefile("/dev/stdout")
    return standard_output or not target.is_file()


def _replacing_regular(target: Path, mode: int) -> Iterator[BinaryIO]:
    # The name is short, so that a name of the longest length allowed can be written too.
    temporary = target.with_name(f".{uuid4().hex[:16]}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
