"""JSON from outside, read strictly: what is ambiguous or cannot be stored is refused."""

from __future__ import annotations

import json
from math import isinf
from typing import Any, NoReturn

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["parse_json", "parse_object"]


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
        raise InvalidInputError(f"a number is too long: {error}") from error
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
