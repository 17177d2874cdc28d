"""One hit a value: the best document of each author, or the best passage of each text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsearch.errors import FilterError, shorten
from sparsearch.index.columns import Key
from sparsearch.index.search import TopK
from sparsearch.index.snapshot import Allowed, Snapshot

__all__ = ["Distinct"]

Numbers = npt.NDArray[np.int64]

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
        If there are documents, but none has the field, or one has several values of it.
    """

    snapshot: Snapshot
    field: str
    ranking: Ranking

    def __post_init__(self) -> None:
        if self.snapshot.n_documents and self.field not in self.snapshot.fields:
            raise self.snapshot.unknown_field(self.field)

    def top_k(self, n_queries: int, k: int, allowed: Allowed) -> TopK:
        """Return the best documents of which no two have the same value.

        Documents without a value are all returned. The result is what going through the whole
        ranking from the top would leave; instead, the top is gone through, and what is missing is
        searched for among the documents with other values, again and again.
        """
        numbers = np.zeros((n_queries, k), np.int64)
        scores = np.zeros((n_queries, k))
        counts = np.zeros(n_queries, np.int64)
        depth = self._depth(k)
        top = self.ranking(slice(0, n_queries), depth, allowed)
        for query in range(n_queries):
            part = slice(query, query + 1)
            found = TopK(top.numbers[part], top.scores[part], top.counts[part])
            for best, theirs in self._rounds(part, found, k, allowed):
                filled = slice(counts[query], counts[query] + len(best))
                numbers[query, filled], scores[query, filled] = best, theirs
                counts[query] += len(best)
        return TopK(numbers, scores, counts)

    def _depth(self, k: int) -> int:
        return min(_DEEPER * k, self.snapshot.n_documents)

    def _rounds(
        self, query: slice, found: TopK, k: int, allowed: Allowed
    ) -> Iterator[tuple[Numbers, npt.NDArray[np.float64]]]:
        """Yield the k best documents of a query and their scores, in parts.

        `found` is what a search to the depth of k found.
        """
        while True:
            ranked = found.numbers[0, : found.counts[0]]
            kept = self._first_of_each(ranked)[:k]
            yield ranked[kept], found.scores[0, kept]
            seen_all = len(ranked) < max(self._depth(k), 1)
            k -= len(kept)
            if k == 0 or seen_all:
                return
            allowed = self._without(allowed, ranked[kept])
            found = self.ranking(query, self._depth(k), allowed)

    def _first_of_each(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        """Return the places, ascending, of documents whose value none before them has."""
        return np.sort(np.unique(self._values(numbers), return_index=True)[1])

    def _values(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        """Return numbers that are equal where values are; each absent value has one of its own."""
        values = -1 - numbers
        known: dict[tuple[type, Key], int] = {}
        for place, key in self._keys(numbers):
            values[place] = known.setdefault((type(key), key), len(known))
        return values

    def _keys(self, numbers: Numbers) -> Iterator[tuple[int, Key]]:
        """Yield the place and the value of each document that has one."""
        owners = np.searchsorted(self.snapshot.bases, numbers, side="right") - 1
        for owner in np.unique(owners).tolist():
            segment = self.snapshot.segments[owner]
            column = segment.columns.get(self.field)
            if column is None:
                continue
            key_of_row = segment.key_of_row(self.field)
            if key_of_row is None:
                reason = f"field {shorten(self.field)}: a document has several values"
                raise FilterError(f"{reason}; distinct hits need a field of single ones")
            mine = np.flatnonzero(owners == owner)
            keys = key_of_row[numbers[mine] - self.snapshot.bases[owner]]
            for place, key in zip(mine.tolist(), keys.tolist(), strict=True):
                if key >= 0:
                    yield place, column.key(key)

    def _without(self, allowed: Allowed, numbers: Numbers) -> Allowed:
        """Return what is allowed but for these documents and those with their values."""
        masks = [
            mask.copy() if mask.size else np.ones(segment.n_documents, np.bool_)
            for segment, mask in zip(self.snapshot.segments, allowed.masks, strict=True)
        ]
        for number in numbers.tolist():
            owner = bisect_right(self.snapshot.bases, number) - 1
            masks[owner][number - self.snapshot.bases[owner]] = False
        for _, key in self._keys(numbers):
            for segment, mask in zip(self.snapshot.segments, masks, strict=True):
                if self.field in segment.columns:
                    mask[segment.columns[self.field].equal(key)] = False
        return self.snapshot.allowing(masks)
