"""Metadata filters: checked once, then turned into a mask of documents per segment.

::

    {"year": 2020}                            equal
    {"year": {">=": 2020, "<": 2024}}         all conditions of a field hold
    {"kind": {"in": ["class", "function"]}}   any of the values
    {"doi": {"exists": True}}                 the document has the field
    {"year": 2020, "kind": "class"}           all fields hold
    {"and": [...]}, {"or": [...]}, {"not": {...}}

The field ``id`` is the document's; it has no order. ``!=`` is the negation of ``==``, so documents
without the field match it too. A value of another type is not equal, and neither less nor greater;
asking for less or greater is an error where no document has a value of the type. For a list field,
a condition holds if one element meets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import FilterError, shorten
from sparsearch.index.columns import Column, Key, as_key
from sparsearch.index.id_column import IdColumn

__all__ = ["Filter", "Filterable", "Mask", "parse_filter"]

Mask = npt.NDArray[np.bool_]
"""Which documents of a segment; in an `Allowed`, an empty one stands for all."""

Filterable = Column | IdColumn
_MAX_DEPTH = 32
_ORDERED = ("<", "<=", ">", ">=")
_OPERATORS = ("==", "!=", *_ORDERED, "in", "exists")


class Filter:
    """A checked filter.

    Parameters
    ----------
    evaluate : callable
        From a segment's columns and its number of documents to the mask of those that match.
    fields : set of str
        Every field the filter names.
    ordered : set of (str, int or float or str)
        Fields and what their values are to be less or greater than.
    """

    def __init__(
        self,
        evaluate: Callable[[Mapping[str, Filterable], int], Mask],
        fields: frozenset[str],
        ordered: frozenset[tuple[str, Key]] = frozenset(),
    ) -> None:
        self.mask = evaluate
        self.fields = fields
        self.ordered = ordered


def parse_filter(expression: object) -> Filter:
    """Check a filter expression (see the module's documentation for its form).

    Raises
    ------
    FilterError
        Naming the part that is wrong.
    """
    return _parse(expression, 0)


def _parse(expression: object, depth: int) -> Filter:
    if depth > _MAX_DEPTH:
        raise FilterError(f"the filter is nested more than {_MAX_DEPTH} levels deep")
    if not isinstance(expression, Mapping):
        raise FilterError(f"a filter must be a mapping, not {shorten(expression)}")
    if not expression:
        raise FilterError("the filter is empty; it needs a condition")
    return _all([_parse_entry(name, value, depth) for name, value in expression.items()])


def _parse_entry(name: object, value: object, depth: int) -> Filter:
    if not isinstance(name, str):
        raise FilterError(f"a filter's key must be a field name, not {shorten(name)}")
    if name in ("and", "or"):
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or not value:
            raise FilterError(f"{name!r} takes a list of filters, not {shorten(value)}")
        parts = [_parse(part, depth + 1) for part in value]
        return _all(parts) if name == "and" else _any(parts)
    if name == "not":
        return _not(_parse(value, depth + 1))
    if not isinstance(value, Mapping):
        return _condition(name, "==", value)
    if not value:
        raise FilterError(f"field {name!r} has no condition; known are {', '.join(_OPERATORS)}")
    return _all([_condition(name, operator, operand) for operator, operand in value.items()])


def _condition(field: str, operator: object, operand: object) -> Filter:
    if operator == "exists":
        if not isinstance(operand, bool):
            raise FilterError(f"field {field!r}: 'exists' takes true or false")
        present = _rows(field, lambda column: column.rows)
        return present if operand else _not(present)
    if operator == "in":
        return _in(field, operand)
    if operator == "==":
        key = _scalar(field, operator, operand)
        return _rows(field, lambda column: column.equal(key))
    if operator == "!=":
        return _not(_condition(field, "==", operand))
    if operator in _ORDERED:
        key = _scalar(field, operator, operand)
        if isinstance(key, bool):
            raise FilterError(f"field {field!r}: {operator!r} takes a number or a string")
        name = str(operator)
        compared = _rows(field, lambda column: column.compare(name, key))
        return Filter(compared.mask, compared.fields, frozenset([(field, key)]))
    known = ", ".join(_OPERATORS)
    raise FilterError(f"field {field!r}: unknown operator {shorten(operator)}; known are {known}")


def _in(field: str, operand: object) -> Filter:
    if isinstance(operand, (str, bytes)) or not isinstance(operand, Sequence):
        raise FilterError(f"field {field!r}: 'in' takes a list, not {shorten(operand)}")
    keys = [_scalar(field, "in", value) for value in operand]
    return _rows(field, lambda column: column.any_of(keys))


def _scalar(field: str, operator: object, operand: object) -> Any:
    if isinstance(operand, float) and not math.isfinite(operand):
        raise FilterError(f"field {field!r}: {operand} cannot be compared with")
    key = as_key(operand)
    if key is None:
        hint = "; to test for absence use {'exists': false}" if operand is None else ""
        raise FilterError(
            f"field {field!r}: {shorten(operator)} takes a string, number or boolean, "
            f"not {shorten(operand)}{hint}"
        )
    return key


def _rows(field: str, select: Callable[[Filterable], npt.NDArray[np.uint32]]) -> Filter:
    def evaluate(columns: Mapping[str, Filterable], n_documents: int) -> Mask:
        mask = np.zeros(n_documents, dtype=np.bool_)
        if field in columns:
            mask[select(columns[field])] = True
        return mask

    return Filter(evaluate, frozenset([field]))


def _joined(
    evaluate: Callable[[Mapping[str, Filterable], int], Mask], parts: Sequence[Filter]
) -> Filter:
    fields = frozenset[str]().union(*(part.fields for part in parts))
    ordered = frozenset[tuple[str, Key]]().union(*(part.ordered for part in parts))
    return Filter(evaluate, fields, ordered)


def _all(parts: Sequence[Filter]) -> Filter:
    def evaluate(columns: Mapping[str, Filterable], n_documents: int) -> Mask:
        mask = np.ones(n_documents, np.bool_)
        for part in parts:
            mask &= part.mask(columns, n_documents)
        return mask

    return parts[0] if len(parts) == 1 else _joined(evaluate, parts)


def _any(parts: Sequence[Filter]) -> Filter:
    def evaluate(columns: Mapping[str, Filterable], n_documents: int) -> Mask:
        mask = np.zeros(n_documents, np.bool_)
        for part in parts:
            mask |= part.mask(columns, n_documents)
        return mask

    return _joined(evaluate, parts)


def _not(part: Filter) -> Filter:
    return _joined(lambda columns, n: ~part.mask(columns, n), [part])
