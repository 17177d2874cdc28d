"""Filters as they are typed: JSON, or the shorthand ``year>=2020``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from sparsearch.errors import FilterError, shorten

__all__ = ["parse_filters"]

_OPERATORS = {"=": "==", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SHORTHAND = re.compile(r"\s*([^<>=!]*[^<>=!\s])\s*(==|!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_EXPECTED = 'write a condition such as year>=2020, or JSON such as {"year": {">=": 2020}}'


def parse_filters(texts: Sequence[str]) -> dict[str, Any] | None:
    """Return the filter that demands all of the given ones; None for none.

    The value of a shorthand is a number, ``true``, ``false`` or a string in double quotes where it
    reads as one in JSON; anything else is a string as it stands.

    Raises
    ------
    FilterError
        When one is neither JSON nor a shorthand. What it demands is checked by the search.
    """
    parsed = [_parse(text) for text in texts]
    if len(parsed) > 1:
        return {"and": parsed}
    return parsed[0] if parsed else None


def _parse(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    shorthand = _SHORTHAND.fullmatch(text)
    if shorthand is None:
        raise FilterError(f"cannot read the filter {shorten(text)}; {_EXPECTED}")
    field, operator, value = shorthand.groups()
    return {field: {_OPERATORS[operator]: _scalar(value.strip())}}


def _parse_json(text: str) -> dict[str, Any]:
    try:
        expression = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FilterError(f"the filter {shorten(text)} is not JSON: {reason}") from error
    if not isinstance(expression, dict):  # unreachable for JSON that starts with a brace
        raise FilterError(f"the filter {shorten(text)} is not a JSON object")
    return expression


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (str, int, float)) else text
