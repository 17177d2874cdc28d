"""Checking documents before anything is done with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from sparsearch.errors import (
    IndexCorruptError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    shorten,
)
from sparsearch.index.passages import PASSAGE_FIELDS, cut, passage_id
from sparsearch.strict_json import encode_fields, is_unicode
from sparsearch.vectors import SparseVectors

__all__ = ["Document", "Record", "check_documents", "check_vectors", "decode_payload"]

_TEXT_FIELDS = ("title", "text")
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
_MAX_REPEATED = 32 * 1024 * 1024
"""Characters that id, title and other fields of a document may take in all of its passages."""


def content_of(title: str | None, text: str | None) -> str:
    """Return what is encoded of a document: title and text, on lines of their own."""
    return "\n".join(part for part in (title, text) if part is not None)


@dataclass(frozen=True)
class Document:
    """A stored document.

    Parameters
    ----------
    id : str
    title, text : str or None
    metadata : mapping
        Every other field, as given.
    """

    id: str
    title: str | None
    text: str | None
    metadata: Mapping[str, Any]

    @property
    def content(self) -> str:
        """What was encoded: title and text, on lines of their own."""
        return content_of(self.title, self.text)


class Record(NamedTuple):
    """A document that was checked, ready to be encoded and stored.

    Parameters
    ----------
    id : str
    content : str
        What is encoded: title and text, on lines of their own.
    payload : bytes
        All fields but the id, as UTF-8 JSON.
    metadata : mapping
        The fields besides id, title and text.
    passages : tuple of Record
        What is encoded and stored instead, where texts are cut.
    """

    id: str
    content: str
    payload: bytes
    metadata: Mapping[str, Any]
    passages: tuple[Record, ...] = ()

    @property
    def stored(self) -> tuple[Record, ...]:
        """The records that are encoded and stored for it."""
        return self.passages or (self,)


def check_documents(
    documents: Iterable[object], start: int = 0, passage_length: int | None = None
) -> Iterator[Record]:
    """Check documents one by one.

    Parameters
    ----------
    documents : iterable of mapping
        Each with ``id`` and at least one of ``text`` and ``title``.
    start : int
        Position of the first, for messages.
    passage_length : int, optional
        Cut their texts into passages of so many characters; see `IndexConfig`.

    Raises
    ------
    InvalidDocumentError
        At the first malformed one; those before it have been yielded.
    InvalidInputError
        If `documents` cannot be iterated over.
    """
    if not isinstance(documents, Iterable):
        reason = f"documents must be an iterable of mappings, not {shorten(documents)}"
        raise InvalidInputError(reason)
    for position, document in enumerate(documents, start):
        record = _check_document(position, document)
        yield record if passage_length is None else _in_passages(position, record, passage_length)


def _in_passages(position: int, record: Record, length: int) -> Record:
    """Return a checked document with its passages; each has the title and all other fields."""
    for name in PASSAGE_FIELDS:
        if name in record.metadata:
            reason = f"field {name!r} is kept for passages in this index; name it otherwise"
            raise InvalidDocumentError(position, record.id, reason)
    fields = json.loads(record.payload)
    text = fields.pop("text", None)
    parts = [(0, 0)] if text is None else list(cut(text, length))
    repeated = len(parts) * (len(json.dumps(fields, ensure_ascii=False)) + 2 * len(record.id))
    if repeated > _MAX_REPEATED:
        reason = f"its id, title and other fields would be stored {len(parts):,} times"
        advice = "shorten them, or store what is long in a document of its own"
        raise InvalidDocumentError(position, record.id, f"{reason}, once a passage; {advice}")
    passages = []
    for number, (begin, end) in enumerate(parts, start=1):
        own = dict(zip(PASSAGE_FIELDS, (record.id, number, begin), strict=True))
        piece = {} if text is None else {"text": text[begin:end]}
        stored_id = passage_id(record.id, number)
        passages.append(_record(position, stored_id, {**fields, **piece, **own}))
    return record._replace(passages=tuple(passages))


def _check_id(position: int, document_id: object) -> str:
    """Return a document id; raise InvalidDocumentError if it cannot be one."""
    if not isinstance(document_id, str):
        kind = type(document_id).__name__
        raise InvalidDocumentError(position, document_id, f"the id must be a string, not {kind}")
    if not document_id:
        raise InvalidDocumentError(position, None, "the id is empty")
    if not is_unicode(document_id):
        reason = "id holds a lone surrogate, which is not valid Unicode"
        raise InvalidDocumentError(position, document_id, reason)
    return document_id


def decode_payload(document_id: str, payload: bytes) -> Document:
    """Return the document stored as ``payload``; raise IndexCorruptError if it is damaged."""
    try:
        fields: dict[str, Any] = json.loads(payload.decode())
        title, text = fields.pop("title", None), fields.pop("text", None)
    except (ValueError, AttributeError) as error:
        raise IndexCorruptError(
            f"the stored fields of document {shorten(document_id)} cannot be read; "
            "`sparsearch verify` says what is damaged; restore it from a backup"
        ) from error
    return Document(document_id, title, text, fields)


def _check_document(position: int, document: object) -> Record:
    if not isinstance(document, Mapping):
        kind = type(document).__name__
        raise InvalidDocumentError(position, None, f"a document must be a mapping, not {kind}")
    if "id" not in document:
        raise InvalidDocumentError(position, None, "it has no id; give each one an 'id' string")
    document_id = _check_id(position, document["id"])
    return _record(position, document_id, document, needs_text=True)


def _record(
    position: int, document_id: str, document: Mapping[Any, Any], *, needs_text: bool = False
) -> Record:
    fields = _fields(position, document_id, document)
    title, text = (_text(position, document_id, n, fields.get(n)) for n in _TEXT_FIELDS)
    if needs_text and title is None and text is None:
        raise InvalidDocumentError(position, document_id, "it has neither text nor title")
    try:
        payload = encode_fields(fields)
    except InvalidInputError as error:
        raise InvalidDocumentError(position, document_id, str(error)) from error
    metadata = {name: value for name, value in fields.items() if name not in _TEXT_FIELDS}
    # Copies: the caller may fill the same list anew for the next document.
    columns = {n: v.copy() if isinstance(v, list) else v for n, v in metadata.items()}
    return Record(document_id, content_of(title, text), payload, columns)


def _fields(position: int, document_id: str, document: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return all fields but the id; those of a mapping called ``metadata`` are fields themselves.

    So what `Document.metadata` holds can be given back under its name.
    """
    fields = {name: value for name, value in document.items() if name != "id"}
    nested = fields.get("metadata")
    if not isinstance(nested, dict):
        return fields
    del fields["metadata"]
    for name in nested:
        if name in fields or name in ("id", *_TEXT_FIELDS):
            reason = f"field {shorten(name)} of its metadata has the name of another field"
            raise InvalidDocumentError(position, document_id, f"{reason}; rename one")
    return fields | nested


def _text(position: int, document_id: str, name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    reason = f"its {name} must be a string, not {type(value).__name__}"
    raise InvalidDocumentError(position, document_id, reason)


def check_vectors(
    ids: Sequence[str],
    vectors: SparseVectors,
    documents: Sequence[Mapping[str, Any]] | None,
    start: int = 0,
) -> Iterable[Record]:
    """Check documents that come with their vectors: all of them, before any is returned.

    Parameters
    ----------
    ids : sequence of str
    vectors : SparseVectors
    documents : sequence of mapping, optional
    start : int
        Position of the first, for messages.

    Raises
    ------
    InvalidInputError
        If there is not one id and one document a vector.
    InvalidVectorError
        If a weight is negative.
    InvalidDocumentError
        If an id or a document is malformed.
    """
    for what, given in (("ids", ids), ("documents", documents)):
        is_sized = hasattr(given, "__len__") and not isinstance(given, (str, bytes))
        if given is not None and not is_sized:
            reason = f"{what} are {shorten(given)}, not a sequence; list(...) makes one of what can"
            raise InvalidInputError(f"{reason} be iterated over")
    if not isinstance(vectors, SparseVectors):
        reason = f"vectors are {shorten(vectors)}, not SparseVectors"
        raise InvalidInputError(f"{reason}; SparseVectors.from_dicts makes them of dicts")
    if len(ids) != len(vectors):
        raise InvalidInputError(f"{len(ids)} ids were given for {len(vectors)} vectors")
    if documents is not None and len(documents) != len(vectors):
        reason = f"{len(documents)} documents were given for {len(vectors)} vectors"
        raise InvalidInputError(reason)
    negative = np.flatnonzero(vectors.weights < 0)
    if len(negative):
        at = int(negative[0])
        row = int(np.searchsorted(vectors.offsets, at, side="right")) - 1
        term = int(vectors.term_ids[at])
        named = term if vectors.vocabulary is None else repr(vectors.vocabulary.term(term))
        reason = f"term {named} has the negative weight {vectors.weights[at]}"
        raise InvalidVectorError(start + row, f"{reason}; document weights must not be negative")
    if documents is None:
        # A million records held at once would keep the garbage collector busy.
        return map(_without_fields, [_check_id(*numbered) for numbered in enumerate(ids, start)])
    return [
        _with_vector(position, document_id, fields)
        for position, (document_id, fields) in enumerate(zip(ids, documents, strict=True), start)
    ]


def _with_vector(position: int, document_id: object, fields: object) -> Record:
    if not isinstance(fields, Mapping):
        kind = type(fields).__name__
        raise InvalidDocumentError(
            position, document_id, f"a document must be a mapping, not {kind}"
        )
    checked_id = _check_id(position, document_id)
    return _record(position, checked_id, fields) if fields else _without_fields(checked_id)


def _without_fields(checked_id: str) -> Record:
    return Record(checked_id, "", b"{}", _NO_FIELDS)
