"""uvicorn's HTTP/1.1 with bounds, so that slow or endless clients cannot hold connections.

uvicorn by itself waits without end for the headers of a request and for a client to read its
answer, takes headers of any size, and reads on while requests sent ahead wait for their turn.
Bounds of bodies are kept by `sparsearch.serve.bodies`.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["protocol_with_bounds"]

_HEADER_BYTES = 64 * 1024
_SENT_AHEAD = 1000
"""Requests that a client may send before the first of them is answered."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is dropped when it is slow or endless.

    Attributes
    ----------
    seconds : float
        Time to complete the headers of a request, and to go on reading an answer.
    """

    seconds = 10.0
    _headers_due: asyncio.TimerHandle | None = None
    _reading_due: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_headers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._headers_due = self.loop.call_later(self.seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._headers_due, self._reading_due)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if len(self.pipeline) > _SENT_AHEAD:
            self.transport.abort()
        elif self._in_headers or not self._in_request():
            self._headers_awaited(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_headers = False
        self._header_bytes = 0
        _cancel(self._headers_due)
        self._headers_due = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_request() and self.cycle.more_body:
            # Refused before all of it came; the rest is not waited for.
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading_due = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._reading_due)

    def _headers_awaited(self, received: int) -> None:
        if self._headers_due is None:  # of another request on a connection that was kept
            self._headers_due = self.loop.call_later(self.seconds, self.transport.abort)
        self._header_bytes += received
        if self._header_bytes > _HEADER_BYTES:
            self.send_400_response("The headers are too large.")

    def _in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def protocol_with_bounds(seconds: float) -> type[asyncio.Protocol]:
    """Return `BoundedProtocol` with a time of its own."""

    class Protocol(BoundedProtocol):
        pass

    Protocol.seconds = seconds
    return Protocol


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()
