"""How requests travel: settings of httpx, answers read, and when to ask again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sparsearch.client.answers import error_from_answer
from sparsearch.client.calls import Call
from sparsearch.errors import (
    InvalidInputError,
    MissingExtraError,
    ServiceUnavailableError,
    shorten,
)

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Patience", "httpx_module", "read_answer", "settings"]

_Result = TypeVar("_Result")

_BUSY = (429, 503)
_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_KEY = re.compile(r"[!-~]+")


def httpx_module() -> ModuleType:
    """Return httpx, which is imported when it is first needed."""
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("httpx", "serve") from error
    return httpx


def settings(url: str, key: str | None, timeout: float) -> dict[str, Any]:
    """Return the settings of a client of httpx.

    Raises
    ------
    InvalidInputError
        If the URL is not one of HTTP, or the key cannot be sent in a header.
    """
    if not _is_http(url):
        raise InvalidInputError(f"{shorten(url)} is not a URL of HTTP; write http://HOST:PORT")
    headers = {"Content-Type": "application/json"}
    if key is not None:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            reason = "the API key is empty or holds characters that no API key has"
            raise InvalidInputError(f"{reason}; leave it out where none is asked for")
        headers["Authorization"] = f"Bearer {key}"
    # Redirects are not followed: the key is for this address only.
    return {"base_url": url.rstrip("/"), "headers": headers, "timeout": timeout}


def _is_http(url: object) -> bool:
    """Return whether a URL can be asked; httpx itself takes one without a host."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return False
    httpx = httpx_module()
    try:
        return bool(httpx.URL(url).host)
    except (httpx.InvalidURL, ValueError):
        return False


def read_answer(call: Call[_Result], status: int, content: bytes) -> _Result:
    """Return what the answer to a call says.

    Raises
    ------
    SparsearchError
        If the answer tells of an error, or is not one of the service.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if status >= 400:
        raise error_from_answer(status, value, call.offset)
    reason = f"the answer (HTTP status {status}) is not one of sparsearch; check the URL"
    if value is None or status != 200:
        raise ServiceUnavailableError(reason)
    try:
        return call.parse(value)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ServiceUnavailableError(reason) from error


class Patience:
    """Decides how long to wait before a request is made again, if it is.

    Parameters
    ----------
    seconds : float
        From now on; later, errors are final.
    call : Call
    """

    def __init__(self, seconds: float, call: Call[Any]) -> None:
        self._end = time.monotonic() + seconds
        self._call = call
        self._pause = _PAUSE

    def after_answer(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Return the seconds to wait after an answer; None if it is final."""
        if status not in _BUSY:
            return None
        advised = headers.get("Retry-After", "")
        pause = float(advised) if advised.isdecimal() else self._pause
        return self._left(min(pause, _LONGEST_PAUSE))

    def after_fault(self, error: Exception) -> float:
        """Return the seconds to wait after a fault of the network.

        Raises
        ------
        ServiceUnavailableError
            If the request may have been carried out and must not be repeated, or patience is over.
        """
        pause = self._left(self._pause)
        # Without a connection nothing was carried out.
        if pause is None or not (self._call.repeatable or _never_sent(error)):
            reason = f"the service cannot be reached ({type(error).__name__}: {error})"
            raise ServiceUnavailableError(reason) from error
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def _left(self, pause: float) -> float | None:
        return pause if time.monotonic() + pause < self._end else None


def _never_sent(error: Exception) -> bool:
    httpx = httpx_module()
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
