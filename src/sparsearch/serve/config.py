"""Settings of the service: what is served, to whom, and how much of anything at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["COLLECTION_NAME", "Limits", "ServeConfig"]

COLLECTION_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a collection may be called: safe in a URL, a metric's label and a log line."""

_ORIGIN = r"[a-z][a-z0-9+.-]*://[^/?#\s]+"


@dataclass(frozen=True)
class Limits:
    """How much of anything the service takes at once; beyond, it refuses instead of falling over.

    Parameters
    ----------
    body_bytes : int
        Of a JSON body.
    bodies_bytes : int
        Of all JSON bodies that are being received or worked on.
    line_bytes : int
        Of a line of an NDJSON stream.
    streams : int
        NDJSON streams at once.
    portion_documents, portion_bytes : int
        Documents of a stream that are committed together, at most.
    header_seconds : float
        From the start of a connection or request until its headers are complete; also how often
        it is looked whether a client goes on reading its answer.
    grace_seconds : float
        How long a body may take at any rate.
    bytes_per_second : int
        Average rate that a body must keep after that, and a client that reads a long answer.
    connections : int
        Open at once.
    searches_waiting : int
        Searches that wait for a thread.
    search_seconds : float
        How long they may wait.
    writes_waiting : int
        Write requests that wait to be committed, of each collection.
    writes_bytes : int
        Bytes of their bodies.
    lock_seconds : float
        How long a write waits for another process that is writing to the index.
    k, queries, ids : int
        Hits of a query; queries of a batch; ids of a request.
    hits : int
        Hits of all queries of a batch.
    read_hits : int
        Hits that are explained or cut to a snippet: the text of each is gone through.
    answer_bytes : int
        Of the hits of a search, as JSON.
    query_characters, query_terms : int
        Of all texts of a request that are searched for or encoded; of all its query vectors. A
        query counts once for each hit that is explained or cut to a snippet.
    filter_values : int
        Values that a filter compares with.
    listed : int
        Documents of a page of all.
    failures : int
        Wrong API keys from one address within a minute.
    shutdown_seconds : int
        How long requests may go on after the service was told to stop.
    """

    body_bytes: int = 16 * 2**20
    bodies_bytes: int = 256 * 2**20
    line_bytes: int = 8 * 2**20
    streams: int = 16
    portion_documents: int = 1000
    portion_bytes: int = 4 * 2**20
    header_seconds: float = 10.0
    grace_seconds: float = 10.0
    bytes_per_second: int = 16 * 2**10
    connections: int = 1000
    searches_waiting: int = 512
    search_seconds: float = 10.0
    writes_waiting: int = 256
    writes_bytes: int = 128 * 2**20
    lock_seconds: float = 5.0
    k: int = 10_000
    queries: int = 1000
    ids: int = 10_000
    hits: int = 1_000_000
    read_hits: int = 200
    answer_bytes: int = 64 * 2**20
    query_characters: int = 2**20
    query_terms: int = 250_000
    filter_values: int = 20_000
    listed: int = 1000
    failures: int = 10
    shutdown_seconds: int = 30

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                reason = f"{setting.name} is {shorten(value)}; it must be a number above 0"
                raise InvalidInputError(reason)


@dataclass(frozen=True)
class ServeConfig:
    """What to serve, and to whom.

    Parameters
    ----------
    indexes : mapping of str to Path
        Index folder of each collection. No other path is ever opened, whatever a request says.
    host : str
        Address to listen on; any but a loopback address needs `keys`.
    port : int
        0 lets the system choose.
    keys : Path, optional
        File of API keys (see `KeyFile`). Without it, everybody who reaches the port may do all.
    origins : tuple of str
        Origins whose pages a browser lets call the service (CORS); by default none.
    read_only : bool
        Never write, and leave writing to another process.
    refresh_seconds : float
        How often to look for what other processes wrote.
    threads : int, optional
        Searches that run at once; by default, one a core.
    trusted_proxies : str
        Addresses, separated by commas, whose ``X-Forwarded-For`` is believed; by default none.
    limits : Limits

    Raises
    ------
    InvalidInputError
        When a setting cannot be used.
    """

    indexes: Mapping[str, Path]
    host: str = "127.0.0.1"
    port: int = 8080
    keys: Path | None = None
    origins: tuple[str, ...] = ()
    read_only: bool = False
    refresh_seconds: float = 1.0
    threads: int | None = None
    trusted_proxies: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.indexes:
            raise InvalidInputError("there is no index to serve; give at least one")
        for name in self.indexes:
            if not re.fullmatch(COLLECTION_NAME, name):
                raise InvalidInputError(
                    f"{shorten(name)} cannot be a collection's name: letters, digits, '.', '_' and "
                    "'-', at most 64, the first a letter or digit; write NAME=FOLDER"
                )
        if self.keys is None and not _is_loopback(self.host):
            raise InvalidInputError(
                f"{self.host} can be reached from other machines; give a file of API keys "
                "(sparsearch keys create FILE ...) or listen on 127.0.0.1"
            )
        if "*" in self.origins and self.keys is None:
            raise InvalidInputError("any origin (*) is allowed only where API keys are asked for")
        for origin in self.origins:
            if origin != "*" and not re.fullmatch(_ORIGIN, origin):
                reason = f"origin {shorten(origin)} is none that a browser sends"
                raise InvalidInputError(f"{reason}; write https://HOST or https://HOST:PORT")
        for proxy in filter(None, map(str.strip, self.trusted_proxies.split(","))):
            if proxy != "*" and not _is_network(proxy):
                reason = f"trusted proxy {shorten(proxy)} is no address"
                raise InvalidInputError(f"{reason}; write such as 10.0.0.5 or 10.0.0.0/8")
        self._check_folders()
        if not self.refresh_seconds > 0:
            raise InvalidInputError(f"refresh_seconds is {self.refresh_seconds}, not above 0")
        if self.threads is not None and self.threads < 1:
            raise InvalidInputError(f"threads is {self.threads}; it must be at least 1")

    def _check_folders(self) -> None:
        """Refuse one index under two names: the server would keep itself from writing."""
        names: dict[Path, str] = {}
        for name, folder in self.indexes.items():
            other = names.setdefault(Path(folder).resolve(), name)
            if other != name:
                raise InvalidInputError(f"{other} and {name} are the same folder, {folder}")


def _is_network(address: str) -> bool:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address; a name counts only if localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
