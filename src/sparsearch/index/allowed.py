"""Which documents a search may return: deletions and filters as masks, one a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsearch.errors import FilterError, shorten
from sparsearch.index.filters import Filter, Filterable, Mask
from sparsearch.index.id_column import ID_FIELD, IdColumn, refuse_order
from sparsearch.index.segment import Segment

__all__ = ["Allowed", "KnownFilters", "filter_key", "refuse_incomparable", "segment_mask"]

_KNOWN_BYTES = 64 * 1024 * 1024
_LONGEST_KEY = 10_000
_KEY_PART_BYTES = 200
_KEY_TYPES = (dict, list, tuple, str, int, float, bool, type(None))


@dataclass(frozen=True)
class Allowed:
    """The documents that a search may return.

    Parameters
    ----------
    masks : tuple of ndarray of bool
        One a segment; an empty array where all its documents may be returned.
    few : ndarray of int64 or None
        Their numbers, ascending, if there are so few that scoring them one by one is fastest.
    """

    masks: tuple[Mask, ...]
    few: npt.NDArray[np.int64] | None


class KnownFilters:
    """What filters that were asked for before came to, in a bounded number of bytes."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], Allowed] = {}
        self._bytes = 0

    def __getitem__(self, key: tuple[object, ...]) -> Allowed | None:
        # A dictionary looks up and inserts as a whole, so threads need no lock.
        return self._found.get(key)

    def keep(self, key: tuple[object, ...], allowed: Allowed) -> None:
        """Remember a filter, and forget all others when they have become too much."""
        held = sum(mask.nbytes for mask in allowed.masks)
        held += 0 if allowed.few is None else allowed.few.nbytes
        # A key may be larger than what it stands for: lists of ids, as of what a user may see.
        held += _KEY_PART_BYTES * (len(key) + 1) + 4 * _LONGEST_KEY
        if self._bytes + held > _KNOWN_BYTES:
            self._found, self._bytes = {}, 0
        self._found[key] = allowed
        self._bytes += held


def segment_mask(segment: Segment, deleted: Mask | None, condition: Filter | None) -> Mask:
    """Return the documents of a segment that are not deleted and meet a condition, if any.

    Raises
    ------
    FilterError
        If the condition cannot be applied to the values that are there.
    IndexCorruptError
        If the segment's metadata is damaged.
    """
    live = np.empty(0, np.bool_) if deleted is None else ~deleted
    if condition is None:
        return live
    try:
        columns: dict[str, Filterable] = {**segment.columns, ID_FIELD: IdColumn(segment)}
        matching = condition.mask(columns, segment.n_documents)
    except FilterError:
        raise
    except (IndexError, ValueError, MemoryError) as error:
        raise segment.damage("metadata") from error
    return matching if deleted is None else matching & live


def refuse_incomparable(condition: Filter, segments: Sequence[Segment]) -> None:
    """Refuse comparisons with a type that no document has in that field.

    Raises
    ------
    FilterError
        Names the field, the value and what to give instead.
    """
    for name, key in sorted(condition.ordered, key=str):
        if name == ID_FIELD:
            raise refuse_order()
        columns = [segment.columns[name] for segment in segments if name in segment.columns]
        if columns and not any(column.can_compare(key) for column in columns):
            kind, other = ("string", "number") if isinstance(key, str) else ("number", "string")
            instead = 0 if isinstance(key, str) else ""
            hint = f"give a {other}, as the documents do"
            if not any(column.can_compare(instead) for column in columns):
                hint = "true and false have no order"
            raise FilterError(
                f"field {shorten(name)}: no document has a {kind} there to compare with "
                f"{shorten(key)}; {hint}"
            )


def filter_key(expression: object) -> tuple[object, ...] | None:
    """Return what tells a filter from all others; None if it is not worth keeping.

    Only filters made of built-in types have a key: what other mappings and sequences hold, or say
    of themselves, need not tell two of them apart.
    """
    key: list[object] = []
    room = _LONGEST_KEY
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        kind = type(part)
        size = len(part) if isinstance(part, (dict, list, tuple, str)) else 1
        room -= size + 1
        if kind not in _KEY_TYPES or room < 0:
            return None
        if isinstance(part, dict):
            key.append((kind, size))
            waiting += [entry for item in part.items() for entry in item]
        elif isinstance(part, (list, tuple)):
            key.append((kind, size))
            waiting += part
        else:
            # With its type, because 1, 1.0 and True are equal.
            key.append((kind, part))
    return tuple(key)
