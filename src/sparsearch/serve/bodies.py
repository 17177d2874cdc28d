"""Bodies and headers at the door: size, pace, encoding and memory of what is received."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparsearch.serve.config import Limits
from sparsearch.serve.errors import ServiceError, error_response

__all__ = ["BodyGuard", "SecurityHeaders"]

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_STREAM_SUFFIX = "/stream"


class SecurityHeaders:
    """Adds to every answer the headers that keep browsers from misusing it; a route may differ.

    Parameters
    ----------
    app : ASGI application
    hosts : sequence of str
        Names by which the service may be called; empty for any. Without API keys this keeps web
        pages from reaching it under a name of theirs (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name.lower() for name, _ in headers}
                headers += [pair for pair in _HEADERS if pair[0] not in given]
                message = {**message, "headers": headers}
            await send(message)

        if self._hosts and _host(scope) not in self._hosts:
            reason = "without API keys the service answers to localhost only"
            refusal = error_response(ServiceError(421, "wrong_host", reason))
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


class BodyGuard:
    """Refuses bodies that are encoded, too large or too slow, or too many at once.

    Parameters
    ----------
    app : ASGI application
    limits : Limits
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._held = 0
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_stream = scope["path"].endswith(_STREAM_SUFFIX)
        try:
            self._check_headers(scope, is_stream)
        except ServiceError as error:
            await error_response(error)(scope, receive, send)
            return
        body = _Body(self._limits, receive, is_stream)
        self._streams += is_stream

        async def guarded() -> Message:
            message = await body.receive()
            if not is_stream:
                size = len(message.get("body", b""))
                body.held += size
                self._held += size
                if self._held > self._limits.bodies_bytes:
                    raise _busy()
            return message

        try:
            await self._app(scope, guarded, send)
        finally:
            self._held -= body.held
            self._streams -= is_stream

    def _check_headers(self, scope: Scope, is_stream: bool) -> None:
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"", b"identity"):
            reason = "compressed bodies are not accepted; send it without Content-Encoding"
            raise ServiceError(415, "unsupported_encoding", reason)
        if is_stream:
            if self._streams >= self._limits.streams:
                raise _busy()
            return
        declared = headers.get(b"content-length", b"0")
        # The parser has checked that it is a number. Python converts none of thousands of digits.
        if len(declared) > 15 or int(declared) > self._limits.body_bytes:
            raise _too_large(self._limits)


class _Body:
    """One body, as it comes in."""

    def __init__(self, limits: Limits, receive: Receive, is_stream: bool) -> None:
        self._limits = limits
        self._receive = receive
        self._is_stream = is_stream
        self._size = 0
        self._busy = 0.0
        self._returned = self._start = time.monotonic()
        self._complete = False
        self.held = 0

    async def receive(self) -> Message:
        """Return the next part.

        Raises
        ------
        ServiceError
            408 when it comes too slowly, 413 when it is too large.
        """
        if self._complete:  # the client's leaving is waited for, without end
            return await self._receive()
        now = time.monotonic()
        # The clock stands still while the service works on what came.
        self._busy += now - self._returned
        due = self._start + self._busy + self._limits.grace_seconds
        due += self._size / self._limits.bytes_per_second
        try:
            message = await _within(max(0.001, due - now), self._receive())
        except (TimeoutError, asyncio.TimeoutError):
            reason = f"the body came too slowly ({self._size} bytes so far); the connection ends"
            raise ServiceError(408, "too_slow", reason) from None
        self._returned = time.monotonic()
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if not self._is_stream and self._size > self._limits.body_bytes:
            raise _too_large(self._limits)
        return message


async def _within(seconds: float, message: Awaitable[Message]) -> Message:
    """Return a message, or raise TimeoutError if it does not come in time."""
    if sys.version_info < (3, 11):
        return await asyncio.wait_for(message, seconds)
    async with asyncio.timeout(seconds):  # half the price: no task of its own
        return await message


def _too_large(limits: Limits) -> ServiceError:
    reason = f"the body is larger than {limits.body_bytes} bytes; send smaller batches or a stream"
    return ServiceError(413, "too_large", reason, limit=limits.body_bytes)


def _busy() -> ServiceError:
    reason = "too many bodies are being received at once; try again later"
    return ServiceError(503, "bodies_full", reason, retry_after=2)


def _host(scope: Scope) -> str:
    """Return the name, without port, by which a client calls the service."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    host: str = values[0].decode("latin-1").strip().lower() if len(values) == 1 else ""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
