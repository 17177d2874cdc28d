"""What every source of records has in common: progress, resuming, and what to do with bad ones."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path

from sparsearch.errors import FileFormatError, InvalidInputError, SourceChangedError
from sparsearch.files import TextFile
from sparsearch.readers.fields import FieldMapping, RecordError

__all__ = ["ErrorHandler", "LineSource", "Source"]

ErrorHandler = Callable[[FileFormatError], None]


class Source(ABC):
    """Files on disk as a sequence of documents, always in the same order.

    Parameters
    ----------
    path : Path
        File or folder.
    fields : FieldMapping
        Which fields are the id, title and text.
    on_error : callable, optional
        Given the `FileFormatError` of each record that cannot be used, which is then left out;
        without it the error is raised. Damage that ends the reading (a cut gzip file, a missing
        header) is always raised.

    Attributes
    ----------
    format : str
        Name of the format.
    path : Path
        File or folder, as given.
    skipped : list of (str, str)
        Files of a folder that are not read, each with the reason; complete after reading.
    """

    format: str

    def __init__(self, path: Path, fields: FieldMapping, on_error: ErrorHandler | None) -> None:
        self.path = path
        self.fields = fields
        self.skipped: list[tuple[str, str]] = []
        self._on_error = on_error

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes on disk to read in all."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Bytes on disk read so far; grows to `size` as the records are consumed."""

    def records(self, skip: int = 0) -> Generator[dict[str, object], None, None]:
        """Yield the documents in order.

        Parameters
        ----------
        skip : int
            How many documents an earlier, interrupted run has consumed; they are read over (and
            the bad records among them given to `on_error` again). Both runs must treat errors
            the same way.

        Yields
        ------
        dict
            ``id`` (str), ``title`` and ``text`` (str, one may be absent), and metadata.

        Raises
        ------
        FileFormatError
            On a malformed record, when there is no `on_error`; on damage that ends the reading.
        InvalidInputError
            When `skip` is negative.
        SourceChangedError
            When there are fewer than `skip` documents.
        """
        if skip < 0:
            raise InvalidInputError(f"skip must be 0 or more, not {skip}")
        return self._records_after(skip)

    def _records_after(self, skip: int) -> Generator[dict[str, object], None, None]:
        records = self._read()
        found = sum(1 for _ in islice(records, skip))
        if found < skip:
            path = os.path.abspath(self.path)
            reason = f"{path} holds {found} documents, but {skip} were read from it before"
            raise SourceChangedError(f"{reason}; index it again from the start")
        yield from records

    @abstractmethod
    def _read(self) -> Iterator[dict[str, object]]:
        """Yield all documents."""

    def _report(self, error: FileFormatError) -> None:
        """Hand the error of one record to `on_error`, or raise it."""
        if self._on_error is None:
            raise error
        self._on_error(error)


class LineSource(Source):
    """A source that is one text file, whose lines `_read_file` makes into documents."""

    def __init__(self, path: Path, fields: FieldMapping, on_error: ErrorHandler | None) -> None:
        super().__init__(path, fields, on_error)
        self._text_path = self._find_text()
        self._size = self._text_path.stat().st_size
        self._file: TextFile | None = None

    def _find_text(self) -> Path:
        return self.path

    @property
    def size(self) -> int:
        """Bytes of the file on disk."""
        return self._size

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return 0 if self._file is None else self._file.position

    def _read(self) -> Iterator[dict[str, object]]:
        # Opened no earlier than here: what is read ahead of a pipe would be lost.
        with TextFile(self._text_path) as self._file:
            yield from self._read_file(self._file)

    @abstractmethod
    def _read_file(self, file: TextFile) -> Iterator[dict[str, object]]:
        """Yield the documents of the opened file."""

    def _report_record(self, file: TextFile, number: int, error: RecordError) -> None:
        self._report(FileFormatError(file.path, number, f"{error}{file.hint}"))
