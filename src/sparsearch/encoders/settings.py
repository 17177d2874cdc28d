"""Checks shared by what reads an encoder's identity."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["check_number", "checked_settings"]


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


def check_number(name: str, value: object, most: float) -> None:
    """Refuse what is not a number from 0 to `most`, which may be infinite.

    Raises
    ------
    InvalidInputError
        Names the setting.
    """
    try:
        usable = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if usable else math.nan  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and 0 <= number <= most):
        upper = "" if math.isinf(most) else f" and at most {most:g}"
        raise InvalidInputError(
            f"{name} is {shorten(value)}; it must be a finite number, at least 0{upper}"
        )
