"""What models learn from: queries with documents, and perhaps the scores of a teacher."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from sparsearch.errors import FileFormatError, InvalidInputError, MissingExtraError, shorten
from sparsearch.files import TextFile, write_lines
from sparsearch.readers.fields import RecordError
from sparsearch.readers.jsonl import parse_object

__all__ = ["Example", "examples_from", "read_examples", "write_examples"]

QUERY_FIELDS = ("query", "anchor", "question")
POSITIVE_FIELDS = ("positive", "pos", "answer")
NEGATIVE_FIELDS = ("negatives", "negative", "neg")
"""Names looked for, in this order."""


@dataclass(frozen=True)
class Example:
    """A query and its documents.

    Parameters
    ----------
    query : str
    documents : tuple of str
        The relevant one first, then others that are not, or less, relevant.
    scores : tuple of float, optional
        A teacher's score of each document.

    Raises
    ------
    InvalidInputError
        When a text is blank, there is no document, or scores do not fit.
    """

    query: str
    documents: tuple[str, ...]
    scores: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.documents:
            raise InvalidInputError("the query has no document")
        for text in (self.query, *self.documents):
            if not isinstance(text, str) or not text.strip():
                raise InvalidInputError(f"a text is {shorten(text)}; it must not be blank")
        if self.scores is not None:
            if len(self.scores) != len(self.documents):
                counts = f"{len(self.documents)} documents but {len(self.scores)} scores"
                raise InvalidInputError(f"the query has {counts}")
            if not all(_finite(score) for score in self.scores):
                raise InvalidInputError(f"scores {shorten(self.scores)} are not all finite numbers")

    @property
    def positive(self) -> str:
        """The document that answers the query."""
        return self.documents[0]


def examples_from(records: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Yield the examples that records hold.

    A record has a query (``query``, ``anchor`` or ``question``) and either

    - a positive (``positive``, ``pos`` or ``answer``) and perhaps negatives (``negative``, ``neg``,
      ``negatives``, each a string or a list, or ``negative_1``, ``negative_2``, ...), or
    - ``documents``, a list, the relevant one first,

    and perhaps ``scores``, one a document. Other fields mean nothing here.

    Raises
    ------
    InvalidInputError
        At the first record that is none of these; names its one-based number.
    """
    number = 0
    try:
        for record in records:
            number += 1
            yield _example(record)
    except InvalidInputError as error:
        raise InvalidInputError(f"record {number}: {error}") from error


def read_examples(path: str | PathLike[str]) -> list[Example]:
    """Read the examples of a JSONL file, a Parquet file, or a folder saved by `datasets`.

    Raises
    ------
    FileFormatError
        When it cannot be read or holds a malformed record (see `examples_from`); names the line.
    MissingExtraError
        When the package for its format is not installed.
    """
    path = Path(path)
    if path.is_dir():
        rows = _saved_dataset(path)
    elif path.suffix == ".parquet":
        rows = _parquet(path)
    else:
        rows = _jsonl(path)
    examples = []
    number = 0
    try:
        for number, row in rows:  # noqa: B007 - named by the error
            examples.append(_example(row))
    except FileFormatError:
        raise
    except InvalidInputError as error:
        raise FileFormatError(path, number, str(error)) from error
    if not examples:
        raise FileFormatError(path, None, "there are no examples in it")
    return examples


def write_examples(path: str | PathLike[str], examples: Iterable[Example]) -> None:
    """Write examples as JSONL, which `read_examples` reads."""
    write_lines(path, (_line(example) for example in examples))


def _line(example: Example) -> str:
    record: dict[str, Any] = {"query": example.query, "documents": list(example.documents)}
    if example.scores is not None:
        record["scores"] = list(example.scores)
    return json.dumps(record, ensure_ascii=False) + "\n"


def _example(record: Mapping[str, Any]) -> Example:
    if not isinstance(record, Mapping):
        raise InvalidInputError(f"it is {shorten(record)}, not a mapping")
    query = _first(record, QUERY_FIELDS)
    if "documents" in record:
        documents = _strings("documents", record["documents"])
    else:
        documents = [_first(record, POSITIVE_FIELDS), *_negatives(record)]
    scores = record.get("scores")
    if scores is not None and not isinstance(scores, Sequence):
        raise InvalidInputError(f"scores is {shorten(scores)}, not a list")
    return Example(query, tuple(documents), None if scores is None else tuple(scores))


def _negatives(record: Mapping[str, Any]) -> Iterator[str]:
    numbered = [name for name in record if _numbered(name)]
    for name in (*NEGATIVE_FIELDS, *sorted(numbered, key=lambda name: int(name[9:]))):
        if record.get(name) is not None:
            value = record[name]
            yield from [value] if isinstance(value, str) else _strings(name, value)


def _numbered(name: object) -> bool:
    return isinstance(name, str) and name.startswith("negative_") and name[9:].isdecimal()


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if name in record:
            value = record[name]
            if not isinstance(value, str):
                raise InvalidInputError(f"{name} is {shorten(value)}, not a string")
            return value
    fields = ", ".join(map(str, record)) or "none"
    raise InvalidInputError(f"no field {' or '.join(names)}; its fields: {shorten(fields, 200)}")


def _strings(name: str, value: object) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InvalidInputError(f"{name} is {shorten(value)}, not a list")
    return list(value)


def _finite(score: object) -> bool:
    number = isinstance(score, (int, float)) and not isinstance(score, bool)
    return number and math.isfinite(score)  # type: ignore[arg-type]


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with TextFile(path) as file:
        for number, line in file:
            if line.strip():
                try:
                    yield number, parse_object(line)
                except RecordError as error:
                    raise FileFormatError(path, number, f"{error}{file.hint}") from error


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        raise FileFormatError(path, None, f"cannot be read as Parquet: {error}") from error


def _saved_dataset(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        from datasets import Dataset, load_from_disk
    except ImportError as error:
        raise MissingExtraError("datasets", "train") from error
    try:
        dataset = load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise FileFormatError(path, None, f"not a folder saved by datasets: {error}") from error
    if not isinstance(dataset, Dataset):
        parts = ", ".join(dataset)
        raise FileFormatError(path, None, f"it holds several splits ({parts}); give one's folder")
    yield from enumerate(dataset, start=1)
