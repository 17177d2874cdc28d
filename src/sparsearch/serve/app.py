"""The application: routes, limits and errors put together."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sparsearch import __version__
from sparsearch.errors import SparsearchError
from sparsearch.serve import page, routes_health, routes_reading, routes_writing
from sparsearch.serve.access import Service
from sparsearch.serve.auth import Gate
from sparsearch.serve.bodies import BodyGuard, SecurityHeaders
from sparsearch.serve.collections import Collections
from sparsearch.serve.config import ServeConfig
from sparsearch.serve.errors import on_service_error
from sparsearch.serve.express import Express
from sparsearch.serve.metrics import Metrics, RequestMetrics
from sparsearch.serve.models import ErrorResponse
from sparsearch.serve.searching import SearchPool

__all__ = ["Application", "create_app"]

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text}
    for status, text in {
        400: "The body is not JSON.",
        401: "No API key, or one that is not known.",
        403: "The API key does not allow this.",
        404: "There is no such collection or document.",
        408: "The body came too slowly.",
        409: "An id is taken, or another server writes to the index.",
        413: "The body or a line of it is too large.",
        415: "The body is of another type, or compressed.",
        422: "The request does not fit its schema, or names what is not there.",
        429: "Too many writes wait, or too many wrong API keys were shown; see Retry-After.",
        503: "Too much is asked for at once, or the disk cannot be used; see Retry-After.",
    }.items()
}


class Application:
    """The service as an ASGI application.

    Parameters
    ----------
    routes : FastAPI
        Its routes, and the state that it has while it runs.
    outermost : ASGIApp
        What requests go through first.
    """

    def __init__(self, routes: FastAPI, outermost: ASGIApp) -> None:
        self._routes = routes
        self._outermost = outermost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._outermost(scope, receive, send)

    def stop_encoding(self) -> None:
        """Refuse documents that a model has not read yet, since the server is about to end."""
        service: Service | None = getattr(self._routes.state, "service", None)
        collections = list(service.collections.values()) if service is not None else []
        for collection in collections:  # all of them, before any portion at hand is waited for
            collection.writer.refuse()
        for collection in collections:
            collection.writer.stop_encoding()


def create_app(config: ServeConfig) -> Application:
    """Return the service as an ASGI application; indexes are opened when it starts.

    Raises
    ------
    FileFormatError
        If the file of API keys cannot be used.
    """
    gate = Gate(config.keys, config.limits.failures)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            app.state.service = _open(config, gate, metrics, stack)
            stack.enter_context(_without_garbage())
            yield

    app = FastAPI(
        title="sparsearch",
        version=__version__,
        description="Learned sparse retrieval over HTTP.",
        lifespan=lifespan,
        # Its pages would load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        # They would send clients to whatever host their request named.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    for module in (routes_reading, routes_writing, routes_health):
        app.include_router(module.router, responses=_ERRORS)
    app.include_router(page.router)
    for kind in (HTTPException, RequestValidationError, SparsearchError, Exception):
        app.add_exception_handler(kind, on_service_error)
    guarded: ASGIApp = BodyGuard(Express(app, routes_reading.router.routes), config.limits)
    if config.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=config.origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
        )
    # Outside the application, so that its answers to what went wrong pass through them too.
    return Application(app, RequestMetrics(SecurityHeaders(guarded, _hosts(config)), metrics))


def _open(config: ServeConfig, gate: Gate, metrics: Metrics, stack: ExitStack) -> Service:
    """Open all that is served; the stack closes it, writers before what they write to."""
    limits = config.limits
    collections = Collections(config, metrics)
    stack.callback(collections.close)
    pool = SearchPool(config.threads, limits.searches_waiting, limits.search_seconds)
    stack.callback(pool.close)
    metrics.watch(collections, pool)
    return Service(config, collections, gate, pool, metrics)


@contextmanager
def _without_garbage() -> Iterator[None]:
    """Spare collections of garbage what stays: looking through it holds up all requests."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _hosts(config: ServeConfig) -> tuple[str, ...]:
    """Return the names by which it may be called; any where API keys are asked for."""
    if config.keys is not None:
        return ()
    return (*_LOCAL_NAMES, f"[{config.host}]" if ":" in config.host else config.host)


def _operation_id(route: APIRoute) -> str:
    return route.name
