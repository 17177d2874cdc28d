"""Reading runs in TREC format."""

from __future__ import annotations

from array import array
from math import isfinite
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from sparsearch.errors import FileFormatError, shorten
from sparsearch.files import TextFile

__all__ = ["Rankings", "read_rankings"]

Rankings = dict[str, tuple[list[str], NDArray[np.float64]]]
"""Per query id, the document ids, best first, and their scores."""

_LARGEST_RANK = 2**63 - 1


class _Lines:
    """Columns of the lines of one query; numbers packed, for runs of many millions of lines."""

    def __init__(self) -> None:
        self.documents: list[str] = []
        self.scores = array("d")
        self.ranks = array("q")
        self.numbers = array("q")


def read_rankings(path: str | PathLike[str]) -> tuple[Rankings, str]:
    """Read the rankings and the tag of the first line (empty for an empty file).

    Raises
    ------
    FileFormatError
        On a malformed line, or a document listed twice for a query.
    """
    queries: dict[str, _Lines] = {}
    documents: dict[str, str] = {}  # a document found by many queries is one string
    first_tag = ""
    with TextFile(path) as file:
        for number, line in file:
            fields = line.split()
            if not fields:
                continue
            if len(fields) != 6:
                reason = f"found {len(fields)} columns, not 6: query Q0 document rank score tag"
                raise FileFormatError(path, number, reason)
            query, _, document, rank, score, tag = fields
            first_tag = first_tag or tag
            lines = queries.get(query)
            if lines is None:
                lines = queries[query] = _Lines()
            try:
                lines.scores.append(_score(score))
                lines.ranks.append(_rank(rank))
            except ValueError as error:
                raise FileFormatError(path, number, str(error)) from None
            lines.documents.append(documents.setdefault(document, document))
            lines.numbers.append(number)
    return {query: _order(path, query, lines) for query, lines in queries.items()}, first_tag


def _order(
    path: str | PathLike[str], query: str, lines: _Lines
) -> tuple[list[str], NDArray[np.float64]]:
    if len(set(lines.documents)) != len(lines.documents):
        raise _duplicate(path, query, lines)
    scores = np.array(lines.scores, dtype=np.float64)
    order = np.lexsort((np.array(lines.ranks, dtype=np.int64), -scores))
    return [lines.documents[position] for position in order], scores[order]


def _duplicate(path: str | PathLike[str], query: str, lines: _Lines) -> FileFormatError:
    first: dict[str, int] = {}
    for document, number in zip(lines.documents, lines.numbers, strict=True):
        if document in first:
            break
        first[document] = number
    reason = f"query {shorten(query)} lists document {shorten(document)} again"
    return FileFormatError(path, number, f"{reason}; it was on line {first[document]}")


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not isfinite(score) or "_" in text:  # Python reads "1_0" as ten; no other tool does
        raise ValueError(f"score {shorten(text)} is not a finite number")
    return score


def _rank(text: str) -> int:
    try:
        rank = int(text)
    except ValueError:
        rank = -1
    if not 0 <= rank <= _LARGEST_RANK or "_" in text:
        raise ValueError(f"rank {shorten(text)} is not a whole number")
    return rank
