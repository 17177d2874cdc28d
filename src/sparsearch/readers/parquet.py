"""Parquet files, read a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from sparsearch.errors import FileFormatError, MissingExtraError, shorten
from sparsearch.readers.fields import FieldMapping, RecordError, ResolvedFields
from sparsearch.readers.source import ErrorHandler, Source

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

__all__ = ["ParquetSource"]

_BATCH_ROWS = 1024


class ParquetSource(Source):
    """A Parquet file; its columns are the fields.

    Dates and times become ISO 8601 strings, decimals the nearest float; lists and structs stay
    nested. Binary columns, and numbers that are not finite, are refused.
    """

    format = "parquet"

    def __init__(self, path: Path, fields: FieldMapping, on_error: ErrorHandler | None) -> None:
        super().__init__(path, fields, on_error)
        self._size = path.stat().st_size
        self._position = 0
        with self._open():  # a file that is not Parquet is refused at once
            pass

    @property
    def size(self) -> int:
        """Bytes of the file on disk."""
        return self._size

    @property
    def position(self) -> int:
        """Share of the rows read so far, in bytes of the file."""
        return self._position

    def _open(self) -> ParquetFile:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise MissingExtraError("pyarrow", "parquet") from error
        try:
            return ParquetFile(self.path)
        except (pyarrow.ArrowException, OSError) as error:
            reason = f"not a Parquet file, or a damaged one: {error}"
            raise FileFormatError(self.path, None, reason) from error

    def _read(self) -> Iterator[dict[str, object]]:
        self._position = 0
        with self._open() as file:
            fields = self._resolve(file.schema_arrow.names)
            total = file.metadata.num_rows
            for number, row in enumerate(self._rows(file), start=1):
                try:
                    record = fields.record({name: _plain(row[name], name) for name in row})
                except RecordError as error:
                    self._report(FileFormatError(self.path, number, str(error)))
                else:
                    yield record
                self._position = self._size * number // total
        self._position = self._size

    def _resolve(self, columns: list[str]) -> ResolvedFields:
        try:
            if len(set(columns)) < len(columns):
                raise RecordError("two columns have the same name")
            return self.fields.resolve(columns)
        except RecordError as error:
            raise FileFormatError(self.path, None, str(error)) from error

    def _rows(self, file: ParquetFile) -> Iterator[dict[str, object]]:
        from pyarrow import ArrowException

        done = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
                done += batch.num_rows
        # ValueError: text that is not UTF-8, nanoseconds that Python's datetime cannot hold, an
        # unknown time zone. OverflowError: dates before the year 1 or after 9999.
        except (ArrowException, OSError, ValueError, OverflowError) as error:
            reason = f"damaged, or a value that Python cannot hold, after row {done}: {error}"
            raise FileFormatError(self.path, None, reason) from error


def _plain(value: object, field: str) -> object:
    """Return a value of Parquet as JSON can hold it."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (float, Decimal)):
        if not isfinite(value):
            raise RecordError(f"field {shorten(field)} is {value}, which JSON cannot hold")
        return float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(item, field) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, field) for name, item in value.items()}
    kind = "binary" if isinstance(value, bytes) else f"a {type(value).__name__}"
    reason = f"field {shorten(field)} is {kind}, which JSON cannot hold; leave the column out"
    raise RecordError(reason)
