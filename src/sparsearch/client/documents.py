"""Documents on their way to a service: checked, encoded, and put into portions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sparsearch.errors import InvalidDocumentError, InvalidInputError, shorten
from sparsearch.strict_json import encode_fields
from sparsearch.vectors import SparseVectors

__all__ = ["PORTION", "Portion", "portions", "weights_by_name", "with_vectors"]

PORTION = 500
"""Documents, or queries, sent at once."""

_PORTION_BYTES = 4 * 1024 * 1024
"""A service takes 16 MB in one body, unless it is told otherwise."""


class Portion(NamedTuple):
    """Documents that go into one request.

    Parameters
    ----------
    documents : list of bytes
        Each as JSON.
    offset : int
        Position of the first among all that the caller gave.
    """

    documents: list[bytes]
    offset: int


def portions(documents: Iterable[Mapping[str, Any]]) -> Iterator[Portion]:
    """Yield documents in portions.

    Raises
    ------
    InvalidDocumentError
        At the first that JSON cannot hold as it is; those before it have been yielded.
    InvalidInputError
        If `documents` cannot be iterated over.
    """
    if not isinstance(documents, Iterable):
        reason = f"documents must be an iterable of mappings, not {shorten(documents)}"
        raise InvalidInputError(reason)
    portion, size = Portion([], 0), 0
    for position, document in enumerate(documents):
        try:
            encoded = _encoded(position, document)
        except InvalidDocumentError:
            if portion.documents:
                yield portion
            raise
        count = len(portion.documents)
        if count and (count == PORTION or size + len(encoded) > _PORTION_BYTES):
            yield portion
            portion, size = Portion([], position), 0
        portion.documents.append(encoded)
        size += len(encoded)
    if portion.documents:
        yield portion


def with_vectors(
    ids: Sequence[str], vectors: SparseVectors, fields: Sequence[Mapping[str, Any]] | None
) -> Iterator[Mapping[str, Any]]:
    """Yield documents with their vectors, as a service takes them.

    Raises
    ------
    InvalidInputError
        If there is not one id and one document a vector.
    InvalidDocumentError
        If a document has a field ``vector`` of its own.
    """
    if isinstance(ids, str) or len(ids) != len(vectors):
        raise InvalidInputError(f"{len(ids)} ids were given for {len(vectors)} vectors")
    given = [{}] * len(ids) if fields is None else fields
    if len(given) != len(vectors):
        raise InvalidInputError(f"{len(given)} documents were given for {len(vectors)} vectors")
    for start in range(0, len(ids), PORTION):
        for i, row in enumerate(vectors[start : start + PORTION].to_dicts(), start):
            if not isinstance(given[i], Mapping):
                raise _no_mapping(i, ids[i], given[i])
            if "vector" in given[i]:
                reason = (
                    "a service keeps the name 'vector' for its vector; name the field otherwise"
                )
                raise InvalidDocumentError(i, ids[i], reason)
            yield {**given[i], "id": ids[i], "vector": weights_by_name(row)}


def weights_by_name(row: Mapping[Any, float]) -> dict[str, float]:
    """Return a vector as JSON has it."""
    return {str(term): float(weight) for term, weight in row.items()}


def _encoded(position: int, document: object) -> bytes:
    if not isinstance(document, Mapping):
        raise _no_mapping(position, None, document)
    try:
        return encode_fields(dict(document))
    except InvalidInputError as error:
        raise InvalidDocumentError(position, document.get("id"), str(error)) from error


def _no_mapping(position: int, document_id: object, found: object) -> InvalidDocumentError:
    reason = f"a document must be a mapping, not {type(found).__name__}"
    return InvalidDocumentError(position, document_id, reason)
