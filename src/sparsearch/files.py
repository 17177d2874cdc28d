"""Text files from outside: plain or gzip, UTF-8 checked, lines numbered and bounded."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO, cast

from sparsearch.errors import FileFormatError

__all__ = ["MAX_LINE_BYTES", "TextFile", "is_gzip"]

MAX_LINE_BYTES = 256 * 1024 * 1024
"""Longest line accepted, so that a hostile file (a gzip bomb) cannot take all memory."""

_GZIP_MAGIC = b"\x1f\x8b"


def is_gzip(path: str | PathLike[str]) -> bool:
    """Tell whether a file is gzip-compressed by its first bytes, whatever it is called."""
    with open(path, "rb") as file:
        return file.read(2) == _GZIP_MAGIC


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
            self._raw = open(path, "rb")  # noqa: SIM115 - closed by close()
            self.size = os.fstat(self._raw.fileno()).st_size
            compressed = self._raw.peek(2)[:2] == _GZIP_MAGIC
        except OSError as error:
            raise FileFormatError(path, None, f"cannot be read: {error.strerror}") from error
        self._stream: BinaryIO = self._raw
        if compressed:
            self._stream = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw, mode="rb"))

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
            On bytes that are not UTF-8, a line over the limit, or damaged gzip data; lines before
            it have been yielded.
        """
        for number, line in self.lines():
            yield number, self.decode(line, number)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield ``(line number, bytes of the line, its line end included)``.

        Raises
        ------
        FileFormatError
            On a line over the limit or damaged gzip data.
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
        except (OSError, EOFError, zlib.error) as error:
            reason = f"damaged gzip data ({error}); the file may be cut off"
            raise FileFormatError(self.path, number, reason) from error
        if len(line) > self.max_line_bytes:
            reason = f"line longer than {self.max_line_bytes} bytes"
            raise FileFormatError(self.path, number, reason)
        return line
