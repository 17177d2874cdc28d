"""The semantics of filters, written the plain way over one document at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def values_of(metadata: Mapping[str, Any], field: str) -> list[Any]:
    """Return the scalars a field can be found by."""
    value = metadata.get(field)
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, (bool, int, float, str))]


def fields_of(expression: Mapping[str, Any]) -> Iterator[str]:
    """Yield every field that a filter names."""
    for name, value in expression.items():
        if name in ("and", "or"):
            for part in value:
                yield from fields_of(part)
        elif name == "not":
            yield from fields_of(value)
        else:
            yield name


def ordered_in(expression: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every field whose values are to be less or greater than something, and that."""
    for name, value in expression.items():
        if name in ("and", "or"):
            for part in value:
                yield from ordered_in(part)
        elif name == "not":
            yield from ordered_in(value)
        elif isinstance(value, dict):
            yield from ((name, operand) for op, operand in value.items() if op in _COMPARE)


def has_kind(documents: list[dict[str, Any]], field: str, operand: Any) -> bool:
    """Return whether a document has a value of the operand's type in a field."""
    values = [value for document in documents for value in values_of(document, field)]
    return any(_kind(value) is _kind(operand) for value in values)


def matches(metadata: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """Return whether a document meets a filter."""
    return all(_entry(metadata, name, value) for name, value in expression.items())


def _entry(metadata: Mapping[str, Any], name: str, value: Any) -> bool:
    if name == "and":
        return all(matches(metadata, part) for part in value)
    if name == "or":
        return any(matches(metadata, part) for part in value)
    if name == "not":
        return not matches(metadata, value)
    conditions = value if isinstance(value, dict) else {"==": value}
    values = values_of(metadata, name)
    return all(_condition(values, op, operand) for op, operand in conditions.items())


def _condition(values: list[Any], op: str, operand: Any) -> bool:
    if op == "exists":
        return bool(values) == operand
    if op == "!=":
        return not _condition(values, "==", operand)
    if op == "in":
        return any(_condition(values, "==", one) for one in operand)
    alike = [value for value in values if _kind(value) is _kind(operand)]
    if op == "==":
        return any(value == operand for value in alike)
    return any(_COMPARE[op](value, operand) for value in alike)


def _kind(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float
