"""Vectors as memory-mapped ``.npy`` files, and what a folder weighs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sparsearch import SparseVectors

DTYPES = {"offsets": np.int64, "terms": np.uint32, "weights": np.float32}


class GrowingArray:
    """A ``.npy`` file that is written piece by piece."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._size = 0
        self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._size,)}
        self._file.seek(0)
        npy.write_array_header_1_0(self._file, header)

    def append(self, values: NDArray[Any]) -> None:
        """Write values at the end."""
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._size += values.size

    def close(self) -> None:
        """Write how many values there are."""
        self._write_header()
        self._file.close()


def save_vectors(folder: Path, batches: Iterable[SparseVectors], prefix: str = "") -> None:
    """Write the rows of all batches, one batch in memory at a time."""
    files = [GrowingArray(folder / f"{prefix}{name}.npy", DTYPES[name]) for name in DTYPES]
    offsets, terms, weights = files
    offsets.append(np.zeros(1))
    entries = 0
    for batch in batches:
        offsets.append(batch.offsets[1:] + entries)
        terms.append(batch.term_ids)
        weights.append(batch.weights)
        entries += batch.nnz
    for file in files:
        file.close()


def load_vectors(folder: Path, prefix: str = "") -> SparseVectors:
    """Map the three arrays of a batch."""
    arrays = [np.load(folder / f"{prefix}{name}.npy", mmap_mode="r") for name in DTYPES]
    return SparseVectors(*arrays)


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
