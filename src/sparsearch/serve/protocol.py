"""uvicorn's HTTP/1.1 with bounds, so that slow or endless clients cannot hold connections.

uvicorn by itself waits without end for the headers of a request and for a client to read its
answer, takes headers of any size, and reads on while requests sent ahead wait for their turn.
Bounds of bodies are kept by `sparsearch.serve.bodies`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ

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
        Time to complete the headers of a request; also how often it is looked whether an answer
        is read.
    bytes_per_second : float
        Least pace of reading an answer.
    """

    seconds = 10.0
    bytes_per_second = 16 * 1024.0
    _headers_due: asyncio.TimerHandle | None = None
    _reading_due: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_headers = False
    _has_body = False
    _begun = 0
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._headers_due = self.loop.call_later(self.seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._headers_due, self._reading_due)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._begun, self._has_body = 0, False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if len(self.pipeline) > _SENT_AHEAD:
            self.transport.abort()
        elif self._in_headers or not self._in_request():
            # What several requests came with is mostly not the last one's.
            self._headers_awaited(len(data) if self._begun < 2 else 0)
        elif not (self._begun or self._has_body):
            self._count_beside_body(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those that follow a body in chunks could pass for a proxy's.
        if self._in_headers:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._has_body = True
        self._header_bytes = 0

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
        self._await_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._reading_due)

    def _headers_awaited(self, received: int) -> None:
        if self._headers_due is None:  # of another request on a connection that was kept
            self._headers_due = self.loop.call_later(self.seconds, self.transport.abort)
        self._header_bytes += received
        if self._header_bytes > _HEADER_BYTES:
            self.send_400_response("The headers are too large.")

    def _count_beside_body(self, received: int) -> None:
        """Count what is no part of a body that is being sent: headers after it, mostly."""
        self._header_bytes += received
        if self._header_bytes > _HEADER_BYTES:
            self.transport.abort()

    def _await_reading(self) -> None:
        self._unread = _unread(self.transport)
        self._reading_due = self.loop.call_later(self.seconds, self._check_reading)

    def _check_reading(self) -> None:
        """Go on with a client that has read enough since the last time."""
        read = self._unread - _unread(self.transport)
        if read < self.seconds * self.bytes_per_second:
            self.transport.abort()
        else:
            self._await_reading()

    def _in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def protocol_with_bounds(seconds: float, bytes_per_second: float) -> type[asyncio.Protocol]:
    """Return `BoundedProtocol` with a time and a pace of its own."""

    class Protocol(BoundedProtocol):
        pass

    Protocol.seconds = seconds
    Protocol.bytes_per_second = bytes_per_second
    return Protocol


def _unread(transport: asyncio.Transport) -> int:
    """Return the bytes that a client has not taken, those that the system holds for it included.

    The system takes a megabyte at once, so without these a slow client seems not to read at all.
    """
    held = bytearray(4)
    with suppress(OSError):  # a system that does not tell
        ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)
    return transport.get_write_buffer_size() + int.from_bytes(held, sys.byteorder)


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()
