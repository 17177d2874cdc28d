"""Checks shared by what reads an encoder's identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["checked_settings"]


def checked_settings(settings: object, owner: str, names: Collection[str]) -> dict[str, Any]:
    """Return `settings` as a dict after checking that it has exactly the keys `names`.

    Raises
    ------
    InvalidInputError
        When it is not a mapping, or a key is missing or unknown; names `owner` and the key.
    """
    if not isinstance(settings, Mapping):
        raise InvalidInputError(f"{owner} settings are {shorten(settings)}, not a mapping")
    for name in names:
        if name not in settings:
            raise InvalidInputError(f"{owner} settings lack {name!r}")
    for name in settings:
        if name not in names:
            known = ", ".join(names)
            raise InvalidInputError(f"unknown {owner} setting {shorten(name)}; known: {known}")
    return dict(settings)
