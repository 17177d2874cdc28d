"""Who may do what: API keys checked on every request, and wrong ones slowed down."""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from sparsearch.errors import FileFormatError
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.keys import Key, KeyFile, KeyRing, Role

__all__ = ["Gate", "Guesses"]

_log = logging.getLogger("sparsearch.serve")
_LOOK_SECONDS = 1.0
_MINUTE = 60.0
_ADDRESSES = 10_000


class Guesses:
    """Wrong keys by address: a bucket of so many, filled again within a minute.

    Parameters
    ----------
    allowed : int
        Wrong keys before an address has to wait.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, allowed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return for how many seconds an address has to wait, 0 if it need not."""
        if not self._seen:
            return 0.0
        left = self._left(address)
        return 0.0 if left >= 1 else (1 - left) * _MINUTE / self._allowed

    def wrong(self, address: str) -> None:
        """Remember that an address showed a wrong key."""
        network = _network(address)
        self._seen[network] = self._left(address) - 1, self._clock()
        self._seen.move_to_end(network)
        while len(self._seen) > _ADDRESSES:
            self._seen.popitem(last=False)

    def _left(self, address: str) -> float:
        left, at = self._seen.get(_network(address), (float(self._allowed), self._clock()))
        refilled = left + (self._clock() - at) * self._allowed / _MINUTE
        return min(float(self._allowed), refilled)


class Gate:
    """Lets requests in, or says why not.

    Parameters
    ----------
    path : Path or None
        File of API keys; None lets everybody do everything.
    failures : int
        Wrong keys that an address may show in a minute.

    Raises
    ------
    FileFormatError
        If the file cannot be used.
    """

    def __init__(self, path: Path | None, failures: int) -> None:
        self._file = None if path is None else KeyFile(path)
        # Stamped first: what is written while it is read is read again.
        self._stamp = self._file.stamp() if self._file else None
        self._ring = KeyRing(self._file.read() if self._file else ())
        self._looked = time.monotonic()
        self._lock = threading.Lock()
        self._guesses = Guesses(failures)

    @property
    def open(self) -> bool:
        """Whether no keys are asked for."""
        return self._file is None

    def admit(self, token: str | None, address: str, role: Role) -> Key | None:
        """Return the key a request shows; None where none is needed.

        Raises
        ------
        ServiceError
            401 without a valid key, 403 if it does not allow this, 429 after too many wrong ones.
        """
        if self._file is None:
            return None
        wait = self._guesses.wait(address)
        if wait > 0:
            reason = "too many wrong API keys from this address; wait"
            raise ServiceError(429, "too_many_wrong_keys", reason, retry_after=wait)
        if token is None:
            reason = "an API key is needed: send it as 'Authorization: Bearer KEY'"
            raise ServiceError(401, "key_missing", reason)
        key = self._keys().find(token)
        if key is None:
            self._guesses.wrong(address)
            raise ServiceError(401, "key_unknown", "this API key is not known, or was revoked")
        if not key.may(role):
            raise ServiceError(403, "key_may_not", f"this API key may not {role}")
        return key

    def _keys(self) -> KeyRing:
        """Return the keys as of a second ago at most."""
        assert self._file is not None
        with self._lock:
            now = time.monotonic()
            if now - self._looked < _LOOK_SECONDS:
                return self._ring
            self._looked = now
            stamp = self._file.stamp()
            if stamp != self._stamp:
                # Nobody is let in by keys of before, whatever reading the file may end in.
                self._stamp, self._ring = stamp, KeyRing()
                self._ring = self._read()
            return self._ring

    def _read(self) -> KeyRing:
        assert self._file is not None
        try:
            return KeyRing(self._file.read())
        except FileFormatError as error:
            # Whom to let in is not known any more, so nobody.
            _log.error("%s; all API keys are refused until this is repaired", error)
            return KeyRing()


def _network(address: str) -> str:
    """Return what one party has to itself: an IPv4 address, or 64 bits of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
