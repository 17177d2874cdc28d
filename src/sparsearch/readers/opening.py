"""Find out what a path holds and return the source that reads it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from sparsearch.errors import FileFormatError, InvalidInputError, shorten
from sparsearch.files import as_path
from sparsearch.readers.delimited import CsvSource, TsvSource
from sparsearch.readers.fields import DETECT, FieldMapping
from sparsearch.readers.jsonl import BeirSource, JsonlSource, beir_corpus
from sparsearch.readers.parquet import ParquetSource
from sparsearch.readers.source import ErrorHandler, Source
from sparsearch.readers.text import TextSource

__all__ = ["FORMATS", "open_source"]

_SOURCES: dict[str, type[Source]] = {
    source.format: source
    for source in (JsonlSource, CsvSource, TsvSource, ParquetSource, BeirSource, TextSource)
}

FORMATS = tuple(_SOURCES)
"""Names of the formats."""

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
}


def open_source(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    fields: FieldMapping = DETECT,
    on_error: ErrorHandler | None = None,
) -> Source:
    """Open a file or folder as a sequence of documents.

    ========= ================================================== =============================
    format    what it is                                         detected by
    ========= ================================================== =============================
    jsonl     one JSON object per line                           ``.jsonl .ndjson``
    csv       table with a header row, fields may be quoted      ``.csv``
    tsv       table with a header row, no quoting                ``.tsv .tab``
    parquet   table (needs the extra ``parquet``)                ``.parquet .pq``
    beir      folder in BEIR layout                              ``corpus.jsonl[.gz]`` in it
    text      folder of plain text files, or one such file       ``.txt .text .md .markdown .rst``
    ========= ================================================== =============================

    All of them but Parquet may be compressed with gzip, whatever they are called.

    Parameters
    ----------
    path : str or PathLike
        The file or folder.
    format : str, optional
        One of `FORMATS`; detected when left out.
    fields : FieldMapping
        Which fields are the id, title and text.
    on_error : callable, optional
        Called with the error of each malformed record, which is then left out; see `Source`.

    Raises
    ------
    FileFormatError
        When the path does not exist or cannot be read, or is no such file or folder as the
        format needs.
    InvalidInputError
        When the format is unknown or cannot be detected.
    MissingExtraError
        When the format is Parquet and pyarrow is not installed.
    """
    if not isinstance(fields, FieldMapping):
        raise InvalidInputError(f"fields are {shorten(fields)}, not a FieldMapping")
    source_path = as_path(path)
    try:
        is_folder = stat.S_ISDIR(source_path.stat().st_mode)
    except FileNotFoundError as error:
        raise FileFormatError(path, None, "does not exist") from error
    except (OSError, ValueError) as error:
        raise FileFormatError(path, None, f"cannot be read: {error}") from error
    if format is None:
        format = _folder_format(source_path) if is_folder else _file_format(source_path)
    if format not in _SOURCES:
        raise InvalidInputError(f"unknown format {shorten(format)}; {_choices()}")
    if is_folder and format not in ("beir", "text"):
        raise FileFormatError(path, None, f"is a folder; {format} is a single file")
    if not is_folder and format == "beir":
        raise FileFormatError(path, None, "is a file; beir is a folder with corpus.jsonl in it")
    return _SOURCES[format](source_path, fields, on_error)


def _file_format(path: Path) -> str:
    found = _by_suffix(path.name)
    if found is None:
        raise InvalidInputError(f"{path}: no known format by its name; {_choices()}")
    return found


def _folder_format(folder: Path) -> str:
    """Tell the format of a folder; one that mixes text and tables is not guessed at."""
    if beir_corpus(folder) is not None:
        return "beir"
    found = set(map(_by_suffix, _names_to_read(folder)))
    if found - {None} == {"text"}:
        return "text"
    tables = sorted(found - {None, "text"}, key=str)
    if tables:
        kinds = ", ".join(map(str, tables))
        advice = "give one of them, or --format text to read each file as a text"
        raise InvalidInputError(f"{folder}: holds {kinds} files; {advice}")
    reason = "is a folder that holds neither corpus.jsonl nor text files"
    raise InvalidInputError(f"{folder}: {reason}; {_choices()}")


def _names_to_read(folder: Path) -> Iterator[str]:
    """Yield the names of the files below a folder, without those that are hidden."""
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (name for name in names if not name.startswith("."))


def _by_suffix(name: str) -> str | None:
    stem = name.lower().removesuffix(".gz")
    return _SUFFIXES.get(os.path.splitext(stem)[1])


def _choices() -> str:
    return f"choose one with --format: {', '.join(FORMATS)}"
