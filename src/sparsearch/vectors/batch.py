"""A batch of sparse vectors: validated once, immutable after."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsearch.errors import InvalidInputError, VocabularyMismatchError
from sparsearch.vectors._checks import CsrArrays, checked_csr
from sparsearch.vectors._conversions import (
    DictRows,
    csr_from_scipy,
    csr_from_torch,
    csr_to_scipy,
    csr_to_torch,
)
from sparsearch.vectors.ranges import places_of
from sparsearch.vectors.vocabulary import Vocabulary

if TYPE_CHECKING:
    import scipy.sparse
    import torch

__all__ = ["SparseVectors"]


class SparseVectors:
    """A batch of `n` sparse vectors in compressed sparse row (CSR) form.

    Vector ``i`` has the terms ``term_ids[offsets[i]:offsets[i + 1]]`` with the weights at the same
    positions. Weights may be negative or zero; what an index accepts is its own matter.

    The arrays are checked, and not copied when they have the dtypes below (int32 term ids are not
    copied either): do not change them afterwards. The batch itself only hands out read-only views.

    Parameters
    ----------
    offsets : array-like of int, shape (n + 1,)
        Starts with 0, never decreases, ends with the number of term ids. Kept as int64.
    term_ids : array-like of int, shape (nnz,)
        Strictly increasing within each row, below ``2**32`` and within the vocabulary. Kept as
        uint32. (The ``from_*`` conversions sort rows that are not sorted; this does not.)
    weights : array-like of float, shape (nnz,)
        Finite. Rounded to float32.
    vocabulary : Vocabulary, optional
        The terms that the ids stand for.

    Raises
    ------
    InvalidVectorError
        When the arrays are not such a batch; names the row where there is one. No value is ever
        wrapped, clipped or dropped to make it fit.
    """

    __slots__ = ("_arrays", "_vocabulary")

    def __init__(
        self,
        offsets: ArrayLike,
        term_ids: ArrayLike,
        weights: ArrayLike,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self._set(checked_csr(offsets, term_ids, weights, vocabulary), vocabulary)

    @classmethod
    def from_trusted(
        cls,
        offsets: NDArray[np.int64],
        term_ids: NDArray[np.uint32],
        weights: NDArray[np.float32],
        vocabulary: Vocabulary | None = None,
    ) -> SparseVectors:
        """Wrap arrays that this package itself computed, without any check."""
        batch = cls.__new__(cls)
        batch._set(CsrArrays(offsets, term_ids, weights), vocabulary)
        return batch

    def _set(self, arrays: CsrArrays, vocabulary: Vocabulary | None) -> None:
        # Views, so that the caller's own arrays stay writable.
        self._arrays = CsrArrays(*(array.view() for array in arrays))
        for array in self._arrays:
            array.flags.writeable = False
        self._vocabulary = vocabulary

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each row starts, and the last one ends: int64 ``[n + 1]``."""
        return self._arrays.offsets

    @property
    def term_ids(self) -> NDArray[np.uint32]:
        """The terms of all rows: uint32 ``[nnz]``, strictly increasing within a row."""
        return self._arrays.term_ids

    @property
    def weights(self) -> NDArray[np.float32]:
        """The weights of all rows: float32 ``[nnz]``, finite."""
        return self._arrays.weights

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The terms that the ids stand for, if known."""
        return self._vocabulary

    @property
    def nnz(self) -> int:
        """Number of entries, explicit zeros included."""
        return self.term_ids.size

    @property
    def dimension(self) -> int:
        """Size of the vocabulary or, without one, one more than the largest term id."""
        if self._vocabulary is not None:
            return len(self._vocabulary)
        return int(self.term_ids.max()) + 1 if self.nnz else 0

    def __len__(self) -> int:
        return self.offsets.size - 1

    def row(self, row: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Return the term ids and the weights of one vector, as views.

        Raises
        ------
        InvalidInputError
            When there is no such row; negative numbers do not count from the end.
        """
        index = operator.index(row)
        if not 0 <= index < len(self):
            raise InvalidInputError(f"no row {index}: the batch has {len(self)} rows")
        start, stop = self.offsets[index], self.offsets[index + 1]
        return self.term_ids[start:stop], self.weights[start:stop]

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[np.integer[Any]]) -> SparseVectors:
        """Return the batch of the given rows, in the given order.

        Parameters
        ----------
        rows : slice or array-like of int
            A slice of step 1 shares memory with this batch; anything else copies. A row may be
            given more than once.

        Raises
        ------
        InvalidInputError
            When a row does not exist, or `rows` is something else, such as one number: see `row`.
        """
        if not isinstance(rows, slice):
            return self._gather(_row_numbers(rows, len(self)))
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self._gather(np.arange(start, stop, step))
        offsets = self.offsets[start : max(start, stop) + 1]
        low, high = offsets[0], offsets[-1]
        return self.from_trusted(
            offsets - low, self.term_ids[low:high], self.weights[low:high], self._vocabulary
        )

    def _gather(self, rows: NDArray[np.int64]) -> SparseVectors:
        lengths = np.diff(self.offsets)[rows]
        offsets = np.zeros(rows.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = places_of(self.offsets[rows], lengths)
        return self.from_trusted(
            offsets, self.term_ids[positions], self.weights[positions], self._vocabulary
        )

    @classmethod
    def concatenate(cls, batches: Iterable[SparseVectors]) -> SparseVectors:
        """Return one batch of the rows of all, in order.

        Raises
        ------
        InvalidInputError
            When there is no batch: nothing would tell the vocabulary of the result.
        VocabularyMismatchError
            When the batches do not all have the same vocabulary, or all none.
        """
        parts = list(batches)
        if not parts:
            raise InvalidInputError("nothing to concatenate; give at least one batch")
        vocabulary = parts[0].vocabulary
        for number, part in enumerate(parts):
            if part.vocabulary is not vocabulary and part.vocabulary != vocabulary:
                raise VocabularyMismatchError(
                    f"batch {number} has another vocabulary than batch 0 "
                    f"({part.vocabulary}, {vocabulary}); their term ids do not mean the same terms"
                )
        bases = np.cumsum([0] + [part.nnz for part in parts])
        offsets = [part.offsets[1:] + base for part, base in zip(parts, bases[:-1], strict=True)]
        return cls.from_trusted(
            np.concatenate([np.zeros(1, dtype=np.int64), *offsets]),
            np.concatenate([part.term_ids for part in parts]),
            np.concatenate([part.weights for part in parts]),
            vocabulary,
        )

    def drop_zeros(self) -> SparseVectors:
        """Return the batch without entries of weight zero."""
        kept = self.weights != 0
        if kept.all():
            return self
        kept_before = np.zeros(self.nnz + 1, dtype=np.int64)
        np.cumsum(kept, out=kept_before[1:])
        offsets = kept_before[self.offsets]
        return self.from_trusted(offsets, self.term_ids[kept], self.weights[kept], self._vocabulary)

    def to_dicts(self) -> list[dict[Any, float]]:
        """Return each row as a dict of weights by term string or, without vocabulary, term id."""
        keys: list[Any] = self.term_ids.tolist()
        if self._vocabulary is not None:
            keys = list(map(self._vocabulary.terms().__getitem__, keys))
        weights, bounds = self.weights.tolist(), self.offsets.tolist()
        return [dict(zip(keys[a:b], weights[a:b], strict=True)) for a, b in pairwise(bounds)]

    @classmethod
    def from_dicts(
        cls,
        rows: Iterable[Mapping[str, float] | Mapping[int, float]],
        vocabulary: Vocabulary | None = None,
        *,
        extend: bool = False,
    ) -> SparseVectors:
        """Make a batch of mappings of term to weight.

        Parameters
        ----------
        rows : iterable of mapping
            Keys are all term strings or all term ids; entries may be in any order.
        vocabulary : Vocabulary, optional
            Where to look up term strings. Without it, they make a new one, in order of appearance.
        extend : bool
            Add unknown terms to `vocabulary` instead of refusing them. Terms of a batch that is
            refused for another reason may have been added.

        Raises
        ------
        InvalidVectorError
            When a row is malformed: keys of mixed kinds, a weight that is not a finite number, a
            term that is not in the vocabulary.
        """
        flat = DictRows(rows)
        if flat.has_strings and vocabulary is None:
            vocabulary, extend = Vocabulary(), True
        return cls.from_trusted(*flat.to_csr(vocabulary, extend), vocabulary)

    @classmethod
    def from_scipy(
        cls,
        matrix: scipy.sparse.sparray | scipy.sparse.spmatrix,
        vocabulary: Vocabulary | None = None,
    ) -> SparseVectors:
        """Make a batch of the rows of a 2-D scipy sparse matrix or array, of any format.

        Raises
        ------
        InvalidVectorError
            When a weight is not finite, a column is outside the vocabulary, or an entry is given
            twice (call ``matrix.sum_duplicates()`` first if the sum is meant).
        """
        return cls.from_trusted(*csr_from_scipy(matrix, vocabulary), vocabulary)

    def to_scipy(self, columns: int | None = None) -> scipy.sparse.csr_array[np.float32]:
        """Return a ``scipy.sparse.csr_array`` of float32, shape ``(n, columns)``.

        Parameters
        ----------
        columns : int, optional
            By default `dimension`.

        Raises
        ------
        InvalidInputError
            When a term id does not fit `columns`.
        MissingExtraError
            When scipy is not installed.
        """
        return csr_to_scipy(self._arrays, self._columns(columns))

    @classmethod
    def from_torch(
        cls, tensor: torch.Tensor, vocabulary: Vocabulary | None = None
    ) -> SparseVectors:
        """Make a batch of the rows of a 2-D sparse torch tensor, COO or CSR, on any device.

        Raises
        ------
        InvalidVectorError
            When the tensor is dense or of another layout, a weight is not finite, a column is
            outside the vocabulary, or an entry is given twice (call ``tensor.coalesce()`` first
            if the sum is meant).
        """
        return cls.from_trusted(*csr_from_torch(tensor, vocabulary), vocabulary)

    def to_torch(self, columns: int | None = None) -> torch.Tensor:
        """Return a coalesced float32 COO tensor on the CPU, shape ``(n, columns)``.

        Parameters
        ----------
        columns : int, optional
            By default `dimension`.

        Raises
        ------
        InvalidInputError
            When a term id does not fit `columns`.
        MissingExtraError
            When torch is not installed.
        """
        return csr_to_torch(self._arrays, self._columns(columns))

    def _columns(self, columns: int | None) -> int:
        if columns is None:
            return self.dimension
        needed = int(self.term_ids.max()) + 1 if self.nnz else 0
        if columns < needed:
            raise InvalidInputError(f"{columns} columns do not hold term id {needed - 1}")
        return columns

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVectors):
            return NotImplemented
        return (
            np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.term_ids, other.term_ids)
            and np.array_equal(self.weights, other.weights)
            and self._vocabulary == other._vocabulary
        )

    __hash__ = None  # type: ignore[assignment]  # its vocabulary grows

    def __reduce__(self) -> tuple[type[SparseVectors], tuple[object, ...]]:
        return type(self), (*self._arrays, self._vocabulary)

    def __repr__(self) -> str:
        known = "no vocabulary" if self._vocabulary is None else repr(self._vocabulary)
        return f"SparseVectors({len(self)} rows, {self.nnz} entries, {known})"


def _row_numbers(rows: object, count: int) -> NDArray[np.int64]:
    """Return checked row numbers; raises InvalidInputError."""
    try:
        numbers = np.asarray(rows)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"row numbers cannot be read as an array: {error}") from error
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InvalidInputError("rows are chosen by a slice or an array of integers")
    outside = (numbers < 0) | (numbers >= count)
    if outside.any():
        number = numbers[int(outside.argmax())]
        raise InvalidInputError(f"no row {number}: the batch has {count} rows")
    return numbers.astype(np.int64)
