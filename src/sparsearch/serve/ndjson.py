"""Streams of documents: lines gathered into portions, each checked and committed as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sparsearch.errors import InvalidDocumentError, InvalidInputError, InvalidVectorError
from sparsearch.serve.config import Limits
from sparsearch.serve.errors import ServiceError, from_exception
from sparsearch.strict_json import parse_json

__all__ = ["Portion", "portions", "store_portions"]


@dataclass
class Portion:
    """Consecutive lines that are not blank, with their one-based numbers."""

    numbers: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def append(self, number: int, line: bytes) -> None:
        """Add a line."""
        self.numbers.append(number)
        self.lines.append(line)
        self.size += len(line)

    def parse(self) -> list[Any]:
        """Return the values of the lines.

        Raises
        ------
        ServiceError
            400 naming the first line that is not JSON.
        """
        return [_parse(*pair) for pair in zip(self.numbers, self.lines, strict=True)]


def _parse(number: int, line: bytes) -> Any:
    try:
        return parse_json(line)
    except InvalidInputError as error:
        raise ServiceError(400, "bad_json", f"line {number}: {error}", line=number) from error


async def portions(chunks: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[Portion]:
    """Yield the lines of a body, as many together as the limits allow.

    Raises
    ------
    ServiceError
        413 at a line that is too long.
    """
    portion = Portion()
    number = 0
    async for line in _lines(chunks, limits.line_bytes):
        number += 1
        if not line.strip():
            continue
        portion.append(number, line)
        full = len(portion.lines) >= limits.portion_documents
        if full or portion.size >= limits.portion_bytes:
            yield portion
            portion = Portion()
    if portion.lines:
        yield portion


async def store_portions(
    parts: AsyncIterator[Portion], store: Callable[[Portion], Awaitable[int]]
) -> int:
    """Store portions one after the other; return how many documents they held.

    Raises
    ------
    ServiceError
        At the first that cannot be stored, or read; its details tell how many documents are
        stored, and the line at fault where that is known.
    """
    stored = 0
    portion = Portion()
    try:
        async for part in parts:
            portion = part
            stored += await store(part)
    except Exception as error:
        line = None
        if isinstance(error, InvalidDocumentError):
            line = portion.numbers[error.position]
            error = type(error)(stored + error.position, error.document_id, error.reason)
        elif isinstance(error, InvalidVectorError) and error.row is not None:
            line = portion.numbers[error.row]
            error = type(error)(stored + error.row, error.reason)
        answer = from_exception(error)
        answer.details["stored"] = stored
        if line is not None:
            answer.details["line"] = line
        raise answer from error
    return stored


async def _lines(chunks: AsyncIterator[bytes], longest: int) -> AsyncIterator[bytes]:
    """Yield lines without their ends; the last need not have one."""
    parts: list[bytes] = []
    size = number = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            number += 1
            if size + len(end) > longest:
                raise _too_long(number, longest)
            yield b"".join([*parts, end])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > longest:
            raise _too_long(number + 1, longest)
    if size:
        yield b"".join(parts)


def _too_long(number: int, longest: int) -> ServiceError:
    reason = f"line {number} is longer than {longest} bytes"
    return ServiceError(413, "too_large", reason, line=number, limit=longest)
