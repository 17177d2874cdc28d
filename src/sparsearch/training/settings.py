"""From what a configuration file says to frozen dataclasses, strictly.

Every key must be a field and every value of its type; what is wrong is named by its path, such as
``teachers[1].weight``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["from_mapping"]

_T = TypeVar("_T")
_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def from_mapping(kind: type[_T], value: object, path: str = "") -> _T:
    """Build a dataclass from a mapping of its fields.

    Fields may be strings, integers, numbers, booleans, dataclasses, tuples of one of these, or any
    of them or None.

    Raises
    ------
    InvalidInputError
        For a key that is no field (naming the nearest one that is), a field that is missing, or a
        value of another type.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{path or 'the configuration'} is {shorten(value)}, not a mapping")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in value:
        if key not in known:
            raise InvalidInputError(f"{_at(path, key)}: no such setting{_advice(key, known)}")
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for name, field in known.items():
        if name in value:
            given[name] = _convert(hints[name], value[name], _at(path, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidInputError(f"{_at(path, name)} is missing")
    return kind(**given)


def _convert(hint: Any, value: object, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return _convert(inner, value, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InvalidInputError(f"{path} is {shorten(value)}; it must be a list")
        inner = get_args(hint)[0]
        return tuple(_convert(inner, part, f"{path}[{i}]") for i, part in enumerate(value))
    if is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, path)  # type: ignore[arg-type]
    return _scalar(hint, value, path)


def _scalar(hint: type, value: object, path: str) -> Any:
    # True is an integer to Python, and 1e-4 without a dot is a string to YAML.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if type(value) is not hint:
        raise InvalidInputError(f"{path} is {shorten(value)}; it must be {_NAMES[hint]}")
    return value


def _at(path: str, name: object) -> str:
    name = name if isinstance(name, str) else shorten(name)
    return f"{path}.{name}" if path else name


def _advice(key: object, known: Mapping[str, object]) -> str:
    close = get_close_matches(str(key), known, 1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"
