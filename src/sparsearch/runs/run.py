"""Rankings of a set of queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsearch.checks import is_whole
from sparsearch.errors import InvalidInputError, shorten
from sparsearch.files import write_lines
from sparsearch.runs.columns import check_id, check_mapping, check_trec_writable
from sparsearch.runs.trec import read_rankings

__all__ = ["Run"]


@dataclass(frozen=True, slots=True, eq=False)
class _Ranking:
    """Documents of one query, best first: the ids and, read-only, their scores."""

    ids: tuple[str, ...]
    scores: NDArray[np.float64]

    def equals(self, other: _Ranking) -> bool:
        return self.ids == other.ids and np.array_equal(self.scores, other.scores)


class Run(Mapping[str, list[tuple[str, float]]]):
    """For each query, documents and their scores, best first.

    A mapping from query id to ``[(document id, score), ...]``. Documents are ordered by score,
    highest first; documents of equal score keep the order in which they were given. Scores are
    held in float64, as the index computes and most tools write them. Two runs are equal when their
    rankings are, whatever they are called.

    Parameters
    ----------
    rankings : Mapping of str to sequence of (str, float)
        Ranking per query id. An empty one says that the query was searched and nothing found.
    name : str
        What the run is called in tables and, as the tag, in TREC files.

    Raises
    ------
    InvalidInputError
        When an id is not a non-empty string, a document is ranked twice for a query, or a score
        is not a finite number.

    Examples
    --------
    >>> run = Run({"q1": [("d7", 0.5), ("d2", 1.5)]}, name="bm25")
    >>> run["q1"]
    [('d2', 1.5), ('d7', 0.5)]
    """

    __slots__ = ("_rankings", "name")

    def __init__(
        self, rankings: Mapping[str, Sequence[tuple[str, float]]], name: str = "run"
    ) -> None:
        check_mapping(rankings, "rankings")
        columns = {query: _columns(query, pairs) for query, pairs in rankings.items()}
        self._fill(columns, name)

    @classmethod
    def from_rankings(
        cls, rankings: Mapping[str, tuple[Sequence[str], ArrayLike]], name: str = "run"
    ) -> Run:
        """Make a run of ids and scores in separate sequences, as an index returns them.

        Parameters
        ----------
        rankings : Mapping of str to (sequence of str, array_like)
            Per query id, the document ids and an array of as many scores.
        name : str
            What the run is called.

        Raises
        ------
        InvalidInputError
            As for the constructor; and when there are not as many scores as ids.
        """
        check_mapping(rankings, "rankings")
        run = cls.__new__(cls)
        run._fill({query: _pair(query, given) for query, given in rankings.items()}, name)
        return run

    def _fill(self, columns: Mapping[str, tuple[Sequence[str], ArrayLike]], name: str) -> None:
        if not isinstance(name, str):
            raise InvalidInputError(f"a run's name is a string, not {shorten(name)}")
        self.name = name
        self._rankings = {
            check_id(query, "query"): _ranking(query, ids, scores)
            for query, (ids, scores) in columns.items()
        }

    @classmethod
    def read_trec(cls, path: str | PathLike[str], name: str | None = None) -> Run:
        """Read a run in TREC format: lines of ``query Q0 document rank score tag``.

        The score decides the order; where scores are equal the rank column does, then the order
        of the lines. Lines of a query need not be adjacent. Blank lines mean nothing.

        Parameters
        ----------
        path : str or PathLike
            The file, plain or gzip.
        name : str, optional
            What the run is called; the tag of the first line if left out.

        Raises
        ------
        FileFormatError
            On a malformed line or a document listed twice for a query; names the line.
        """
        rankings, tag = read_rankings(path)
        return cls.from_rankings(rankings, name or tag or Path(path).name)

    def write_trec(self, path: str | PathLike[str], tag: str | None = None) -> None:
        """Write the run in TREC format; see `trec_lines`.

        The file appears only once it is complete; it is compressed if its name ends in ``.gz``.

        Parameters
        ----------
        path : str or PathLike
            The file.
        tag : str, optional
            Last column of each line; the run's name if left out.

        Raises
        ------
        InvalidInputError
            When an id or the tag contains whitespace.
        """
        write_lines(path, self.trec_lines(tag))

    def trec_lines(self, tag: str | None = None) -> Iterator[str]:
        """Yield ``query Q0 document rank score tag`` lines, ranks counted from 1.

        Scores have the fewest digits that give each float64 back exactly. A query for which nothing
        was found has no line: the format cannot tell it from one that was not searched, and
        measures treat both alike. Other tools order documents of equal score in their own way
        (trec_eval: by descending id).
        """
        tag = self.name if tag is None else tag
        check_trec_writable([tag], "tag")
        for query, ranking in self._rankings.items():
            check_trec_writable([query], "query id")
            check_trec_writable(ranking.ids, f"query {shorten(query)}: document id")
            scored = zip(ranking.ids, ranking.scores.tolist(), strict=True)
            for rank, (document, score) in enumerate(scored, start=1):
                yield f"{query} Q0 {document} {rank} {score!r} {tag}\n"

    def max_passage(self) -> Run:
        """Return the run of whole documents, each where its best passage is (MaxP).

        A passage's id is that of its document, ``#`` and a number, as in an index of passages and
        in the passages of MS MARCO's documents; other ids stay as they are. To have k documents,
        search with ``distinct="document"``, or deeper than k.
        """
        rankings = {}
        for query, ranking in self._rankings.items():
            first: dict[str, int] = {}
            for place, id in enumerate(ranking.ids):
                document, _, number = id.rpartition("#")
                first.setdefault(document if document and number.isdecimal() else id, place)
            rankings[query] = list(first), ranking.scores[list(first.values())]
        return Run.from_rankings(rankings, self.name)

    def without_identical(self, k: int) -> Run:
        """Return the run without the document that has the id of its query, at most k a query.

        That is how BEIR measures where the queries are documents of the collection. To have k
        documents, search for k + 1.

        Raises
        ------
        InvalidInputError
            When k is no whole number of at least 0.
        """
        if not is_whole(k, 0):
            raise InvalidInputError(f"k is {shorten(k)}, not a whole number of at least 0")
        rankings = {}
        for query, ranking in self._rankings.items():
            kept = [place for place, id in enumerate(ranking.ids) if id != query][:k]
            rankings[query] = [ranking.ids[place] for place in kept], ranking.scores[kept]
        return Run.from_rankings(rankings, self.name)

    @property
    def queries(self) -> tuple[str, ...]:
        """Ids of the queries, in the order given."""
        return tuple(self._rankings)

    def ids(self, query: str) -> tuple[str, ...]:
        """Return the ids of the documents of a query, best first."""
        return self._rankings[query].ids

    def scores(self, query: str) -> NDArray[np.float64]:
        """Return the scores that belong to `ids`, a read-only float64 array."""
        return self._rankings[query].scores

    def __getitem__(self, query: str) -> list[tuple[str, float]]:
        ranking = self._rankings[query]
        return list(zip(ranking.ids, ranking.scores.tolist(), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def __contains__(self, query: object) -> bool:
        return query in self._rankings

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Run):
            return NotImplemented
        return self._rankings.keys() == other._rankings.keys() and all(
            ranking.equals(other._rankings[query]) for query, ranking in self._rankings.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Run(name={self.name!r}, {len(self)} queries)"


def _pair(query: str, given: tuple[Sequence[str], ArrayLike]) -> tuple[Sequence[str], ArrayLike]:
    """Return what was given as ids and scores, if it can be these."""
    reason = f"ranking of query {shorten(query)} is not a pair of document ids and scores"
    try:
        ids, scores = given
        iter(ids)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(reason) from error
    if isinstance(ids, str):  # its letters would pass for ids
        raise InvalidInputError(reason)
    return ids, scores


def _columns(query: str, pairs: Sequence[tuple[str, float]]) -> tuple[list[str], list[float]]:
    """Separate the ids from the scores."""
    try:
        rows = [(id, score) for id, score in pairs]
    except (TypeError, ValueError) as error:
        reason = f"ranking of query {shorten(query)} is not a sequence of (document id, score)"
        raise InvalidInputError(reason) from error
    return [id for id, _ in rows], [score for _, score in rows]


def _ranking(query: str, ids: Sequence[str], scores: ArrayLike) -> _Ranking:
    """Check one ranking and put it in order."""
    names = tuple(id if type(id) is str and id else _plain(query, id) for id in ids)
    if len(set(names)) != len(names):
        again = next(name for position, name in enumerate(names) if name in names[:position])
        raise InvalidInputError(f"query {shorten(query)} ranks document {shorten(again)} twice")
    held = _checked_scores(query, names, scores)
    if (held[1:] > held[:-1]).any():
        order = np.argsort(-held, kind="stable")
        names = tuple(names[position] for position in order)
        held = held[order]
    held.flags.writeable = False
    return _Ranking(names, held)


def _plain(query: str, id: object) -> str:
    return check_id(id, f"query {shorten(query)}: document")


def _checked_scores(query: str, names: tuple[str, ...], scores: ArrayLike) -> NDArray[np.float64]:
    """Return a copy of the scores as float64."""
    try:
        given = np.asarray(scores if len(names) else np.zeros(0))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"query {shorten(query)}: scores are not numbers") from error
    if given.dtype.kind not in "fiu":
        raise InvalidInputError(f"query {shorten(query)}: scores are not numbers")
    if given.shape != (len(names),):
        reason = f"{len(names)} documents but scores of shape {given.shape}"
        raise InvalidInputError(f"query {shorten(query)}: {reason}")
    held = given.astype(np.float64)
    finite = np.isfinite(held)
    if not finite.all():
        position = int(np.argmin(finite))
        reason = f"score {held[position]} of document {shorten(names[position])}"
        raise InvalidInputError(f"query {shorten(query)}: {reason} is not a finite number")
    return held
