"""What spoiled input says, read a second time: plainly, and straight from the documentation."""

from __future__ import annotations

import json
import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np

from sparsearch.readers import ID_FIELDS, TEXT_FIELDS

__all__ = ["plain_csr", "plain_document", "plain_vector", "plain_weights", "storable"]


def strict_json(line: bytes, *, finite: bool) -> Any:
    """Return what a line says; ValueError or RecursionError if it says nothing."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    value = json.loads(line.decode(), object_pairs_hook=unique, parse_constant=_refuse)
    json.dumps(value, ensure_ascii=False, allow_nan=not finite).encode()
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def plain_document(line: bytes) -> dict[str, Any] | None:
    """Return the document of a line, None if it holds none."""
    try:
        value = strict_json(line, finite=True)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    id_field = next((name for name in ID_FIELDS if name in value), None)
    text_field = next((name for name in TEXT_FIELDS if name in value), None)
    if id_field is None or (text_field is None and "title" not in value):
        return None
    document_id = plain_id(value.pop(id_field))
    document = {"id": document_id}
    for name, field in (("title", "title"), ("text", text_field)):
        if field in value:
            document[name] = "" if value[field] is None else value[field]
            del value[field]
    if not document_id or not all(isinstance(given, str) for given in document.values()):
        return None
    inner = value.pop("metadata") if isinstance(value.get("metadata"), dict) else {}
    for name, given in [*value.items(), *inner.items()]:
        name += "_" if name in ("id", "title", "text") else ""
        if name in document:
            return None
        document[name] = given
    return document


def plain_id(value: Any) -> str:
    """Return an id as a string, empty if it cannot be one."""
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) else ""


def storable(value: Any, depth: int = 0) -> bool:
    """Return whether an index can keep a value."""
    if depth > 100:
        return False
    inner = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inner, list):
        return all(storable(one, depth + 1) for one in inner)
    return not isinstance(inner, int) or -(2**63) <= inner < 2**63


def plain_weights(vector: Any) -> dict[Any, float] | None:
    """Return weights as they are kept, None where one cannot be."""
    kept = {}
    for term, weight in vector.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            return None
        if not abs(weight) < 2.0**128 - 2.0**103:  # from there on rounded to infinity; or NaN
            return None
        kept[term] = kept_weight(weight)
    return kept


def kept_weight(weight: float) -> float:
    """Return a weight as float32, but one that is not zero as none."""
    kept = float(np.float32(weight))
    smallest = float(np.finfo(np.float32).tiny)
    return math.copysign(smallest, weight) if weight != 0 and kept == 0 else kept


def plain_vector(line: bytes) -> tuple[Any, ...] | None:
    """Return id, contents, weights and metadata of a line, None if it holds no vector."""
    try:
        value = strict_json(line, finite=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("vector"), dict):
        return None
    if {"id", "_id"} <= value.keys() or {"contents", "text"} <= value.keys():
        return None
    vector_id = plain_id(value.pop("id", value.pop("_id", None)))
    contents = value.pop("contents", value.pop("text", ""))
    weights = plain_weights(value.pop("vector"))
    if not vector_id or not isinstance(contents, str) or weights is None:
        return None
    return vector_id, contents, weights, value


def plain_csr(data: bytes) -> list[dict[int, float]]:
    """Return the rows of a well-formed BigANN file."""
    rows, _, entries = struct.unpack_from("<3q", data)
    offsets = struct.unpack_from(f"<{rows + 1}q", data, 24)
    term_ids = struct.unpack_from(f"<{entries}i", data, 32 + 8 * rows)
    weights = struct.unpack_from(f"<{entries}f", data, 32 + 8 * rows + 4 * entries)
    return [
        dict(zip(term_ids[start:stop], weights[start:stop], strict=True))
        for start, stop in pairwise(offsets)
    ]
