"""Requests that read, answered without the framework's routing and dependencies.

These take longer than a search. Here a plain request goes to the function of its route at once. All
others go on to the framework, which knows the same routes, describes them in OpenAPI and says what
is wrong with what is not plain. A test holds both ways to the same answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import get_type_hints

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from sparsearch.serve.access import Service, admit
from sparsearch.serve.errors import answer_error, from_validation
from sparsearch.serve.strict_route import StrictRequest

__all__ = ["Express"]

_PREFIX = "/v1/collections/"


@dataclass(frozen=True)
class _Operation:
    route: APIRoute
    model: type[BaseModel]

    async def answer(self, request: StrictRequest, service: Service, name: str) -> Response:
        """Do what the framework does for these routes, in the same order."""
        key = admit(request, "read")
        value = await request.json()
        collection = service.collection(name, key)
        try:
            body = self.model.model_validate(value, from_attributes=True)
        except ValidationError as error:
            details = error.errors(include_url=False)
            located = [{**detail, "loc": ("body", *detail["loc"])} for detail in details]
            raise from_validation(located) from error
        function: Callable[..., Awaitable[Response]] = self.route.endpoint
        return await function(request=body, collection=collection, service=service)


class Express:
    """Takes plain requests past the framework.

    Parameters
    ----------
    app : FastAPI
        Its state holds the service.
    routes : iterable of BaseRoute
        Those are taken that post to ``/v1/collections/{collection}/...`` and whose function has the
        parameters ``request`` (a model of the body), ``collection`` (to read) and ``service``.
    """

    def __init__(self, app: FastAPI, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._operations: dict[str, _Operation] = {}
        for route in routes:
            if isinstance(route, APIRoute) and route.methods == {"POST"}:
                hints = get_type_hints(route.endpoint)
                if hints.keys() == {"request", "collection", "service", "return"}:
                    name = route.path.removeprefix(f"{_PREFIX}{{collection}}/")
                    self._operations[name] = _Operation(route, hints["request"])

    @property
    def operations(self) -> set[str]:
        """Paths of the operations, after the collection's name."""
        return set(self._operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if not is_post or not scope["path"].startswith(_PREFIX) or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        name, _, what = scope["path"].removeprefix(_PREFIX).partition("/")
        operation = self._operations.get(what)
        service: Service = self._app.state.service
        if operation is None or name not in service.collections:
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._app, operation.route
        try:
            response = await operation.answer(StrictRequest(scope, receive), service, name)
        except Exception as error:
            response = answer_error(error)
        await response(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    is_json = headers.get(b"content-type") == b"application/json"
    has_body = headers.get(b"content-length", b"0") != b"0"
    return is_json and has_body and not scope["query_string"]
