"""Metadata columns: for each field, its distinct values in order, each with its documents.

A field's values are kept as sorted keys: false, true, integers, other numbers, strings. Because the
keys are sorted and each key's documents are listed one after the other, any comparison selects one
contiguous stretch of the list. Values of different types never compare as equal or ordered; an
integral number is one value whether it was written ``2020`` or ``2020.0``. Nulls count as absent,
lists as all of their elements; nested objects are stored with the document but not in columns.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from sparsearch.index.strings import PackedStrings
from sparsearch.vectors.ranges import places_of

__all__ = ["Column", "ColumnBuilder", "Key", "as_key", "pack_columns", "unpack_columns"]

Array = npt.NDArray[Any]
Key = Union[bool, int, float, str]  # noqa: UP007 - evaluated at run time on Python 3.10

_INT64 = 2**63


def as_key(value: object) -> Key | None:
    """Return the value under which a scalar is found, or None for what is not kept in columns."""
    if isinstance(value, float) and value.is_integer() and -_INT64 <= value < _INT64:
        return int(value)
    return value if isinstance(value, (bool, int, float, str)) else None


def _keys_of(value: object) -> Iterator[Key]:
    values = value if isinstance(value, list) else (value,)
    for item in values:
        key = as_key(item)
        if key is not None:
            yield key


def _kind(key: Key) -> int:
    """Rank of a key's type in the order of keys: booleans, integers, floats, strings."""
    if isinstance(key, bool):
        return 0
    if isinstance(key, int):
        # Larger ones are asked for only, and can be equal to a float only.
        return 1 if -_INT64 <= key < _INT64 else 2
    return 2 if isinstance(key, float) else 3


@dataclass(frozen=True)
class Column:
    """One field of one segment.

    Parameters
    ----------
    keys : tuple of sorted sequences
        Booleans, integers, floats and strings.
    starts : ndarray of int64 [keys + 1]
        Where each key's documents start in `rows`.
    rows : ndarray of uint32
        Rows of the documents that have each key, ascending within a key.
    """

    keys: tuple[Sequence[bool], Sequence[int], Sequence[float], PackedStrings]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]

    def equal(self, key: Key) -> npt.NDArray[np.uint32]:
        """Return the rows that have this very value."""
        return self._between(key, key)

    def compare(self, operator: str, key: Key) -> npt.NDArray[np.uint32]:
        """Return the rows with a value ``<``, ``<=``, ``>`` or ``>=`` a number or string."""
        if isinstance(key, str):
            return self._select(3, operator, key)
        integers = self._select(1, operator, key)
        return np.concatenate([integers, self._select(2, operator, key)])

    def can_compare(self, key: Key) -> bool:
        """Whether there are values that are less or greater than a number or string, or equal."""
        kinds = (3,) if isinstance(key, str) else (1, 2)
        return any(len(self.keys[kind]) for kind in kinds)

    def key(self, place: int) -> Key:
        """Return one of the keys, by its place among all of them."""
        for keys in self.keys:
            if place < len(keys):
                return _plain(keys[place])
            place -= len(keys)
        raise IndexError(place)

    def places(self, keys: Iterable[Key]) -> npt.NDArray[np.int64]:
        """Return the places of those keys that some row has, in no particular order."""
        of_kind: tuple[list[Any], ...] = ([], [], [], [])
        for key in keys:
            of_kind[_kind(key)].append(key)
        found = (
            _places_of(self.keys[0], of_kind[0]),
            _places_of_integers(self.keys[1], of_kind[1]),
            _places_of(self.keys[2], of_kind[2]),
            self.keys[3].places(of_kind[3]),
        )
        return np.concatenate([self._first(kind) + own for kind, own in enumerate(found)])

    def any_of(self, keys: Iterable[Key]) -> npt.NDArray[np.uint32]:
        """Return the rows that have one of these very values; some of them more than once."""
        places = self.places(keys)
        starts, sizes = self.starts[places], self.starts[places + 1] - self.starts[places]
        rows: npt.NDArray[np.uint32] = self.rows[places_of(starts, sizes)]
        return rows

    def key_of_row(self, n_rows: int) -> npt.NDArray[np.int32]:
        """Return the place of each row's key, -1 where it has none or several."""
        places = np.full(n_rows, -1, np.int32)
        counts = np.diff(self.starts)
        places[self.rows] = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        places[np.bincount(self.rows, minlength=n_rows) > 1] = -1
        return places

    def items(self) -> Iterator[tuple[Key, npt.NDArray[np.uint32]]]:
        """Yield each key with its rows, in key order."""
        position = 0
        for kind in self.keys:
            for key in kind:
                yield _plain(key), self.rows[self.starts[position] : self.starts[position + 1]]
                position += 1

    def _first(self, kind: int) -> int:
        return sum(len(keys) for keys in self.keys[:kind])

    def _between(self, low: Key, high: Key) -> npt.NDArray[np.uint32]:
        kind = _kind(low)
        keys: Sequence[Any] = self.keys[kind]
        first = self._first(kind)
        return self._rows(
            first + bisect_left(keys, low, key=_plain), first + bisect_right(keys, high, key=_plain)
        )

    def _select(self, kind: int, operator: str, key: Key) -> npt.NDArray[np.uint32]:
        keys: Sequence[Any] = self.keys[kind]
        bisect = bisect_left if operator in ("<", ">=") else bisect_right
        cut = bisect(keys, key, key=_plain)
        first = self._first(kind)
        if operator in ("<", "<="):
            return self._rows(first, first + cut)
        return self._rows(first + cut, first + len(keys))

    def _rows(self, start: int, stop: int) -> npt.NDArray[np.uint32]:
        return self.rows[self.starts[start] : self.starts[stop]]


def _places_of(known: Sequence[Any], wanted: Sequence[Key]) -> npt.NDArray[np.int64]:
    """Return the places of those wanted that are among the known."""
    places = (bisect_left(known, key, key=_plain) for key in wanted)
    found = [
        place
        for place, key in zip(places, wanted, strict=True)
        if place < len(known) and _plain(known[place]) == key
    ]
    return np.array(found, np.int64)


def _places_of_integers(known: Sequence[int], wanted: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the same of integers of 64 bits."""
    keys = np.array(wanted, np.int64)
    places = np.searchsorted(known, keys)
    inside = places < len(known)
    places, keys = places[inside], keys[inside]
    here: npt.NDArray[np.int64] = places[np.asarray(known)[places] == keys]
    return here


def _plain(key: Any) -> Key:
    """Return a key as Python's own type, which compares integers with floats exactly."""
    plain: Key = key.item() if isinstance(key, np.generic) else key
    return plain


class ColumnBuilder:
    """Collects the columns of a new segment."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[tuple[int, Key], list[Any]]] = {}

    def add(self, row: int, metadata: Mapping[str, object]) -> None:
        """Add one document's metadata; rows must ascend."""
        for name, value in metadata.items():
            for key in _keys_of(value):
                # A bool equals an int as a dictionary key, so the type is part of it.
                rows = self._fields.setdefault(name, {}).setdefault((_kind(key), key), [])
                if not rows or rows[-1] != row:
                    rows.append(row)

    def build(self) -> dict[str, Column]:
        """Return the columns by field name, in order of first appearance."""
        return {name: _column(values) for name, values in self._fields.items()}


def _column(values: Mapping[tuple[int, Key], list[int]]) -> Column:
    ordered = sorted(values.items())
    kinds: tuple[list[Any], ...] = ([], [], [], [])
    for (kind, key), _ in ordered:
        kinds[kind].append(key)
    counts = [len(rows) for _, rows in ordered]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.fromiter((row for _, rows in ordered for row in rows), np.uint32, int(starts[-1]))
    return Column((kinds[0], kinds[1], kinds[2], PackedStrings.of(kinds[3])), starts, rows)


def pack_columns(columns: Mapping[str, Column]) -> tuple[dict[str, Array], list[dict[str, object]]]:
    """Lay all columns of a segment out in a few arrays.

    Returns
    -------
    arrays : dict of str to ndarray
    layout : list of dict
        Per field its name and how many keys of each kind it has.
    """
    layout: list[dict[str, object]] = []
    strings: list[PackedStrings] = []
    parts: dict[str, list[Any]] = {"starts": [], "rows": [], "integers": [], "floats": []}
    for name, column in columns.items():
        booleans, integers, floats, texts = column.keys
        layout.append(
            {
                "name": name,
                "booleans": [bool(value) for value in booleans],
                "counts": [len(integers), len(floats), len(texts)],
                "rows": len(column.rows),
            }
        )
        parts["starts"].append(column.starts)
        parts["rows"].append(column.rows)
        parts["integers"].append(np.asarray(integers, dtype=np.int64))
        parts["floats"].append(np.asarray(floats, dtype=np.float64))
        strings.append(texts)
    dtypes = {"starts": np.int64, "rows": np.uint32, "integers": np.int64, "floats": np.float64}
    arrays = {
        f"column_{part}": np.concatenate([np.empty(0, dtypes[part]), *values]).astype(dtypes[part])
        for part, values in parts.items()
    }
    packed = PackedStrings.concatenate(strings).arrays
    arrays["column_strings"], arrays["column_string_offsets"] = packed
    return arrays, layout


def unpack_columns(arrays: Mapping[str, Array], layout: Iterable[Any]) -> dict[str, Column]:
    """Return the columns laid out by `pack_columns`, as views of its arrays."""
    columns = {}
    at = {"starts": 0, "rows": 0, "integers": 0, "floats": 0, "strings": 0}

    def take(part: str, count: int) -> Array:
        start = at[part]
        at[part] = start + count
        return arrays[f"column_{part}"][start : start + count]

    for field in layout:
        n_integers, n_floats, n_strings = field["counts"]
        n_keys = len(field["booleans"]) + n_integers + n_floats + n_strings
        first = at["strings"]
        at["strings"] += n_strings
        offsets = arrays["column_string_offsets"][first : first + n_strings + 1]
        integers: Any = take("integers", n_integers)
        floats: Any = take("floats", n_floats)
        columns[field["name"]] = Column(
            (field["booleans"], integers, floats, PackedStrings(arrays["column_strings"], offsets)),
            take("starts", n_keys + 1),
            take("rows", field["rows"]),
        )
    return columns
