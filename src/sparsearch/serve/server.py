"""Running the service: uvicorn with deadlines, and an end that loses nothing acknowledged.

SIGTERM or SIGINT: no new connections; requests that were taken are answered; then what waits to be
written is committed, and the indexes are closed.
"""

from __future__ import annotations

import logging

import uvicorn

from sparsearch.serve.app import create_app
from sparsearch.serve.config import ServeConfig
from sparsearch.serve.protocol import protocol_with_bounds

__all__ = ["make_server", "run_server"]

_KEEP_ALIVE_SECONDS = 30


def make_server(config: ServeConfig) -> uvicorn.Server:
    """Return the server, not started.

    Raises
    ------
    FileFormatError
        If the file of API keys cannot be used.
    """
    limits = config.limits
    settings = uvicorn.Config(
        create_app(config),
        host=config.host,
        port=config.port,
        http=protocol_with_bounds(limits.header_seconds),
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
    return uvicorn.Server(settings)


def run_server(config: ServeConfig) -> None:
    """Serve until told to stop by SIGINT or SIGTERM.

    Raises
    ------
    FileFormatError
        If the file of API keys cannot be used.
    """
    logging.captureWarnings(True)
    make_server(config).run()
