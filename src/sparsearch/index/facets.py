"""Counting the values of metadata fields, for those who choose filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsearch.index.allowed import Allowed
from sparsearch.index.columns import Column, Key
from sparsearch.index.filters import Mask
from sparsearch.index.snapshot import Snapshot

__all__ = ["Facet", "count_values"]

_MOST_VALUES = 10_000
"""Values that are worth telling apart; ids and titles have more, and nobody chooses among them."""


@dataclass(frozen=True)
class Facet:
    """One metadata field and its most frequent values.

    Parameters
    ----------
    field : str
    values : tuple of (value, int)
        Value and how many documents have it: most frequent first, then by type and value.
    complete : bool
        Whether these are all values. A field with more than ten thousand in one segment has none.
    """

    field: str
    values: tuple[tuple[Key, int], ...]
    complete: bool


def count_values(snapshot: Snapshot, field: str, allowed: Allowed, limit: int) -> Facet:
    """Count the values of a field among the documents that a search may return.

    Raises
    ------
    FilterError
        If there are documents, but none has, or had, the field.
    """
    if snapshot.n_live and not snapshot.knows(field):
        raise snapshot.unknown_field(field)
    # Keyed by type too: True equals 1 as a key.
    totals: dict[tuple[str, Key], int] = {}
    for segment, mask in zip(snapshot.segments, allowed.masks, strict=True):
        column = segment.columns.get(field)
        if column is None:
            continue
        if len(column.starts) - 1 > _MOST_VALUES:
            return Facet(field, (), complete=False)
        try:
            counts = _count(column, mask)
        except (IndexError, ValueError) as error:
            raise segment.damage("metadata") from error
        for key, count in counts:
            entry = type(key).__name__, key
            totals[entry] = totals.get(entry, 0) + count
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    values = tuple((key, count) for (_, key), count in ranked[:limit])
    return Facet(field, values, complete=len(ranked) <= limit)


def _count(column: Column, mask: Mask) -> list[tuple[Key, int]]:
    """Return the keys that documents of the mask have, and how many documents; empty means all."""
    chosen = mask[column.rows] if mask.size else np.ones(len(column.rows), np.bool_)
    # Documents up to each start; a key's count is the difference of two of them.
    before = np.concatenate([[0], np.cumsum(chosen)])[column.starts]
    counts = np.diff(before).tolist()
    return [(key, n) for (key, _), n in zip(column.items(), counts, strict=True) if n]
