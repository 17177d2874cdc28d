"""One hit a value: the best document of each author, or the best passage of each text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsearch.index.allowed import Allowed
from sparsearch.index.columns import Key
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.topk import TopK

__all__ = ["Distinct"]

Numbers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

_DEEPER = 4
"""How many times as many documents are looked through at first as different values are wanted."""

Ranking = Callable[[slice, int, Allowed], TopK]
"""Searches some of the queries, to some depth, for the documents allowed."""


@dataclass(frozen=True)
class Distinct:
    """One hit a value of a field.

    Parameters
    ----------
    snapshot : Snapshot
    field : str
    ranking : callable

    Raises
    ------
    FilterError
        If there are documents, but none has, or had, the field.
    """

    snapshot: Snapshot
    field: str
    ranking: Ranking

    def __post_init__(self) -> None:
        if self.snapshot.n_documents and not self.snapshot.knows(self.field):
            raise self.snapshot.unknown_field(self.field)

    def top_k(self, n_queries: int, k: int, allowed: Allowed) -> TopK:
        """Return the best documents of which no two have the same value.

        Documents without a value, or with several, are all returned. The result is what going
        through the whole ranking from the top would leave; instead, the top is gone through, and
        what is missing is searched for among the documents with other values, deeper each time.
        """
        k = min(k, self.snapshot.n_documents)
        numbers = np.zeros((n_queries, k), np.int64)
        scores = np.zeros((n_queries, k))
        counts = np.zeros(n_queries, np.int64)
        depth = min(_DEEPER * k, self.snapshot.n_documents)
        top = self.ranking(slice(0, n_queries), depth, allowed)
        for query in range(n_queries):
            part = slice(query, query + 1)
            found = TopK(top.numbers[part], top.scores[part], top.counts[part])
            rounds = list(self._rounds(part, found, depth, k, allowed))
            best, theirs = (np.concatenate(parts) for parts in zip(*rounds, strict=True))
            # An approximate round may find what an earlier one has missed.
            order = np.lexsort((best, -theirs))
            counts[query] = len(order)
            numbers[query, : len(order)] = best[order]
            scores[query, : len(order)] = theirs[order]
        return TopK(numbers, scores, counts)

    def _rounds(
        self, query: slice, found: TopK, depth: int, k: int, allowed: Allowed
    ) -> Iterator[tuple[Numbers, Scores]]:
        """Yield the k best documents of a query and their scores, in parts.

        `found` is what a search to a depth found.
        """
        while True:
            ranked = found.numbers[0, : found.counts[0]]
            kept = self._first_of_each(ranked)[:k]
            yield ranked[kept], found.scores[0, kept]
            k -= len(kept)
            if k == 0 or len(ranked) < max(depth, 1):
                return
            allowed = self._without(allowed, ranked[kept])
            depth = min(2 * depth, self.snapshot.n_documents)
            found = self.ranking(query, depth, allowed)

    def _first_of_each(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        """Return the places, ascending, of documents whose value none before them has."""
        return np.sort(np.unique(self._values(numbers), return_index=True)[1])

    def _values(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        """Return numbers that are equal where values are; each absent value has one of its own."""
        values = -1 - numbers
        known: dict[tuple[type, Key], int] = {}
        for owner, mine, keys in self._keys(numbers):
            if len(self.snapshot.segments) > 1:
                places, inverse = np.unique(keys, return_inverse=True)
                column = self.snapshot.segments[owner].columns[self.field]
                named = [column.key(place) for place in places.tolist()]
                codes = [known.setdefault((type(key), key), len(known)) for key in named]
                keys = np.array(codes, np.int64)[inverse]
            values[mine] = keys
        return values

    def _keys(self, numbers: Numbers) -> Iterator[tuple[int, Numbers, npt.NDArray[np.integer]]]:
        """Yield, by segment, the places of documents with one value, and which key that is."""
        owners = self.snapshot.owners(numbers)
        for owner in np.unique(owners).tolist():
            segment = self.snapshot.segments[owner]
            if self.field in segment.columns:
                mine = np.flatnonzero(owners == owner)
                rows = numbers[mine] - self.snapshot.bases[owner]
                keys = segment.key_of_row(self.field)[rows]
                yield owner, mine[keys >= 0], keys[keys >= 0]

    def _without(self, allowed: Allowed, numbers: Numbers) -> Allowed:
        """Return what is allowed but for these documents and those with their values."""
        segments = self.snapshot.segments
        masks = [
            mask.copy() if mask.size else np.ones(segment.n_documents, np.bool_)
            for segment, mask in zip(segments, allowed.masks, strict=True)
        ]
        for base, mask in zip(self.snapshot.bases, masks, strict=False):
            mask[numbers[(numbers >= base) & (numbers < base + len(mask))] - base] = False
        for owner, _, keys in self._keys(numbers):
            named = [segments[owner].columns[self.field].key(key) for key in keys.tolist()]
            for segment, mask in zip(segments, masks, strict=True):
                column = segment.columns.get(self.field)
                if column is not None:
                    same = keys if segment is segments[owner] else column.places(named)
                    gone = np.zeros(len(column.starts), np.bool_)  # the last: for no key, -1
                    gone[np.asarray(same, np.int64)] = True
                    mask &= ~gone[segment.key_of_row(self.field)]
        return self.snapshot.allowing(masks)
