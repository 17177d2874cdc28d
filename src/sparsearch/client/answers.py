"""Answers of the service that tell of errors, as the errors `Index` would raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparsearch import errors
from sparsearch.errors import (
    DuplicateIdError,
    IndexLockedError,
    IndexNotFoundError,
    InvalidDocumentError,
    InvalidVectorError,
    SparsearchError,
)

__all__ = ["error_from_answer"]


_BY_CODE: dict[str, type[SparsearchError]] = {
    "collection_not_found": IndexNotFoundError,
    "document_not_found": errors.DocumentNotFoundError,
    "encoder": errors.EncoderError,
    "encoder_unavailable": errors.EncoderUnavailableError,
    "vocabulary_mismatch": errors.VocabularyMismatchError,
    "filter": errors.FilterError,
    "invalid_query": errors.InvalidQueryError,
    "read_only": IndexLockedError,
    "writer_busy": IndexLockedError,
    "storage_unavailable": errors.StorageUnavailableError,
    "index_replaced": errors.IndexReplacedError,
}
_BY_STATUS: dict[int, type[SparsearchError]] = {
    401: errors.AccessDeniedError,
    403: errors.AccessDeniedError,
    404: errors.NotFoundError,
    429: errors.ServiceUnavailableError,
    503: errors.ServiceUnavailableError,
}


def error_from_answer(status: int, answer: object, offset: int = 0) -> SparsearchError:
    """Return the error that an answer tells of.

    Parameters
    ----------
    status : int
        HTTP status, 400 or above.
    answer : object
        The JSON value of the answer, or None if it is something else.
    offset : int
        Added to the position that it names.
    """
    body = _told(answer)
    code, message = str(body.get("code", "")), str(body.get("message", f"HTTP status {status}"))
    if code in ("invalid_document", "duplicate_id") and isinstance(body.get("position"), int):
        kind = DuplicateIdError if code == "duplicate_id" else InvalidDocumentError
        reason = message.partition(": ")[2]
        return kind(offset + body["position"], body.get("id"), reason)
    if code == "invalid_vector":
        row = body.get("position")
        if not isinstance(row, int):
            return InvalidVectorError(None, message)
        return InvalidVectorError(offset + row, message.partition(": ")[2])
    kind_of_code = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind_of_code is None:
        kind_of_code = errors.InvalidInputError if status < 500 else errors.ServiceUnavailableError
    return kind_of_code(message)


def _told(answer: object) -> Mapping[str, Any]:
    """Return what an answer tells of an error: nothing, if it is a gateway's own."""
    told = answer.get("error") if isinstance(answer, dict) else None
    return told if isinstance(told, dict) else {}
