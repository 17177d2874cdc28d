"""What goes wrong, as HTTP answers: one shape for all, and nothing of the server's insides."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    EncoderError,
    FileFormatError,
    IndexLockedError,
    IndexReplacedError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    SparsearchError,
    StorageError,
    shorten,
)

__all__ = [
    "ServiceError",
    "answer_error",
    "error_response",
    "from_exception",
    "from_validation",
    "on_service_error",
]

_log = logging.getLogger("sparsearch.serve")

_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
}
_CODES_OF_FIELDS = {
    **dict.fromkeys(("query", "queries", "k", "recall", "distinct"), "invalid_query"),
    "filter": "filter",
}
"""Where what is wrong with a field of the body has an error of its own in Python."""


class ServiceError(HTTPException):
    """An answer other than the one asked for.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        For programs: what went wrong, in lower case with underscores.
    message : str
        For people: what went wrong and what to do.
    retry_after : float, optional
        Seconds after which the same request may succeed.
    details : object
        What the error names: position, id, line, stored, ...
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        **details: Any,
    ) -> None:
        headers = {}
        if retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, message, headers or None)
        self.code = code
        self.message = message
        self.details = details


def error_response(error: ServiceError) -> Response:
    """Return the answer that tells of an error."""
    body = {"code": error.code, "message": error.message, **error.details}
    content = to_json({"error": body}, serialize_unknown=True)
    return Response(content, error.status_code, error.headers, "application/json")


def from_exception(error: BaseException) -> ServiceError:
    """Return what a client is told of an exception; what it may not know goes to the log."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "refused")
        answer = ServiceError(error.status_code, code, str(error.detail))
        answer.headers = error.headers  # which methods there are
        return answer
    if isinstance(error, ClientDisconnect):
        reason = "the connection ended before all of the request came"
        return ServiceError(400, "bad_request", reason)
    if isinstance(error, (EncoderError, FileFormatError)):
        # What a client may do wrong about encoders is told where it asks (see `Collection`), and
        # it names no files: these are those of the collection's own model.
        _log.error("encoder: %s", error)
        reason = "the model of this collection cannot be used; see the server's log"
        return ServiceError(500, "encoder", reason)
    if isinstance(error, (InvalidInputError, DocumentNotFoundError)):
        return _from_input(error)
    if isinstance(error, IndexLockedError):
        reason = "another process is writing to this collection; try again later"
        return ServiceError(503, "writer_busy", reason, retry_after=5)
    if isinstance(error, IndexReplacedError):
        reason = (
            "the folder of this collection was moved or replaced; send it again: another index "
            "that is put there is served within a second"
        )
        return ServiceError(503, "index_replaced", reason)
    if isinstance(error, StorageError):
        _log.error("%s", error)
        reason = "the server's disk cannot be used; nothing that was acknowledged is lost"
        return ServiceError(503, "storage_unavailable", reason, retry_after=30)
    _log.error("unexpected", exc_info=error)
    return ServiceError(500, "internal", "something unexpected went wrong; see the server's log")


def _from_input(error: SparsearchError) -> ServiceError:
    details: dict[str, Any] = {}
    if isinstance(error, InvalidDocumentError):
        identifier = error.document_id
        named = identifier if isinstance(identifier, str) and len(identifier) <= 512 else None
        details = {"position": error.position, "id": named}
    elif isinstance(error, InvalidVectorError):
        details = {"position": error.row}
    status = 422
    if isinstance(error, DuplicateIdError):
        status = 409
    elif isinstance(error, DocumentNotFoundError):
        status = 404
    return ServiceError(status, _code_of(error), _unicode(str(error)), **details)


def _code_of(error: SparsearchError) -> str:
    """Return ``invalid_document`` for InvalidDocumentError."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _unicode(text: str) -> str:
    """Return a message as it can be sent: lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def from_validation(errors: Sequence[Mapping[str, Any]]) -> ServiceError:
    """Return what a client is told of a body or parameters that do not fit their schema.

    Parameters
    ----------
    errors : sequence of mapping
        As pydantic gives them: what is wrong (``msg``) and where (``loc``).
    """
    first, *more = errors
    # Which member of a union it was not is said by pydantic as "str" or "list[str]".
    place = [str(part) for part in first["loc"] if part != "str" and "[" not in str(part)]
    where = ".".join(_unicode(shorten(part, 40).strip("'")) for part in place)
    rest = f" (and {len(more)} more)" if more else ""
    code = _CODES_OF_FIELDS.get(place[1], "invalid") if len(place) > 1 else "invalid"
    return ServiceError(422, code, f"{where}: {first['msg']}{rest}", location=where)


def answer_error(error: Exception) -> Response:
    """Return the answer to any exception."""
    if isinstance(error, RequestValidationError):
        return error_response(from_validation(error.errors()))
    return error_response(from_exception(error))


async def on_service_error(request: Request, error: Exception) -> Response:
    """Answer any exception of a route."""
    return answer_error(error)
