"""From what a configuration file, or a caller, says to frozen dataclasses, strictly.

Every key must be a field and every value of its type; what is wrong is named by its path, such as
``teachers[1].weight``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["check_types", "from_mapping"]

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
            given[name] = _convert(hints[name], value[name], _at(path, name), from_file=True)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidInputError(f"{_at(path, name)} is missing")
    return kind(**given)


def check_types(settings: object, path: str = "") -> None:
    """Check the values that a dataclass was made with; numbers become Python's own.

    Parameters
    ----------
    settings : dataclass
        With fields as `from_mapping` takes them.
    path : str
        What its fields are called after in messages.

    Raises
    ------
    InvalidInputError
        For a value of another type than its field's.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value = _convert(hint, getattr(settings, name), _at(path, name), from_file=False)
        object.__setattr__(settings, name, value)


def _convert(hint: Any, value: object, path: str, *, from_file: bool) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return _convert(inner, value, path, from_file=from_file)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InvalidInputError(f"{path} is {shorten(value)}; it must be a list")
        inner, places = get_args(hint)[0], range(len(value))
        return tuple(_convert(inner, value[i], f"{path}[{i}]", from_file=from_file) for i in places)
    if not is_dataclass(hint):
        return _scalar(hint, value, path, from_file)
    if isinstance(value, hint):  # type: ignore[arg-type]
        return value
    if from_file:
        return from_mapping(hint, value, path)  # type: ignore[arg-type]
    raise InvalidInputError(f"{path} is {shorten(value)}; it must be of type {hint.__name__}")  # type: ignore[union-attr]


def _scalar(hint: type, value: object, path: str, from_file: bool) -> Any:
    # True is an integer to Python, and 1e-4 without a dot is a string to YAML.
    if not isinstance(value, bool):
        if hint is int and isinstance(value, Integral):
            return int(value)
        if hint is float and isinstance(value, Real):
            return float(value)
    if hint is float and isinstance(value, str) and from_file:
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
