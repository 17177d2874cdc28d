"""Vectors whose terms are ids, where these are strings: keys of JSON always are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sparsearch.errors import InvalidVectorError
from sparsearch.vectors.batch import SparseVectors
from sparsearch.vectors.vocabulary import MAX_TERMS

__all__ = ["vectors_by_term_id"]

_MOST_DIGITS = len(str(MAX_TERMS))


def vectors_by_term_id(rows: Iterable[Mapping[str, float]]) -> SparseVectors:
    """Make a batch of mappings of term id, in decimal, to weight.

    Parameters
    ----------
    rows : iterable of mapping
        Ids are written in digits 0 to 9.

    Raises
    ------
    InvalidVectorError
        When a term is no such id or given twice, or as `SparseVectors.from_dicts`; names the row.
    """
    return SparseVectors.from_dicts([_numbered(*pair) for pair in enumerate(rows)])


def _numbered(row: int, vector: Mapping[str, float]) -> dict[int, float]:
    joined = "".join(vector)
    decimal = not vector or (joined.isascii() and joined.isdecimal() and "" not in vector)
    if decimal and max(map(len, vector), default=0) <= _MOST_DIGITS:
        numbered = dict(zip(map(int, vector), vector.values(), strict=True))
        if len(numbered) == len(vector):
            return numbered
    raise InvalidVectorError(row, "its terms must be term ids in decimal, each given once")
