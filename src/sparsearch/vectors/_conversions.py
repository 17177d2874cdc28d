"""Other forms of sparse vectors, made into CSR arrays: dicts, coordinates, scipy, torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsearch.errors import InvalidInputError, InvalidVectorError, MissingExtraError, shorten
from sparsearch.vectors._checks import CsrArrays, checked_csr, row_of
from sparsearch.vectors.vocabulary import Vocabulary

if TYPE_CHECKING:
    import scipy.sparse
    import torch

__all__ = ["DictRows", "csr_from_scipy", "csr_from_torch", "csr_to_scipy", "csr_to_torch"]


class DictRows:
    """Mappings of term to weight, flattened and checked.

    Parameters
    ----------
    rows : iterable of mapping
        One mapping per vector.

    Raises
    ------
    InvalidVectorError
        When a row is not a mapping, or a weight not a number.
    """

    def __init__(self, rows: Iterable[Mapping[Any, Any]]) -> None:
        self._keys: list[Any] = []
        values: list[Any] = []
        ends = [0]
        if not isinstance(rows, Iterable):
            raise InvalidInputError(f"rows are {shorten(rows)}, not mappings of term to weight")
        for row, vector in enumerate(rows):
            if not isinstance(vector, Mapping):
                reason = f"{shorten(vector)} is not a mapping of term to weight"
                raise InvalidVectorError(row, reason)
            self._keys.extend(vector.keys())
            values.extend(vector.values())
            ends.append(len(self._keys))
        self._offsets = np.array(ends, dtype=np.int64)
        self._weights = self._as_weights(values)
        self.has_strings = self._all_strings()

    def to_csr(self, vocabulary: Vocabulary | None, extend: bool) -> CsrArrays:
        """Return the rows as CSR arrays, their string terms looked up in `vocabulary`."""
        if self.has_strings and vocabulary is not None:
            term_ids = self._known_ids(vocabulary, extend)
        else:
            term_ids = self._integer_ids()
        return checked_csr(self._offsets, term_ids, self._weights, vocabulary, sort=True)

    def _all_strings(self) -> bool:
        kinds = set(map(type, self._keys))
        strings = {kind for kind in kinds if issubclass(kind, str)}
        integers = {kind for kind in kinds - {bool} if issubclass(kind, Integral)}
        for position, key in enumerate(self._keys) if kinds - strings - integers else ():
            if type(key) not in strings | integers:
                reason = f"term {shorten(key)} is neither a string nor an integer"
                raise self._error(position, reason)
        if strings and integers:
            other = integers if type(self._keys[0]) in strings else strings
            position = next(at for at, key in enumerate(self._keys) if type(key) in other)
            reason = "strings and integers are mixed; use one kind of term throughout"
            raise self._error(position, reason)
        return bool(strings)

    def _known_ids(self, vocabulary: Vocabulary, extend: bool) -> NDArray[np.int64]:
        keys, ids = self._keys, vocabulary.ids
        if not extend:
            unknown = next((at for at, key in enumerate(keys) if key not in vocabulary), None)
            if unknown is not None:
                reason = f"term {shorten(keys[unknown])} is not in the vocabulary"
                raise self._error(unknown, reason)
        try:
            return np.fromiter(map(ids.__getitem__, keys), dtype=np.int64, count=len(keys))
        except InvalidInputError as error:  # of the first term that could not be added
            position = next(at for at, key in enumerate(keys) if key not in vocabulary)
            raise self._error(position, str(error)) from error

    def _integer_ids(self) -> NDArray[np.int64]:
        try:
            return np.fromiter(self._keys, dtype=np.int64, count=len(self._keys))
        except OverflowError as error:
            limit = 2**32
            position = next(at for at, key in enumerate(self._keys) if not 0 <= key < limit)
            reason = f"a term id is not an integer from 0 to {limit - 1}"
            raise self._error(position, reason) from error

    def _as_weights(self, values: list[Any]) -> NDArray[np.float64]:
        if not set(map(type, values)) <= {float, int}:
            for position, value in enumerate(values):
                if isinstance(value, bool) or not isinstance(value, Real):
                    term = shorten(self._keys[position])
                    reason = f"weight {shorten(value)} of term {term} is not a number"
                    raise self._error(position, reason)
        try:
            return np.fromiter(map(float, values), dtype=np.float64, count=len(values))
        except OverflowError as error:
            position = next(at for at, value in enumerate(values) if _overflows(value))
            reason = f"the weight of term {shorten(self._keys[position])} is too large for float32"
            raise self._error(position, reason) from error

    def _error(self, position: int, reason: str) -> InvalidVectorError:
        return InvalidVectorError(row_of(self._offsets, position), reason)


def _overflows(value: Real) -> bool:
    try:
        float(value)
    except OverflowError:
        return True
    return False


def csr_from_scipy(
    matrix: scipy.sparse.sparray | scipy.sparse.spmatrix, vocabulary: Vocabulary | None
) -> CsrArrays:
    """Return a scipy sparse matrix of any format as CSR arrays; duplicates are not summed."""
    if not _scipy_sparse().issparse(matrix):
        raise InvalidVectorError(None, f"{type(matrix).__name__} is not a scipy sparse matrix")
    any_matrix: Any = matrix  # each format has its own attributes
    if any_matrix.ndim != 2:
        raise InvalidVectorError(None, f"the matrix has {any_matrix.ndim} dimensions, not 2")
    if any_matrix.format == "csr":
        parts = any_matrix.indptr, any_matrix.indices, any_matrix.data
        return checked_csr(*parts, vocabulary, sort=True)
    coordinates = any_matrix.tocoo()  # unlike tocsr(), leaves duplicates as they are
    return _csr_from_coordinates(
        coordinates.row, coordinates.col, coordinates.data, any_matrix.shape[0], vocabulary
    )


def csr_to_scipy(arrays: CsrArrays, columns: int) -> scipy.sparse.csr_array[np.float32]:
    """Return the arrays, copied, as a ``csr_array`` of `columns` columns."""
    index_dtype = np.int32 if columns <= 2**31 and arrays.weights.size < 2**31 else np.int64
    indices, indptr = arrays.term_ids.astype(index_dtype), arrays.offsets.astype(index_dtype)
    shape = (arrays.offsets.size - 1, columns)
    matrix: scipy.sparse.csr_array[np.float32] = _scipy_sparse().csr_array(
        (arrays.weights.copy(), indices, indptr), shape=shape
    )
    return matrix


def csr_from_torch(tensor: torch.Tensor, vocabulary: Vocabulary | None) -> CsrArrays:
    """Return a 2-D sparse COO or CSR tensor on any device as CSR arrays."""
    torch = _torch()
    if not isinstance(tensor, torch.Tensor):
        raise InvalidVectorError(None, f"{type(tensor).__name__} is not a torch tensor")
    if tensor.ndim != 2:
        raise InvalidVectorError(None, f"the tensor has {tensor.ndim} dimensions, not 2")
    tensor = tensor.detach().cpu()
    if tensor.layout == torch.sparse_csr:
        indptr, indices = tensor.crow_indices().numpy(), tensor.col_indices().numpy()
        weights = _torch_weights(tensor.values())
        return checked_csr(indptr, indices, weights, vocabulary, sort=True)
    if tensor.layout != torch.sparse_coo or tensor.dense_dim():
        reason = f"the tensor's layout is {tensor.layout}; convert it with to_sparse()"
        raise InvalidVectorError(None, reason)
    # indices() would demand coalesce(), which sums duplicates without a word.
    rows, columns = tensor._indices().numpy()
    weights = _torch_weights(tensor._values())
    return _csr_from_coordinates(rows, columns, weights, tensor.shape[0], vocabulary)


def csr_to_torch(arrays: CsrArrays, columns: int) -> torch.Tensor:
    """Return the arrays, copied, as a coalesced float32 COO tensor of `columns` columns."""
    torch = _torch()
    rows = np.repeat(np.arange(arrays.offsets.size - 1), np.diff(arrays.offsets))
    indices = torch.from_numpy(np.stack([rows, arrays.term_ids.astype(np.int64)]))
    weights = torch.from_numpy(arrays.weights.copy())
    shape = (arrays.offsets.size - 1, columns)
    return torch.sparse_coo_tensor(
        indices, weights, shape, is_coalesced=True, check_invariants=False
    )


def _csr_from_coordinates(
    rows: NDArray[Any],
    columns: NDArray[Any],
    weights: NDArray[Any],
    row_count: int,
    vocabulary: Vocabulary | None,
) -> CsrArrays:
    if rows.size and not 0 <= rows.min() <= rows.max() < row_count:
        raise InvalidVectorError(None, f"row numbers are not all from 0 to {row_count - 1}")
    order = np.argsort(rows, kind="stable")
    offsets = np.zeros(row_count + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=row_count), out=offsets[1:])
    return checked_csr(offsets, columns[order], weights[order], vocabulary, sort=True)


def _torch_weights(values: torch.Tensor) -> NDArray[Any]:
    if values.is_floating_point() and values.dtype != _torch().float64:
        values = values.float()  # numpy has no bfloat16
    array: NDArray[Any] = values.numpy()
    return array


def _scipy_sparse() -> Any:
    try:
        import scipy.sparse
    except ImportError as error:
        raise MissingExtraError("scipy", "eval") from error
    return scipy.sparse


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    return torch
