"""Sparse vectors as JSON lines, the form of Anserini's ``JsonVectorCollection``.

One object per line: ``{"id": "d1", "contents": "...", "vector": {"term": 1.5, ...}}``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sparsearch.errors import FileFormatError, InvalidInputError, InvalidVectorError, shorten
from sparsearch.files import TextFile, replacing
from sparsearch.strict_json import parse_object
from sparsearch.vectors.batch import SparseVectors
from sparsearch.vectors.vocabulary import Vocabulary

__all__ = ["VectorBatch", "free_names", "read_json_vectors", "write_json_vectors"]

_MAX_BATCH_ENTRIES = 1 << 21
"""A batch ends early when it has this many weights, so that long vectors cannot fill the memory."""

_ID_NAMES = ("id", "_id")
_CONTENTS_NAMES = ("contents", "text")
_RESERVED = {*_ID_NAMES, *_CONTENTS_NAMES, "vector"}


@dataclass(frozen=True)
class VectorBatch:
    """Consecutive records of a vector collection.

    Parameters
    ----------
    ids : sequence of str
        Document or query ids.
    contents : sequence of str
        Their texts; empty strings where there is none.
    vectors : SparseVectors
        One row per id.
    metadata : sequence of dict, optional
        All other fields of each record; by default there are none.

    Raises
    ------
    InvalidInputError
        When the lengths differ.
    """

    ids: Sequence[str]
    contents: Sequence[str]
    vectors: SparseVectors
    metadata: Sequence[dict[str, Any]] = ()

    def __post_init__(self) -> None:
        if not self.metadata:
            object.__setattr__(self, "metadata", [{} for _ in self.ids])
        lengths = [len(self.ids), len(self.contents), len(self.vectors), len(self.metadata)]
        if len(set(lengths)) != 1:
            names = "ids, contents, vectors and metadata"
            raise InvalidInputError(f"{names} differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> VectorBatch:
        """Return the records of a slice."""
        parts = self.ids[rows], self.contents[rows], self.vectors[rows], self.metadata[rows]
        return VectorBatch(*parts)


def read_json_vectors(
    path: str | PathLike[str], *, batch_size: int = 1000, vocabulary: Vocabulary | None = None
) -> Iterator[VectorBatch]:
    """Read a file of JSON vectors, plain or gzip, batch by batch.

    The id may be called ``id`` or ``_id`` and be a string or an integer, the text ``contents`` or
    ``text``; it may be absent. Every line is a record: blank ones are refused.

    Parameters
    ----------
    path : str or PathLike
        The file.
    batch_size : int
        Most records of a batch.
    vocabulary : Vocabulary, optional
        Terms that already have ids; new ones are added to it. By default a new one, which all
        batches share.

    Yields
    ------
    VectorBatch
        In the order of the file.

    Raises
    ------
    FileFormatError
        On the first malformed line, with its number: not a JSON object, a key given twice, a bad
        id, a weight that is not a finite number, ... Batches before it have been yielded.
    """
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1, not {batch_size}")
    terms = Vocabulary() if vocabulary is None else vocabulary
    with TextFile(path) as lines:
        pending = _Pending(path, first_line=1)
        for number, line in lines:
            try:
                pending.append(_parse(line))
            except ValueError as error:
                raise FileFormatError(path, number, f"{error}{lines.hint}") from error
            if len(pending.records) == batch_size or pending.entries >= _MAX_BATCH_ENTRIES:
                yield pending.to_batch(terms)
                pending = _Pending(path, first_line=number + 1)
        if pending.records:
            yield pending.to_batch(terms)


def write_json_vectors(path: str | PathLike[str], batches: Iterable[VectorBatch]) -> int:
    """Write batches of vectors as JSON lines and return the number of records.

    The file appears whole or not at all, and is compressed when its name ends in ``.gz``. Weights
    have the fewest digits that read back as the same float32. Terms of vectors without a
    vocabulary are written as their ids, and read back as strings.

    Parameters
    ----------
    path : str or PathLike
        The file.
    batches : iterable of VectorBatch
        The records.

    Raises
    ------
    InvalidInputError
        When an id is not a non-empty string, contents are not a string, or metadata cannot be
        written as JSON or uses a reserved name.
    """
    count = 0
    with replacing(path) as file:
        if fspath(path).endswith(".gz"):
            # No name and no time in the header: the same vectors make the same file.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            with cast(BinaryIO, packed) as stream:
                count = sum(_write_batch(stream, batch) for batch in batches)
        else:
            count = sum(_write_batch(file, batch) for batch in batches)
    return count


@dataclass(frozen=True)
class _Record:
    id: str
    contents: str
    vector: dict[str, Any]
    metadata: dict[str, Any]


@dataclass
class _Pending:
    """Records of consecutive lines, until there are enough for a batch."""

    path: str | PathLike[str]
    first_line: int
    records: list[_Record] = field(default_factory=list)
    entries: int = 0

    def append(self, record: _Record) -> None:
        self.records.append(record)
        self.entries += len(record.vector)

    def to_batch(self, vocabulary: Vocabulary) -> VectorBatch:
        rows = [record.vector for record in self.records]
        try:
            vectors = SparseVectors.from_dicts(rows, vocabulary, extend=True)
        except InvalidVectorError as error:
            line = None if error.row is None else self.first_line + error.row
            raise FileFormatError(self.path, line, error.reason) from error
        return VectorBatch(
            [record.id for record in self.records],
            [record.contents for record in self.records],
            vectors,
            [record.metadata for record in self.records],
        )


def _parse(line: str) -> _Record:
    """Return the record of one line; raises ValueError with the reason."""
    if not line.strip():
        raise InvalidInputError("blank line; remove it")
    fields = parse_object(line)
    vector = fields.get("vector")
    if not isinstance(vector, dict):
        what = f"is {shorten(vector)}" if "vector" in fields else "is missing"
        raise InvalidInputError(f"'vector' {what}; it must be an object of term to weight")
    contents = _one_of(fields, _CONTENTS_NAMES, "")
    if not isinstance(contents, str):
        raise InvalidInputError(f"contents {shorten(contents)} are not a string")
    metadata = {name: value for name, value in fields.items() if name not in _RESERVED}
    return _Record(_parse_id(fields), contents, vector, metadata)


def _parse_id(fields: dict[str, Any]) -> str:
    identifier = _one_of(fields, _ID_NAMES, None)
    if identifier is None:
        raise InvalidInputError("there is no 'id'")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)  # as Anserini reads it
    if not isinstance(identifier, str) or not identifier:
        reason = f"id {shorten(identifier)} is neither a non-empty string nor an integer"
        raise InvalidInputError(reason)
    return identifier


def _one_of(fields: dict[str, Any], names: tuple[str, str], default: Any) -> Any:
    if all(name in fields for name in names):
        raise InvalidInputError(f"both {names[0]!r} and {names[1]!r} are given; keep one")
    return fields.get(names[0], fields.get(names[1], default))


def _write_batch(stream: BinaryIO, batch: VectorBatch) -> int:
    vectors = batch.vectors
    keys = vectors.term_ids.tolist()
    if vectors.vocabulary is not None:
        keys = list(map(vectors.vocabulary.terms().__getitem__, keys))
    weights, bounds = _shortest(vectors.weights).tolist(), vectors.offsets.tolist()
    records = zip(batch.ids, batch.contents, batch.metadata, bounds, bounds[1:], strict=False)
    for row, (identifier, contents, metadata, start, stop) in enumerate(records):
        _check_record(row, identifier, contents, metadata)
        vector = dict(zip(keys[start:stop], weights[start:stop], strict=True))
        record = {"id": identifier, "contents": contents, **metadata, "vector": vector}
        try:
            text = json.dumps(record, ensure_ascii=False, allow_nan=False)
            stream.write(text.encode() + b"\n")
        except (TypeError, ValueError, RecursionError) as error:
            reason = f"row {row} (id {shorten(identifier)}) cannot be written as JSON: {error}"
            raise InvalidInputError(reason) from error
    return len(batch)


def _check_record(row: int, identifier: object, contents: object, metadata: dict[str, Any]) -> None:
    if not isinstance(identifier, str) or not identifier:
        reason = f"the id of row {row} is {shorten(identifier)}, not a non-empty string"
        raise InvalidInputError(reason)
    if not isinstance(contents, str):
        reason = f"the contents of row {row} are {shorten(contents)}, not a string"
        raise InvalidInputError(reason)
    reserved = sorted(_RESERVED & metadata.keys())
    if reserved:
        reason = f"row {row} (id {shorten(identifier)}): metadata uses reserved names {reserved}"
        reason += "; free_names changes them"
        raise InvalidInputError(reason)


def free_names(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with `_` put behind the names that a line of vectors has for itself.

    Those are ``id``, ``_id``, ``contents``, ``text`` and ``vector``, which `write_json_vectors`
    refuses.
    """
    free: dict[str, Any] = {}
    for name, value in metadata.items():
        other = name
        while other in _RESERVED or (other != name and other in metadata):
            other += "_"
        free[other] = value
    return free


def _shortest(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the float64 numbers of fewest digits that read back as the same float32."""
    short = weights.astype(np.str_).astype(np.float64)
    # Rounding twice, to float64 and then to float32, might in theory miss by one.
    return np.where(short.astype(np.float32) == weights, short, weights.astype(np.float64))
