"""CSV and TSV: tables as text, with a header row.

A CSV file follows RFC 4180: fields may be quoted and then hold commas, newlines and doubled
quotes. A TSV file has no quoting (IANA text/tab-separated-values): quotes are ordinary characters,
as in the collections of MS MARCO, and a field holds neither tabs nor newlines.
"""

from __future__ import annotations

import csv
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from sparsearch.errors import FileFormatError, shorten
from sparsearch.files import MAX_LINE_BYTES, TextFile
from sparsearch.readers.fields import RecordError, ResolvedFields
from sparsearch.readers.source import LineSource

__all__ = ["CsvSource", "TsvSource", "parse_cell"]

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}")
_LINES_READ_AGAIN = 10_000
_field_limit = threading.RLock()


class CsvSource(LineSource):
    """A comma-separated table, plain or gzip. Blank lines mean nothing.

    Ids, titles and texts are kept as they are written. Of the metadata, an empty cell means that
    the record has no such field, and a number is converted where that loses nothing
    (`parse_cell`).
    """

    format = "csv"

    def _cells(self, lines: _Lines) -> Iterator[list[str]]:
        return csv.reader(lines, strict=True)

    def _read_file(self, file: TextFile) -> Iterator[dict[str, object]]:
        lines = _Lines(file)
        cells = self._cells(lines)
        number, header = next(_rows(lines, cells, _raise), (1, []))
        try:
            _check_header(header)
            fields = self.fields.resolve(header)
        except RecordError as error:
            raise FileFormatError(file.path, number, f"header row: {error}") from error
        for number, row in _rows(lines, cells, self._report):
            try:
                record = _record(header, fields, row)
            except RecordError as error:  # noqa: PERF203 - each bad row is reported
                self._report_record(file, number, error)
            else:
                yield record


class TsvSource(CsvSource):
    """A tab-separated table without quoting, plain or gzip; otherwise like `CsvSource`."""

    format = "tsv"

    def _cells(self, lines: _Lines) -> Iterator[list[str]]:
        return (line.rstrip("\n").split("\t") for line in lines)


def parse_cell(cell: str) -> str | int | float:
    """Return a cell as an integer or a float if that is written back as the very same characters.

    So ``"7"`` and ``"-1.5"`` are numbers; ``"007"``, ``"1.50"``, ``"1e3"``, ``" 7"`` and ``"nan"``
    stay strings, and so do integers of more than 18 digits.
    """
    value: int | float
    if _INTEGER.fullmatch(cell):
        value = int(cell)
    elif _DECIMAL.fullmatch(cell):
        value = float(cell)
    else:
        return cell
    return value if str(value) == cell else cell


class _Lines:
    """The lines of a file, as `csv.reader` wants them.

    A line that is not text is passed on with replacement characters, since it may be a part of a
    longer row, and noted in `damage`, so that this row can be given up as a whole.
    """

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.number = 0
        self.damage: FileFormatError | None = None
        self._lines = file.lines()
        self._row: list[tuple[int, bytes]] = []
        self._again: deque[tuple[int, bytes]] = deque()

    def begin_row(self) -> None:
        """Forget the lines of the last row."""
        self._row.clear()
        self.damage = None

    def read_again(self) -> int:
        """Give the lines of this row but the first once more; return the last that is given up.

        An open quote takes in the rows that follow. Where these are thousands of lines, all are
        given up: in a file full of open quotes, each would be read thousands of times.
        """
        if len(self._row) <= _LINES_READ_AGAIN:
            self._again.extendleft(reversed(self._row[1:]))
            self.number = self._row[0][0]
        return self.number

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, line = self._again.popleft() if self._again else next(self._lines)
        self._row.append((self.number, line))
        try:
            text = self.file.decode(line, self.number)
        except FileFormatError as error:
            self.damage = error
            text = line.decode(errors="replace").rstrip("\r\n")
        if "\0" in text:
            self.damage = FileFormatError(self.file.path, self.number, "NUL byte; is it a table?")
            text = text.replace("\0", "")
        return text + "\n"


def _rows(
    lines: _Lines, cells: Iterator[list[str]], report: Callable[[FileFormatError], None]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line; give unreadable ones to `report`."""
    while True:
        number = lines.number + 1
        lines.begin_row()
        try:
            with _long_fields():
                row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            hint = lines.file.hint
            damage, last = lines.damage, lines.read_again()
            lost = f"; lines {number} to {last} were taken for one row" if last > number else ""
            reason = f"{error}; is a quote left open?{lost}{hint}"
            report(damage or FileFormatError(lines.file.path, number, reason))
            continue
        if lines.damage is not None:
            report(lines.damage)
        elif len(row) > 1 or any(row):
            yield number, row


def _check_header(header: list[str]) -> None:
    if not header:
        raise RecordError("missing; the first row must name the columns")
    for column, name in enumerate(header, start=1):
        if not name.strip():
            raise RecordError(f"column {column} has no name (pandas: to_csv(..., index=False))")
        if name in header[: column - 1]:
            raise RecordError(f"two columns are called {shorten(name)}")


def _record(header: list[str], fields: ResolvedFields, row: list[str]) -> dict[str, object]:
    if len(row) != len(header):
        raise RecordError(f"{len(row)} columns where the header has {len(header)}")
    values: dict[str, object] = {}
    for name, cell in zip(header, row, strict=True):
        if name == fields.id or name == fields.title or name in fields.text:
            values[name] = cell
        elif cell:
            values[name] = parse_cell(cell)
    return fields.record(values)


def _raise(error: FileFormatError) -> NoReturn:
    raise error


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the limit of the csv module on the length of a field, for the reading of one row.

    The limit belongs to the whole process; it is held as briefly as possible and put back.
    """
    with _field_limit:
        limit = csv.field_size_limit(MAX_LINE_BYTES)
        try:
            yield
        finally:
            csv.field_size_limit(limit)
