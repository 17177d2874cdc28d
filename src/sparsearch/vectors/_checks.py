"""Checks that make arrays from anywhere a valid CSR batch, naming the row that is not.

Large arrays are scanned in parts that fit the processor's cache: it is faster than whole-array
expressions, and their temporary results would double the memory of a memory-mapped batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsearch.errors import InvalidInputError, InvalidVectorError, shorten
from sparsearch.vectors.vocabulary import Vocabulary

__all__ = ["CsrArrays", "as_offsets", "checked_csr", "row_of"]

_PART = 1 << 18
_ID_LIMIT = 2**32


class CsrArrays(NamedTuple):
    """The arrays of a CSR batch, not yet or no longer in need of checks."""

    offsets: NDArray[np.int64]
    term_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]


def checked_csr(
    offsets: ArrayLike,
    term_ids: ArrayLike,
    weights: ArrayLike,
    vocabulary: Vocabulary | None,
    *,
    sort: bool = False,
) -> CsrArrays:
    """Return the arrays in the dtypes of a batch, copied only where they have another.

    Parameters
    ----------
    offsets, term_ids, weights : array-like
        See `SparseVectors`.
    vocabulary : Vocabulary or None
        Bounds the term ids.
    sort : bool
        Sort each row by term id instead of refusing rows that are not.

    Raises
    ------
    InvalidVectorError
        When they are not a batch.
    """
    if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
        reason = f"the vocabulary is {shorten(vocabulary)}, not a Vocabulary"
        raise InvalidInputError(f"{reason}; Vocabulary(terms) makes one of strings")
    given_ids = _numbers(term_ids, "term ids")
    given_weights = _numbers(weights, "weights")
    if given_ids.size != given_weights.size:
        reason = f"{given_ids.size} term ids but {given_weights.size} weights"
        raise InvalidVectorError(None, reason)
    starts = as_offsets(offsets, given_ids.size)
    ids = _as_term_ids(given_ids, starts, vocabulary)
    arrays = CsrArrays(starts, ids, _as_weights(given_weights, starts, ids, vocabulary))
    if sort:
        arrays = _sorted_rows(arrays)
    _check_order(arrays, vocabulary)
    return arrays


def row_of(offsets: NDArray[np.int64], position: int) -> int:
    """Return the row that holds the entry at `position`."""
    return int(np.searchsorted(offsets, position, side="right")) - 1


def as_offsets(offsets: ArrayLike, entries: int) -> NDArray[np.int64]:
    """Return checked row offsets of `entries` entries, int64 ``[n + 1]``."""
    given = _numbers(offsets, "offsets")
    if given.size and given.dtype.kind == "f":
        raise InvalidVectorError(None, f"offsets have dtype {given.dtype}; give integers")
    # A cast that wraps yields a negative offset, which the checks below refuse.
    starts = np.ascontiguousarray(given, dtype=np.int64)
    if starts.size == 0 or starts[0] != 0:
        raise InvalidVectorError(None, "offsets must start with 0")
    falls = _first_true(lambda part: starts[1:][part] < starts[:-1][part], starts.size - 1)
    if falls is not None:
        reason = f"offsets decrease from {starts[falls]} to {starts[falls + 1]}"
        raise InvalidVectorError(falls, reason)
    if starts[-1] != entries:
        reason = f"offsets end at {starts[-1]}, but there are {entries} term ids"
        raise InvalidVectorError(None, reason)
    return starts


def _numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidVectorError(None, f"{name} cannot be read as an array: {error}") from error
    if array.ndim != 1:
        raise InvalidVectorError(None, f"{name} have {array.ndim} dimensions, not 1")
    if array.dtype.kind not in "iuf":
        reason = f"{name} have dtype {array.dtype}; give an array of numbers"
        raise InvalidVectorError(None, reason)
    return array


def _first_true(test: Callable[[slice], NDArray[np.bool_]], size: int) -> int | None:
    """Return the first position at which `test`, given a part of ``range(size)``, is true."""
    for start in range(0, size, _PART):
        found = test(slice(start, min(start + _PART, size)))
        if found.any():
            return start + int(found.argmax())
    return None


def _as_term_ids(
    given: NDArray[Any], offsets: NDArray[np.int64], vocabulary: Vocabulary | None
) -> NDArray[np.uint32]:
    limit = _ID_LIMIT if vocabulary is None else len(vocabulary)

    def outside(part: slice) -> NDArray[np.bool_]:
        values = given[part]
        if values.dtype.kind == "f":
            # As short floats they would be compared with a limit rounded to such a float.
            values = values.astype(np.result_type(values, np.float64), copy=False)
        inside = (values >= 0) & (values < limit)
        if values.dtype.kind == "f":
            inside &= np.floor(values) == values
        return np.logical_not(inside)

    if given.dtype != np.uint32 or vocabulary is not None:
        bad = _first_true(outside, given.size)
        if bad is not None:
            known = "" if vocabulary is None else f" (the vocabulary has {limit} terms)"
            reason = f"term id {given[bad]} is not an integer from 0 to {limit - 1}{known}"
            raise InvalidVectorError(row_of(offsets, bad), reason)
    if given.dtype == np.int32:  # of scipy and BigANN files: no need to copy a memory map
        given = given.view(np.uint32)
    return np.ascontiguousarray(given, dtype=np.uint32)


def _as_weights(
    given: NDArray[Any],
    offsets: NDArray[np.int64],
    term_ids: NDArray[np.uint32],
    vocabulary: Vocabulary | None,
) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):  # what overflows becomes infinite, and is refused here
        weights = np.ascontiguousarray(given, dtype=np.float32)
    bad = _first_true(lambda part: ~np.isfinite(weights[part]), weights.size)
    if bad is not None:
        term = _term_name(term_ids[bad], vocabulary)
        if np.isfinite(given[bad]):
            reason = f"weight {given[bad]} of term {term} is too large for float32"
        else:
            kind = "NaN" if np.isnan(given[bad]) else "infinite"
            reason = f"{kind} weight for term {term}"
        raise InvalidVectorError(row_of(offsets, bad), reason)
    if given.dtype.kind == "f" and given.dtype.itemsize > weights.itemsize:
        vanished = (weights == 0) & (given != 0)
        if vanished.any():  # no posting shall be lost
            weights[vanished] = np.copysign(np.finfo(np.float32).tiny, given[vanished])
    return weights


def _sorted_rows(arrays: CsrArrays) -> CsrArrays:
    """Sort each row by term id, keeping the order of equal ids; a no-op when it is sorted."""
    offsets, term_ids, weights = arrays
    if _first_out_of_order(arrays) is None:
        return arrays
    rows = np.repeat(np.arange(offsets.size - 1, dtype=np.uint64), np.diff(offsets))
    order = np.argsort((rows << np.uint64(32)) | term_ids, kind="stable")
    return CsrArrays(offsets, term_ids[order], weights[order])


def _first_out_of_order(arrays: CsrArrays) -> int | None:
    """Return the first position whose term id is not above the one before it in its row."""
    offsets, term_ids, _ = arrays

    def not_above(part: slice) -> NDArray[np.bool_]:
        wrong = np.zeros(part.stop - part.start, dtype=np.bool_)
        first = max(part.start, 1)
        np.less_equal(
            term_ids[first : part.stop],
            term_ids[first - 1 : part.stop - 1],
            out=wrong[first - part.start :],
        )
        low, high = np.searchsorted(offsets, [part.start, part.stop])
        wrong[offsets[low:high] - part.start] = False  # a row's first term follows nothing
        return wrong

    return _first_true(not_above, term_ids.size)


def _check_order(arrays: CsrArrays, vocabulary: Vocabulary | None) -> None:
    bad = _first_out_of_order(arrays)
    if bad is None:
        return
    row = row_of(arrays.offsets, bad)
    before, after = arrays.term_ids[bad - 1], arrays.term_ids[bad]
    if before == after:
        raise InvalidVectorError(row, f"duplicate term {_term_name(after, vocabulary)}")
    reason = f"term ids not sorted: {after} follows {before}; sort them within each row"
    raise InvalidVectorError(row, reason)


def _term_name(term_id: np.uint32, vocabulary: Vocabulary | None) -> str:
    return str(term_id) if vocabulary is None else shorten(vocabulary.term(int(term_id)))
