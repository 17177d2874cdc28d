"""The binary files of the BigANN sparse track: ``.csr`` matrices and their ground truth.

Formats as read by https://github.com/harsha-simhadri/big-ann-benchmarks (``dataset_io.py``);
all numbers are little-endian.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsearch.errors import FileFormatError, InvalidVectorError
from sparsearch.files import as_path, replacing
from sparsearch.vectors._checks import checked_csr, row_of
from sparsearch.vectors.batch import SparseVectors

__all__ = ["GroundTruth", "read_bigann_csr", "read_ground_truth", "write_bigann_csr"]


@dataclass(frozen=True)
class GroundTruth:
    """The true nearest vectors of each query, best first.

    Parameters
    ----------
    ids : ndarray of int32, shape (n, k)
        Row numbers of the vectors; -1 where a query has fewer than `k`.
    scores : ndarray of float32, shape (n, k)
        Their inner products with the query.
    """

    ids: NDArray[np.int32]
    scores: NDArray[np.float32]


def read_bigann_csr(path: str | PathLike[str], *, memory_map: bool = True) -> SparseVectors:
    """Read a BigANN ``.csr`` file, checking all of it.

    The file: int64 ``[3]`` rows, columns and entries, int64 ``[rows + 1]`` offsets, int32
    ``[entries]`` term ids, float32 ``[entries]`` weights.

    Parameters
    ----------
    path : str or PathLike
        The file.
    memory_map : bool
        Leave term ids and weights in the file, to be read when they are used. The file must then
        stay as it is. Rows that are not sorted by term id are sorted, in memory.

    Raises
    ------
    FileFormatError
        When the file cannot be read, is truncated or too long, or holds anything but a matrix of
        finite weights.
    """
    data = _Bytes(path, memory_map)
    rows, columns, entries = map(int, data.take("<i8", 3))
    if min(rows, columns, entries) < 0:
        raise data.error(f"negative size: {rows}, {columns}, {entries}")
    data.expect_size(24 + 8 * (rows + 1) + 8 * entries, f"{rows} rows and {entries} entries")
    offsets, indices = data.take("<i8", rows + 1), data.take("<i4", entries)
    try:
        arrays = checked_csr(offsets, indices, data.take("<f4", entries), None, sort=True)
        vectors = SparseVectors.from_trusted(*arrays)
        _check_columns(vectors, columns, f"the {columns} columns")
    except InvalidVectorError as error:
        raise FileFormatError(path, None, str(error)) from error
    return vectors


def write_bigann_csr(
    path: str | PathLike[str], vectors: SparseVectors, *, columns: int | None = None
) -> None:
    """Write a BigANN ``.csr`` file; it appears whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file.
    vectors : SparseVectors
        The matrix; the terms of its vocabulary are not part of the format.
    columns : int, optional
        By default ``vectors.dimension``.

    Raises
    ------
    InvalidVectorError
        When a term id does not fit `columns` or int32.
    """
    columns = vectors.dimension if columns is None else columns
    _check_columns(vectors, columns, f"the {columns} columns")
    _check_columns(vectors, 2**31, "int32, the format's type")
    header = np.array([len(vectors), columns, vectors.nnz], dtype="<i8")
    with replacing(path) as file:
        for array, dtype in (
            (header, "<i8"),
            (vectors.offsets, "<i8"),
            (vectors.term_ids, "<i4"),
            (vectors.weights, "<f4"),
        ):
            file.write(np.ascontiguousarray(array, dtype=dtype).data)


def read_ground_truth(path: str | PathLike[str]) -> GroundTruth:
    """Read a BigANN ground truth file.

    The file: uint32 ``n`` and ``k``, int32 ``[n, k]`` ids, float32 ``[n, k]`` scores.

    Raises
    ------
    FileFormatError
        When the file cannot be read, is truncated or too long, or holds negative ids (but -1) or
        NaN scores.
    """
    data = _Bytes(path, memory_map=False)
    n, k = map(int, data.take("<u4", 2))
    data.expect_size(8 + 8 * n * k, f"{n} queries with {k} neighbours")
    ids, scores = data.take("<i4", n * k), data.take("<f4", n * k)
    for wrong, reason in ((ids < -1, "negative id"), (np.isnan(scores), "NaN score")):
        if wrong.any():
            query = int(wrong.argmax()) // k
            raise FileFormatError(path, None, f"query {query}: {reason}")
    truth = GroundTruth(
        np.ascontiguousarray(ids, dtype=np.int32).reshape(n, k),
        np.ascontiguousarray(scores, dtype=np.float32).reshape(n, k),
    )
    truth.ids.flags.writeable = truth.scores.flags.writeable = False
    return truth


class _Bytes:
    """The bytes of a binary file, taken in order."""

    def __init__(self, path: str | PathLike[str], memory_map: bool) -> None:
        self._path = as_path(path)
        self._taken = 0
        self._bytes: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        try:
            if not memory_map:
                self._bytes = np.fromfile(self._path, dtype=np.uint8)
            elif os.stat(self._path).st_size:  # an empty file cannot be mapped
                self._bytes = np.memmap(self._path, dtype=np.uint8, mode="r")
        except OSError as error:
            raise FileFormatError(path, None, f"cannot be read: {error.strerror}") from error

    def expect_size(self, size: int, content: str) -> None:
        if self._bytes.size != size:
            raise self.error(f"{self._bytes.size} bytes, but {content} take {size}")

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        stop = self._taken + count * np.dtype(dtype).itemsize
        if stop > self._bytes.size:
            raise self.error(f"{self._bytes.size} bytes, less than the header takes")
        part, self._taken = self._bytes[self._taken : stop], stop
        return part.view(dtype)

    def error(self, reason: str) -> FileFormatError:
        # A gzip header alone proves nothing: it is also the start of a matrix of 35,615 rows.
        compressed = self._bytes[:2].tobytes() == b"\x1f\x8b"
        hint = "run gunzip on it first" if compressed else "cut off, or another format"
        return FileFormatError(self._path, None, f"{reason}; {hint}")


def _check_columns(vectors: SparseVectors, columns: int, name: str) -> None:
    if vectors.nnz and int(vectors.term_ids.max()) >= columns:
        position = int((vectors.term_ids >= columns).argmax())
        reason = f"term id {vectors.term_ids[position]} does not fit {name}"
        raise InvalidVectorError(row_of(vectors.offsets, position), reason)
