"""Putting the metadata columns of several segments together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from sparsearch.index.columns import Column
from sparsearch.index.strings import PackedStrings, pack_strings

__all__ = ["merge_columns"]

Array = npt.NDArray[Any]
Keys = Union[Sequence[Any], Array]  # noqa: UP007 - evaluated at run time on Python 3.10


def merge_columns(
    parts: Sequence[tuple[Mapping[str, Column], npt.NDArray[np.int64]]],
) -> dict[str, Column]:
    """Return the columns of one segment that holds the documents of several.

    Parameters
    ----------
    parts : sequence of (columns, new_rows)
        Each segment's, and where its documents go, -1 for those that are deleted; ascending over
        all segments.

    Returns
    -------
    dict of str to Column
        By field name, in order of first appearance, without fields and keys that no document has.
    """
    names = dict.fromkeys(name for columns, _ in parts for name in columns)
    merged = {
        name: _merge([(columns[name], rows) for columns, rows in parts if name in columns])
        for name in names
    }
    return {name: column for name, column in merged.items() if len(column.rows)}


def _merge(parts: Sequence[tuple[Column, npt.NDArray[np.int64]]]) -> Column:
    keys, places = _union([column for column, _ in parts])
    numbers, rows = [], []
    for (column, new_rows), own in zip(parts, places, strict=True):
        moved = new_rows[column.rows]
        numbers.append(np.repeat(own, np.diff(column.starts))[moved >= 0])
        rows.append(moved[moved >= 0])
    of_rows = np.concatenate(numbers)
    # A key's documents stay in order: segments come one after another.
    ordered = np.concatenate(rows)[np.argsort(of_rows, kind="stable")].astype(np.uint32)
    counts = np.bincount(of_rows, minlength=sum(map(len, keys)))
    starts = np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64)
    kept = np.split(counts > 0, np.cumsum([len(kind) for kind in keys[:-1]]))
    booleans, integers, floats, strings = (
        list(itertools.compress(kind, own)) for kind, own in zip(keys, kept, strict=True)
    )
    packed = PackedStrings(*pack_strings(strings))
    return Column((booleans, integers, floats, packed), starts, ordered)


def _union(columns: Sequence[Column]) -> tuple[list[Keys], list[npt.NDArray[np.int64]]]:
    """Return the keys of all columns, kind by kind, and at which place each column's keys are."""
    kinds: list[tuple[Keys, list[npt.NDArray[np.int64]]]] = [
        _union_of([column.keys[0] for column in columns]),
        _union_of_numbers([np.asarray(column.keys[1], np.int64) for column in columns]),
        _union_of_numbers([np.asarray(column.keys[2], np.float64) for column in columns]),
        _union_of([column.keys[3].encoded() for column in columns]),
    ]
    firsts = itertools.accumulate([len(keys) for keys, _ in kinds[:-1]], initial=0)
    places = [
        [first + own for own in of_columns]
        for first, (_, of_columns) in zip(firsts, kinds, strict=True)
    ]
    return [keys for keys, _ in kinds], [np.concatenate(own) for own in zip(*places, strict=True)]


def _union_of(sequences: Sequence[Keys]) -> tuple[Keys, list[npt.NDArray[np.int64]]]:
    """Return what any of them holds, sorted, and the places of each one's."""
    keys = sorted(set(itertools.chain.from_iterable(sequences)))
    place = {key: number for number, key in enumerate(keys)}
    places = (np.fromiter(map(place.__getitem__, own), np.int64, len(own)) for own in sequences)
    return keys, list(places)


def _union_of_numbers(arrays: Sequence[Array]) -> tuple[Array, list[npt.NDArray[np.int64]]]:
    """Return the same of arrays."""
    keys, places = np.unique(np.concatenate(arrays), return_inverse=True)
    return keys, np.split(places.astype(np.int64), np.cumsum([len(own) for own in arrays[:-1]]))
