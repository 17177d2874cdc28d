"""Which segments to merge: enough to keep searches fast, not so many that writing is.

Segments fall into levels by size, each level `FANOUT` times the one below. `FANOUT` segments of one
level, with only smaller ones between them, become one of the next level. So a document is rewritten
at most about once a level, log(documents) / log(FANOUT) times in all, however small the portions
that documents come in, and there are about three segments a level. Only neighbours are merged,
because insertion order decides between equal scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "GATHERED_POSTINGS",
    "MAX_POSTINGS",
    "OPTIMIZED_POSTINGS",
    "SegmentSize",
    "choose_merge",
    "group_neighbours",
]

FANOUT = 4
BASE_POSTINGS = 10_000
"""Postings up to which segments count as equally small: rewriting these costs less than making
their files durable."""

MAX_POSTINGS = 32_000_000
"""Postings of the largest segment that is made on the way: bounds the memory it takes."""

GATHERED_POSTINGS = 128_000_000
"""Postings gathered for a commit where their weights are final: so many learned vectors, which need
no merging afterwards, take 8 bytes of memory a posting unless the caller holds them anyway."""

OPTIMIZED_POSTINGS = 256_000_000
"""The same for `Index.optimize` of learned vectors, whose approximate search is fastest over one
segment. Making it takes about 7 bytes of memory a posting with weights of 8 bits
(docs/results/scale-splade.md)."""

MAX_DELETED = 0.3
"""Share of deleted documents above which a segment is rewritten on its own."""


@dataclass(frozen=True)
class SegmentSize:
    """What the policy looks at.

    Parameters
    ----------
    documents, deleted, postings : int
    stale : bool
        Its codes were computed with an average length that has drifted.
    """

    documents: int
    deleted: int
    postings: int
    stale: bool = False

    @property
    def level(self) -> int:
        """0 for the smallest segments, one more for each `FANOUT` times as many postings."""
        level, limit = 0, BASE_POSTINGS
        while self.postings > limit:
            level, limit = level + 1, limit * FANOUT
        return level


def choose_merge(sizes: Sequence[SegmentSize]) -> tuple[int, int] | None:
    """Return the range of neighbouring segments to merge next, or None when all is well.

    A range of one segment means that it is to be rewritten alone.
    """
    for level in sorted({size.level for size in sizes}):
        run = _run_at(sizes, level)
        if run is not None:
            return run
    for i, size in enumerate(sizes):
        if size.stale or size.deleted > MAX_DELETED * size.documents:
            return i, i + 1
    return None


def _run_at(sizes: Sequence[SegmentSize], level: int) -> tuple[int, int] | None:
    """Return the first range that holds `FANOUT` segments of a level and else only smaller ones."""
    start, postings = 0, 0
    for i, size in enumerate(sizes):
        if size.level > level:
            start, postings = i + 1, 0
            continue
        postings += size.postings
        while postings > MAX_POSTINGS:
            postings -= sizes[start].postings
            start += 1
        of_level = sum(other.level == level for other in sizes[start : i + 1])
        if of_level >= FANOUT:
            return start, i + 1
    return None


def group_neighbours(
    sizes: Sequence[SegmentSize], limit: int = MAX_POSTINGS
) -> list[tuple[int, int]]:
    """Return ranges of neighbours, each with at most `limit` postings or of one segment."""
    ranges: list[tuple[int, int]] = []
    start, postings = 0, 0
    for i, size in enumerate(sizes):
        if i > start and postings + size.postings > limit:
            ranges.append((start, i))
            start, postings = i, 0
        postings += size.postings
    return [*ranges, (start, len(sizes))] if sizes else []
