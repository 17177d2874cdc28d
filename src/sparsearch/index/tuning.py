"""The recall contract: measuring on an index how much effort each recall takes."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.checks import is_whole
from sparsearch.errors import IndexCorruptError, InvalidQueryError, shorten
from sparsearch.index.approximate import LONGEST_QUERY, Effort, Efforts
from sparsearch.index.search import (
    SearchOptions,
    search_snapshot,
)
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.topk import TopK
from sparsearch.vectors import SparseVectors

__all__ = [
    "TUNING",
    "Progress",
    "StoredTuning",
    "TunedPoint",
    "Tuning",
    "measure",
    "sample_queries",
]

TUNING = "tuning"
"""Name of the catalog's setting that holds a tuning."""

Progress = Callable[[int, int], None]

_MASSES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_CANDIDATES = (25, 50, 100, 200, 400, 800, 1600)
_EFFORTS = [Effort(mass, candidates) for mass in _MASSES for candidates in _CANDIDATES]
_ROUNDS = 2
"""The faster of so many counts: other work on the machine only ever adds."""

_SAMPLE = 300
_SAMPLE_TERMS = 32
_SHORT_SAMPLE_TERMS = 8
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True)
class TunedPoint:
    """What one effort gave.

    Parameters
    ----------
    effort : Effort
    recall : float
        Mean share of the exact best k that was found.
    error : float
        Standard error of that mean.
    microseconds : float
        Mean time of a query, one thread.
    """

    effort: Effort
    recall: float
    error: float
    microseconds: float


@dataclass(frozen=True)
class Tuning:
    """A frontier of efforts: each more costly than the one before, and of higher recall.

    Parameters
    ----------
    points : tuple of TunedPoint
    k : int
        Hits asked for when measuring.
    documents, queries : int
        How many there were; 0 queries for the defaults, which no measurement on this index backs.
    exact_microseconds : float
        Mean time of an exact query, one thread.
    short : Tuning, optional
        The same for queries of at most `SHORT_QUERY` terms, where these were measured by
        themselves.
    """

    points: tuple[TunedPoint, ...]
    k: int = 10
    documents: int = 0
    queries: int = 0
    exact_microseconds: float = 0.0
    short: Tuning | None = None

    def effort(self, recall: float) -> Effort | None:
        """Return the least effort whose recall is sure to reach the one wanted, `short` aside.

        Sure means that it does so by one standard error. None stands for exact search, where no
        effort is, or exact search is as fast.

        Raises
        ------
        InvalidQueryError
            If `recall` is not above 0 and at most 1.
        """
        is_number = isinstance(recall, (int, float, np.floating)) and not isinstance(recall, bool)
        if not is_number or not 0 < recall <= 1:
            reason = f"recall is {shorten(recall)}; it must be a number above 0 and at most 1"
            raise InvalidQueryError(reason)
        for point in self.points:
            if point.recall - point.error >= recall and recall < 1:
                return point.effort
        return None

    def efforts(self, recall: float) -> Efforts:
        """Return the efforts for short and long queries; see `effort`."""
        return self._known_efforts(recall) if isinstance(recall, float) else self._efforts(recall)

    @cached_property
    def _known_efforts(self) -> Callable[[float], Efforts]:
        return lru_cache(maxsize=100)(self._efforts)

    def _efforts(self, recall: float) -> Efforts:
        long = self.effort(recall)
        return Efforts(long if self.short is None else self.short.effort(recall), long)

    def to_json(self) -> dict[str, Any]:
        """Return the tuning as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Tuning:
        """Return a stored tuning, or the defaults where there is none.

        Raises
        ------
        IndexCorruptError
            If it is not what `to_json` returns.
        """
        if value is None:
            return _DEFAULTS
        try:
            others = {**value}
            short = others.pop("short", None)
            points = tuple(_stored_point(point) for point in others.pop("points"))
            tuning = cls(points, **_numbers(others))
            if short is None:
                return tuning
            return replace(tuning, short=cls.from_json({**short, "short": None}))
        except (KeyError, TypeError, ValueError) as error:
            raise IndexCorruptError(f"the stored tuning is damaged ({error}); tune again") from None


class StoredTuning:
    """The tuning that the settings hold, made of them once; all views of an index share it."""

    def __init__(self) -> None:
        self._known: tuple[Any, Tuning] = (None, _DEFAULTS)

    def of(self, value: Any) -> Tuning:
        """Return the tuning of a stored value; raises as `Tuning.from_json`."""
        # One pair, read and set as a whole, so threads need no lock.
        known, tuning = self._known
        if value is not known:
            tuning = Tuning.from_json(value)
            self._known = value, tuning
        return tuning


def _stored_point(value: Any) -> TunedPoint:
    others = {**value}
    return TunedPoint(Effort(**_numbers(others.pop("effort"))), **_numbers(others))


def _numbers(values: Any) -> dict[str, Any]:
    """Return stored fields; raise ValueError unless all are numbers that a tuning can hold."""
    for name, value in {**values}.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= _LARGEST_NUMBER:
            raise ValueError(f"{name} is {shorten(value)}")
    return {**values}


_DEFAULTS = Tuning(
    tuple(
        TunedPoint(Effort(mass, candidates), recall, 0.0, 0.0)
        for mass, candidates, recall in (
            (0.7, 100, 0.9),
            (0.8, 150, 0.95),
            (0.85, 300, 0.98),
            (0.9, 600, 0.99),
        )
    )
)
"""For an index that was never tuned. Most collections reach more with them; tune to be sure."""


def sample_queries(snapshot: Snapshot) -> tuple[SparseVectors, SparseVectors]:
    """Return terms of documents spread over the snapshot as long and as short queries.

    Long ones are the heaviest terms. Of short ones every other is drawn, by weight: with low
    efforts the few heaviest terms of a document find less than real short queries do, with high
    ones more, and half and half about as much (docs/lab-notes.md).
    """
    live = snapshot.matching()
    spread = np.unique(np.linspace(0, max(len(live) - 1, 0), _SAMPLE).astype(np.int64))
    vectors = snapshot.vectors(live[spread[: len(live)]], None)
    # Drawing by weight without replacement: Efraimidis and Spirakis, 2006.
    drawn = np.log1p(-np.random.default_rng(0).random(vectors.nnz)) / vectors.weights
    every_other = np.repeat(np.arange(len(vectors)) % 2 == 1, np.diff(vectors.offsets))
    return (
        _first_terms(vectors, vectors.weights, _SAMPLE_TERMS),
        _first_terms(vectors, np.where(every_other, drawn, vectors.weights), _SHORT_SAMPLE_TERMS),
    )


def _first_terms(vectors: SparseVectors, keys: npt.NDArray[Any], count: int) -> SparseVectors:
    """Return of each row so many terms with the largest keys."""
    kept: list[SparseVectors] = [SparseVectors([0], [], [])]
    for row in range(len(vectors)):
        part = slice(vectors.offsets[row], vectors.offsets[row + 1])
        terms, weights = vectors.term_ids[part], vectors.weights[part]
        best = np.sort(np.argsort(-keys[part], kind="stable")[:count])
        kept.append(SparseVectors([0, len(best)], terms[best], weights[best]))
    return SparseVectors.concatenate(kept)


def measure(
    snapshot: Snapshot,
    samples: Sequence[SparseVectors],
    k: int,
    max_code: int,
    progress: Progress | None = None,
) -> Tuning:
    """Measure efforts against exact search and keep those that are worth it; see `Index.tune`.

    Parameters
    ----------
    snapshot : Snapshot
    samples : sequence of SparseVectors
        Queries of any length, or long ones and short ones.
    k, max_code : int
    progress : callable, optional
    """
    if not snapshot.segments or not snapshot.has_forward_index:
        reason = (
            "an index of words (BM25, or the default encoder) is always searched exactly"
            if snapshot.segments
            else "it is empty"
        )
        raise InvalidQueryError(f"there is nothing to tune in this index: {reason}")
    if not is_whole(k, 1):
        raise InvalidQueryError(f"k is {shorten(k)}; it must be a whole number, at least 1")
    samples = [_searched_approximately(queries) for queries in samples]
    done = itertools.count(1)

    def measured() -> None:
        if progress is not None:
            progress(next(done), len(samples) * len(_EFFORTS))

    tuning, *short = (
        _measure(_Trial(snapshot, queries, int(k), max_code), measured) for queries in samples
    )
    return replace(tuning, short=short[0]) if short else tuning


def _searched_approximately(queries: SparseVectors) -> SparseVectors:
    """Return the queries that are not too long for it."""
    kept = queries[np.flatnonzero(np.diff(queries.offsets) <= LONGEST_QUERY)]
    if len(queries) and not len(kept):
        reason = f"queries of more than {LONGEST_QUERY} terms are always searched exactly"
        raise InvalidQueryError(f"there is nothing to tune with: {reason}")
    return kept


def _measure(trial: _Trial, measured: Callable[[], None]) -> Tuning:
    """Measure efforts with one sample; call back after each."""
    # The first round also compiles kernels and reads files from the disk.
    exact, exact_time = trial.run(None)
    if not exact.counts.any():
        raise InvalidQueryError("there is nothing to tune with: no query finds a document")
    points = []
    for effort in _EFFORTS:
        found, seconds = trial.run(effort)
        shares = found.recalls(exact)
        deviation = float(np.std(shares, ddof=1)) if len(shares) > 1 else 0.0
        error = deviation / math.sqrt(len(shares))
        points.append(TunedPoint(effort, float(np.mean(shares)), error, seconds))
        measured()
    faster = [point for point in points if point.microseconds < exact_time]
    return Tuning(_frontier(faster), trial.k, trial.snapshot.n_live, len(trial.queries), exact_time)


@dataclass(frozen=True)
class _Trial:
    snapshot: Snapshot
    queries: SparseVectors
    k: int
    max_code: int

    def run(self, effort: Effort | None) -> tuple[TopK, float]:
        """Search all queries; return what was found and the microseconds a query took."""
        allowed = self.snapshot.allowed()
        options = SearchOptions(self.max_code, Efforts(effort, effort), threads=1)
        times = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            found = search_snapshot(self.snapshot, self.queries, self.k, allowed, options)
            times.append(time.perf_counter() - start)
        return found, min(times) / max(len(self.queries), 1) * 1e6


def _frontier(points: Iterable[TunedPoint]) -> tuple[TunedPoint, ...]:
    """Return the points that no other one beats in both time and recall, fastest first."""
    kept: list[TunedPoint] = []
    for point in sorted(points, key=lambda p: p.microseconds):
        if not kept or point.recall > kept[-1].recall:
            kept.append(point)
    return tuple(kept)
