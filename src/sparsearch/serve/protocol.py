"""uvicorn's HTTP/1.1 with deadlines, so that slow clients (slow-loris) cannot hold connections.

uvicorn by itself waits without end for the headers of a request and for a client to read its
answer. Deadlines of bodies are kept by `sparsearch.serve.bodies`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["protocol_with_deadlines"]


def protocol_with_deadlines(seconds: float) -> type[asyncio.Protocol]:
    """Return a protocol that drops slow connections.

    A client has so many seconds to complete its headers, and to go on reading an answer.
    """

    class DeadlineProtocol(H11Protocol):
        _headers_due: asyncio.TimerHandle | None = None
        _reading_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._headers_due = self.loop.call_later(seconds, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._headers_due, self._reading_due)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_request():
                _cancel(self._headers_due)
                self._headers_due = None
            elif self._headers_due is None and not self.transport.is_closing():
                # The first bytes of another request on a connection that was kept.
                self._headers_due = self.loop.call_later(seconds, self.transport.abort)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._in_request():  # one that was sent ahead
                _cancel(self._headers_due)
                self._headers_due = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading_due = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._reading_due)

        def _in_request(self) -> bool:
            cycle: Any = self.cycle
            return cycle is not None and not cycle.response_complete

    return DeadlineProtocol


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()
