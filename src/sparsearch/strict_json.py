"""JSON read and written strictly: what is ambiguous, or would come back altered, is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite, isinf
from typing import Any, NoReturn

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["encode_fields", "is_unicode", "parse_json", "parse_object"]

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_INT64 = 2**63
_MAX_DEPTH = 100
"""Of nested values; what is stored can be read again however deep the caller's stack is."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON text, or of its UTF-8 bytes.

    Raises
    ------
    InvalidInputError
        When it is not JSON, or has a key twice, NaN or Infinity, a number beyond float64, an
        integer of thousands of digits, a lone surrogate, or nesting too deep to be read.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode()
        value = _DECODER.decode(decoded)
        # The parser pairs surrogate escapes; one left alone cannot be stored or sent.
        if "\\" in decoded and "\\ud" in decoded.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at character {error.pos + 1}"
        raise InvalidInputError(reason) from error
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise InvalidInputError(f"lone surrogate {character!a} is not a character") from error
    except RecursionError as error:
        raise InvalidInputError("nested too deeply") from error
    except InvalidInputError:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise InvalidInputError("a number is too long: it has thousands of digits") from error
    return value


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return the value of JSON text that must be an object.

    Raises
    ------
    InvalidInputError
        As `parse_json`, and when it is another value.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise InvalidInputError(f"not a JSON object but {shorten(value)}")
    return value


def encode_fields(fields: Mapping[Any, Any]) -> bytes:
    """Return named values as a JSON object in UTF-8, which gives them back as they are.

    Raises
    ------
    InvalidInputError
        When it could not, as with a tuple, a key that is a number, or an integer beyond 64 bits;
        names the field.
    """
    for name, value in fields.items():
        if not isinstance(name, str):
            raise InvalidInputError(f"field name {shorten(name)} must be a string")
        problem = _alteration(value)
        if problem:
            raise InvalidInputError(f"field {shorten(name)} {problem}")
    try:
        return _ENCODER.encode(fields).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # Slow and precise, only once it is known that something is wrong.
        for name, value in fields.items():
            if not is_unicode(name):
                reason = f"field {shorten(name)} holds a lone surrogate, which is not valid Unicode"
                raise InvalidInputError(reason) from error
            try:
                _ENCODER.encode(value).encode()
            except (TypeError, ValueError, RecursionError) as reason:
                problem = f"field {shorten(name)} cannot be stored: {reason}"
                raise InvalidInputError(problem) from error
        raise InvalidInputError(str(error)) from error


def _alteration(value: object, depth: int = 0) -> str:
    """Say why a value would not come back from JSON as it is, or nothing."""
    if depth > _MAX_DEPTH:
        return f"is nested more than {_MAX_DEPTH} levels deep"
    if value is None or isinstance(value, (str, bool)):
        return ""
    if isinstance(value, int):
        fits = -_INT64 <= value < _INT64
        return "" if fits else "is an integer beyond 64 bits; store it as a string"
    if isinstance(value, float):
        return "" if isfinite(value) else f"is {value}; leave it out or use null"
    if isinstance(value, list):
        return next(filter(None, (_alteration(item, depth + 1) for item in value)), "")
    if isinstance(value, dict):
        if any(not isinstance(key, str) for key in value):
            return "has a key that is not a string"
        return _alteration(list(value.values()), depth)
    return f"has a value of type {type(value).__name__}, which JSON would not give back"


def is_unicode(text: str) -> bool:
    """Whether a string can be written: no surrogate stands alone in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidInputError(f"key {shorten(key)} is given twice")
        seen.add(key)
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if isinf(value):
        raise InvalidInputError(f"number {shorten(digits)} is too large")
    return value


def _refuse(constant: str) -> NoReturn:
    raise InvalidInputError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
