"""Running the service: uvicorn with deadlines, and an end that loses nothing acknowledged.

SIGTERM or SIGINT: no new connections; documents that a model has not read yet are refused; all
other requests that were taken are answered; what waits to be written is committed, and the indexes
are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import socket

import uvicorn

from sparsearch.serve.app import Application, create_app
from sparsearch.serve.config import ServeConfig
from sparsearch.serve.encoding import is_any_reading
from sparsearch.serve.protocol import protocol_with_bounds

__all__ = ["make_server", "return_freed_memory", "run_server"]

_KEEP_ALIVE_SECONDS = 30
_KEPT_BYTES = 4 << 20
_INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


class _Server(uvicorn.Server):
    """Tells the application that it is about to end, while it waits for requests."""

    def __init__(self, settings: uvicorn.Config, app: Application) -> None:
        super().__init__(settings)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that were taken, and end the application."""
        for server in self.servers:  # first of all: a portion at hand may take a while
            server.close()
        await asyncio.gather(asyncio.to_thread(self._app.stop_encoding), super().shutdown(sockets))


def make_server(config: ServeConfig) -> uvicorn.Server:
    """Return the server, not started.

    Raises
    ------
    FileFormatError
        If the file of API keys cannot be used.
    """
    limits, app = config.limits, create_app(config)
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        http=protocol_with_bounds(limits.header_seconds, limits.bytes_per_second),
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=config.trusted_proxies or None,
        limit_concurrency=limits.connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=limits.shutdown_seconds,
        log_level="info",
    )
    return _Server(settings, app)


def run_server(config: ServeConfig) -> None:
    """Serve until told to stop by SIGINT or SIGTERM.

    Raises
    ------
    FileFormatError
        If the file of API keys cannot be used.
    """
    logging.captureWarnings(True)
    return_freed_memory()
    try:
        make_server(config).run()
    except KeyboardInterrupt:
        _end_at_once(_INTERRUPTED)
        raise
    _end_at_once(0)


def _end_at_once(status: int) -> None:
    """End the process if a document is still being read, which was given up.

    The interpreter would wait for the threads of the model, which may take minutes.
    """
    if is_any_reading():
        logging.shutdown()
        os._exit(status)


def return_freed_memory() -> None:
    """Let this process keep about 4 MiB of freed memory a thread, where its malloc is glibc's.

    By itself glibc keeps up to twice the largest block ever freed, 64 MiB a thread at most, and
    trimming after a merge does not reach it (docs/lab-notes.md has figures). It sets the whole
    process, so it is for those that do nothing but serve.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
