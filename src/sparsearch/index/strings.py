"""Many strings in one array."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.kernels.lookup import find_strings

__all__ = ["PackedStrings", "pack_strings"]


def pack_strings(strings: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Join byte strings; return the bytes and where each starts, and the last one ends."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return np.frombuffer(b"".join(strings), dtype=np.uint8), offsets


class PackedStrings(Sequence[str]):
    """Strings in UTF-8, decoded on demand; parameters as `pack_strings` returns them."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self._data = data
        self._offsets = offsets

    @classmethod
    def of(cls, strings: Sequence[str]) -> PackedStrings:
        """Put strings together; lone surrogates may be looked for, and are never found."""
        return cls(*pack_strings([string.encode("utf-8", "surrogatepass") for string in strings]))

    @classmethod
    def concatenate(cls, parts: Sequence[PackedStrings]) -> PackedStrings:
        """Put the strings of several one after another."""
        data = [part._data[part._offsets[0] : part._offsets[-1]] for part in parts]
        lengths = [np.diff(part._offsets) for part in parts]
        offsets = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.uint8), *data]), offsets)

    def encoded(self) -> list[bytes]:
        """Return all strings in UTF-8."""
        first, last = self._offsets[0], self._offsets[-1]
        data, offsets = self._data[first:last].tobytes(), (self._offsets - first).tolist()
        return [data[start:stop] for start, stop in itertools.pairwise(offsets)]

    @property
    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The parameters that they were made with."""
        return self._data, self._offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        start, stop = self._offsets[index], self._offsets[index + 1]
        return bytes(self._data[start:stop]).decode()

    def places(self, wanted: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the places of those that are here, given that these are sorted."""
        packed = PackedStrings.of(wanted)
        found = np.empty(len(wanted), np.int64)
        find_strings(self._data, self._offsets, packed._data, packed._offsets, found)
        return found[found >= 0]
