"""Relevance judgements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from numbers import Integral
from os import PathLike
from types import MappingProxyType

from sparsearch.errors import FileFormatError, InvalidInputError, shorten
from sparsearch.files import TextFile, write_lines
from sparsearch.runs.columns import (
    check_id,
    check_mapping,
    check_tab_separable,
    check_trec_writable,
)

__all__ = ["MAX_GRADE", "Qrels"]

MAX_GRADE = 10_000
"""Largest grade accepted, either sign: trec_eval needs time that grows with its square."""

_BEIR_HEADER = ["query-id", "corpus-id", "score"]
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_EXPECTED = (
    "expected the header 'query-id<tab>corpus-id<tab>score' of BEIR, "
    "or the four columns of TREC: query iteration document grade"
)


class Qrels(Mapping[str, Mapping[str, int]]):
    """For each judged query, the grades of the judged documents.

    A mapping from query id to a mapping from document id to grade. A document is relevant from
    grade 1 up; 0 and negative grades say that it was judged and is not. A query without relevant
    documents stays: it is judged, and measures count it.

    Parameters
    ----------
    judgements : Mapping of str to Mapping of str to int
        Grades per query id and document id.

    Raises
    ------
    InvalidInputError
        When an id is not a non-empty string, a grade is not an integer of at most `MAX_GRADE`
        in magnitude, or a query has no judgements.

    Examples
    --------
    >>> qrels = Qrels({"q1": {"d2": 3, "d7": 0}})
    >>> qrels["q1"]["d2"]
    3
    """

    __slots__ = ("_judgements",)

    def __init__(self, judgements: Mapping[str, Mapping[str, int]]) -> None:
        check_mapping(judgements, "judgements")
        self._judgements = {
            check_id(query, "query"): MappingProxyType(_grades(query, grades))
            for query, grades in judgements.items()
        }

    def __reduce__(self) -> tuple[type[Qrels], tuple[dict[str, dict[str, int]]]]:
        # What is handed out cannot be changed, and such mappings cannot be pickled.
        return type(self), ({query: dict(grades) for query, grades in self.items()},)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Qrels:
        """Read judgements in BEIR or TREC format, plain or gzip.

        BEIR is told by its header line ``query-id corpus-id score``, followed by three columns
        separated by tabs. Without it lines are TREC's ``query iteration document grade``,
        separated by whitespace; the iteration is ignored. Blank lines mean nothing. A judgement
        may be repeated, but not with another grade.

        Raises
        ------
        FileFormatError
            On a malformed line, or two grades for a document; names the line.
        """
        judgements: dict[str, dict[str, int]] = {}
        documents: dict[str, str] = {}  # a document judged for many queries is one string
        for number, query, document, text in _rows(path):
            grades = judgements.setdefault(query, {})
            document = documents.setdefault(document, document)
            grade = _read_grade(path, number, text)
            if grades.setdefault(document, grade) != grade:
                reason = f"query {shorten(query)} gives document {shorten(document)}"
                reason = f"{reason} grade {grade}, before {grades[document]}; keep one of them"
                raise FileFormatError(path, number, reason)
        return cls(judgements)

    def write_trec(self, path: str | PathLike[str]) -> None:
        """Write lines of ``query 0 document grade``; gzip if the name ends in ``.gz``.

        Raises
        ------
        InvalidInputError
            When an id contains whitespace.
        """
        write_lines(path, self._trec_lines())

    def write_beir(self, path: str | PathLike[str]) -> None:
        """Write a table of query, document and grade; gzip if the name ends in ``.gz``.

        Raises
        ------
        InvalidInputError
            When an id contains a tab or a line end.
        """
        write_lines(path, self._beir_lines())

    def _trec_lines(self) -> Iterator[str]:
        for query, grades in self._judgements.items():
            check_trec_writable([query], "query id")
            check_trec_writable(grades, f"query {shorten(query)}: document id")
            yield from (f"{query} 0 {document} {grade}\n" for document, grade in grades.items())

    def _beir_lines(self) -> Iterator[str]:
        yield "\t".join(_BEIR_HEADER) + "\n"
        for query, grades in self._judgements.items():
            check_tab_separable([query], "query id")
            check_tab_separable(grades, f"query {shorten(query)}: document id")
            yield from (f"{query}\t{document}\t{grade}\n" for document, grade in grades.items())

    @property
    def queries(self) -> tuple[str, ...]:
        """Ids of the judged queries, in the order given."""
        return tuple(self._judgements)

    @property
    def judgement_count(self) -> int:
        """Number of judgements of all queries."""
        return sum(map(len, self._judgements.values()))

    def __getitem__(self, query: str) -> Mapping[str, int]:
        return self._judgements[query]

    def __iter__(self) -> Iterator[str]:
        return iter(self._judgements)

    def __len__(self) -> int:
        return len(self._judgements)

    def __repr__(self) -> str:
        return f"Qrels({len(self)} queries, {self.judgement_count} judgements)"


def _grades(query: str, grades: Mapping[str, int]) -> dict[str, int]:
    """Check the judgements of one query and copy them."""
    where = f"query {shorten(query)}"
    if not isinstance(grades, Mapping) or not grades:
        raise InvalidInputError(f"{where} has no judgements by document id; leave it out")
    checked: dict[str, int] = {}
    for document, grade in grades.items():
        document = check_id(document, f"{where}: document")
        if not isinstance(grade, Integral) or isinstance(grade, bool):
            reason = f"grade {shorten(grade)} of document {shorten(document)} is not an integer"
            raise InvalidInputError(f"{where}: {reason}")
        if abs(grade) > MAX_GRADE:
            reason = f"grade of document {shorten(document)} is over {MAX_GRADE} in magnitude"
            raise InvalidInputError(f"{where}: {reason}")
        checked[document] = int(grade)
    return checked


def _rows(path: str | PathLike[str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield line number, query, document and the text of the grade."""
    with TextFile(path) as file:
        is_beir: bool | None = None
        for number, line in file:
            if not line.strip():
                continue
            if is_beir is None:
                is_beir = line.lower().replace("_", "-").split("\t") == _BEIR_HEADER
                if is_beir:
                    continue
            fields = line.split("\t") if is_beir else line.split()
            if is_beir and len(fields) == 3 and fields[0] and fields[1]:
                yield number, fields[0], fields[1], fields[2]
            elif not is_beir and len(fields) == 4:
                yield number, fields[0], fields[2], fields[3]
            else:
                reason = f"cannot read {shorten(line)} as a judgement; {_EXPECTED}"
                raise FileFormatError(path, number, reason)


def _read_grade(path: str | PathLike[str], number: int, text: str) -> int:
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_GRADE:
        reason = f"grade {shorten(text)} is not an integer of at most {MAX_GRADE} in magnitude"
        raise FileFormatError(path, number, reason)
    return int(text)
