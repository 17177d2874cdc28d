"""Routes whose JSON bodies and query parameters are read strictly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.serve.access import admit
from sparsearch.serve.errors import ServiceError
from sparsearch.strict_json import parse_json

__all__ = ["StrictRequest", "StrictRoute"]

_LARGE = 64 * 1024


class StrictRequest(Request):
    """A request that refuses JSON that is ambiguous or cannot be stored."""

    async def json(self) -> Any:
        """Return the body's value."""
        body = await self.body()
        try:
            if len(body) < _LARGE:
                return parse_json(body)
            return await asyncio.to_thread(parse_json, body)
        except InvalidInputError as error:
            raise ServiceError(400, "bad_json", f"the body: {error}") from error


def _has_json(request: Request) -> bool:
    """Whether the body is said to be JSON; none at all is for the schema to refuse."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    empty = request.headers.get("content-length", "0") == "0"
    no_body = empty and "transfer-encoding" not in request.headers
    return no_body or kind == "application/json" or kind.endswith("+json")


def _check_parameters(request: Request, known: Sequence[str]) -> None:
    """Refuse query parameters that nothing reads, which may be others misspelt, or given twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            reason = f"there is no such parameter here; known are: {', '.join(known) or 'none'}"
        elif names.count(name) > 1:
            reason = "it is given twice"
        else:
            continue
        raise ServiceError(422, "invalid", f"query parameter {shorten(name)}: {reason}")


class StrictRoute(APIRoute):
    """A route whose request is a `StrictRequest`, and has a key before its body is read.

    A body of another type than JSON is refused, where one of JSON is asked for, and so are unknown
    query parameters.

    What the key is good for turns out later, when the collection is known.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handler = super().get_route_handler()
        known = [parameter.alias for parameter in self.dependant.query_params]

        async def strictly(request: Request) -> Response:
            admit(request, "read")
            _check_parameters(request, known)
            if self.body_field is not None and not _has_json(request):
                reason = "send the header 'Content-Type: application/json'"
                raise ServiceError(415, "unsupported_media_type", reason)
            return await handler(StrictRequest(request.scope, request.receive))

        return strictly
