"""API keys: made, listed and revoked in a file that holds no secret, only digests of them.

A key is ``sps_<id>_<secret>`` with 256 random bits of secret, so a plain SHA-256 digest cannot be
reversed; nothing slower is needed, as it is for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock

from sparsearch.errors import (
    FileFormatError,
    InvalidInputError,
    NotFoundError,
    StorageUnavailableError,
    shorten,
)
from sparsearch.files import replacing
from sparsearch.serve.config import COLLECTION_NAME

__all__ = ["Key", "KeyFile", "KeyRing", "Role"]

Role = Literal["read", "write"]

_VERSION = 1
_TOKEN = re.compile(r"sps_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_LOCK_SECONDS = 10.0
_ADVICE = "remove it and make another with: sparsearch keys create"


@dataclass(frozen=True)
class Key:
    """An API key, without its secret.

    Parameters
    ----------
    id : str
    name : str
        What it is for, in the words of who made it.
    role : {"read", "write"}
        ``write`` includes reading.
    collections : tuple of str
        Which ones it opens; empty for all.
    digest : str
        SHA-256 of the whole key, in hexadecimal.
    created : str
        ISO 8601, UTC.
    """

    id: str
    name: str
    role: Role
    collections: tuple[str, ...]
    digest: str
    created: str

    def opens(self, collection: str) -> bool:
        """Return whether it is for a collection."""
        return not self.collections or collection in self.collections

    def may(self, role: Role) -> bool:
        """Return whether it allows what a role allows."""
        return self.role in ("write", role)


class KeyRing:
    """The keys of a file at one moment.

    Parameters
    ----------
    keys : iterable of Key
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    def find(self, token: str) -> Key | None:
        """Return the key that a client showed, in a time that does not depend on its secret."""
        match = _TOKEN.fullmatch(token)
        key = self._keys.get(match[1]) if match else None
        expected = key.digest if key else _digest("")
        same = hmac.compare_digest(_digest(token), expected)
        return key if same else None


class KeyFile:
    """A file of API keys, readable by its owner only.

    Parameters
    ----------
    path : Path
        `create` makes it where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, name: str, role: Role, collections: Sequence[str] = ()) -> tuple[Key, str]:
        """Add a key; return it and the secret text, which is stored nowhere.

        Raises
        ------
        InvalidInputError
            If the name is empty or not printable, the role unknown, or a collection's name
            impossible.
        FileFormatError
            If the file is not one of keys.
        StorageUnavailableError
            If it cannot be written.
        """
        _check(name, role, collections)
        identifier = secrets.token_hex(6)
        token = f"sps_{identifier}_{secrets.token_urlsafe(32)}"
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        key = Key(identifier, name, role, tuple(collections), _digest(token), now)
        with self._locked():
            self._write([*(self.read() if self.path.exists() else []), key])
        return key, token

    def revoke(self, identifier: str) -> Key:
        """Remove a key; return it. Servers notice within a second.

        Raises
        ------
        NotFoundError
            If there is none with this id.
        """
        self.read()  # says what is wrong before a lock is left beside no file
        with self._locked():
            keys = self.read()
            gone = next((key for key in keys if key.id == identifier), None)
            if gone is None:
                raise NotFoundError(f"no key has the id {shorten(identifier)}")
            self._write([key for key in keys if key is not gone])
        return gone

    def read(self) -> list[Key]:
        """Return all keys, oldest first.

        Raises
        ------
        FileFormatError
            If there is no such file, or it is not one of keys.
        """
        try:
            content = json.loads(self.path.read_bytes())
        except FileNotFoundError as error:
            advice = "make one with: sparsearch keys create FILE"
            raise FileFormatError(self.path, None, f"does not exist; {advice}") from error
        except OSError as error:
            raise FileFormatError(self.path, None, f"cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            reason = f"not a file of API keys ({error}); {_ADVICE}"
            raise FileFormatError(self.path, None, reason) from error
        try:
            if content["version"] != _VERSION:
                raise ValueError("unknown version")
            return [_key(entry) for entry in content["keys"]]
        except (TypeError, KeyError, ValueError, InvalidInputError) as error:
            reason = f"not a file of API keys ({error}); {_ADVICE}"
            raise FileFormatError(self.path, None, reason) from error

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what changes whenever the file does; None where there is none."""
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Links are followed, so that all names of a file have one lock and one content.
        lock = FileLock(f"{self.path.resolve()}.lock", timeout=_LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except OSError as error:  # a timeout is one
            reason = f"cannot lock {self.path}: {error.strerror or 'another process holds it'}"
            raise StorageUnavailableError(reason) from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, keys: Sequence[Key]) -> None:
        content = {"version": _VERSION, "keys": [asdict(key) for key in keys]}
        # Never readable by others, not even while it is being written.
        with replacing(self.path, mode=0o600) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _check(name: str, role: str, collections: Sequence[str]) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
        reason = f"{shorten(name)} cannot be a key's name; give 1 to 100 printable characters"
        raise InvalidInputError(reason)
    if role not in get_args(Role):
        raise InvalidInputError(f"unknown role {shorten(role)}; it is 'read' or 'write'")
    for collection in collections:
        if not isinstance(collection, str) or not re.fullmatch(COLLECTION_NAME, collection):
            raise InvalidInputError(f"{shorten(collection)} cannot be a collection's name")


def _key(entry: Any) -> Key:
    if not isinstance(entry, dict) or not isinstance(entry.get("collections"), list):
        raise ValueError("a malformed key")
    key = Key(**{**entry, "collections": tuple(entry["collections"])})
    _check(key.name, key.role, key.collections)
    known = all(isinstance(value, str) for value in (key.id, key.digest, key.created))
    if not known or not re.fullmatch("[0-9a-f]{64}", key.digest):
        raise ValueError("a malformed key")
    return key
