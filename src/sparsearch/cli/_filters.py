"""Filters as they are typed: JSON, or the shorthand ``year>=2020``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import typer

from sparsearch.errors import FilterError, InvalidInputError, shorten
from sparsearch.strict_json import parse_json

__all__ = ["parse_filters", "typed_filter"]

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


def typed_filter(texts: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the filter that the option ``--filter`` gives; None where it is not given.

    Raises
    ------
    typer.BadParameter
        As `parse_filters`.
    """
    try:
        return parse_filters(texts or [])
    except FilterError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from error


def _parse(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    shorthand = _SHORTHAND.fullmatch(text)
    if shorthand is None:
        raise FilterError(f"cannot read the filter {shorten(text)}; {_EXPECTED}")
    field, operator, value = (part.strip() for part in shorthand.groups())
    if value.startswith(("<", ">", "=", "!")):
        known = " ".join(_OPERATORS)
        reason = f"{operator + value[0]!r} is no operator; known are: {known}"
        raise FilterError(f'{reason} (a value that begins so is written in quotes: {field}="...")')
    return {field: {_OPERATORS[operator]: _scalar(value)}}


def _parse_json(text: str) -> dict[str, Any]:
    try:
        expression = parse_json(text)
    except InvalidInputError as error:
        raise FilterError(f"the filter {shorten(text)}: {error}") from error
    if not isinstance(expression, dict):  # unreachable for JSON that starts with a brace
        raise FilterError(f"the filter {shorten(text)} is not a JSON object")
    return expression


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (str, int, float)) else text
