"""Pairs of neighbouring words, as terms of a fixed number of buckets.

A collection has many times as many pairs as words, so they are not named one by one: each falls
into one of `N_BUCKETS` by a hash of its two words. Pairs that share a bucket count as one another,
which hardly matters: a text of 60 words holds that of a given pair by chance once in a thousand.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Final

from sparsearch.errors import VocabularyMismatchError
from sparsearch.vectors import Vocabulary

__all__ = ["N_BUCKETS", "add_buckets", "find_buckets", "term_hash"]

N_BUCKETS: Final = 2**16
_MARK: Final = "&"
"""Begins the name of every bucket. No word of BM25 contains it."""


@cache
def _names() -> tuple[str, ...]:
    return tuple(f"{_MARK}{bucket}" for bucket in range(N_BUCKETS))


def find_buckets(vocabulary: Vocabulary) -> range:
    """Return the ids of the buckets in a vocabulary; none if it has none.

    Raises
    ------
    VocabularyMismatchError
        When it has some of them only, or in another order.
    """
    names = _names()
    first = vocabulary.get(names[0])
    if first is None:
        return range(0)
    found = range(first, first + N_BUCKETS)
    if vocabulary.terms(found.start, found.stop) != list(names):
        raise VocabularyMismatchError(
            f"the vocabulary has the term {names[0]!r}, but not all {N_BUCKETS} pairs of words "
            "behind it"
        )
    return found


def add_buckets(vocabulary: Vocabulary) -> range:
    """Return the ids of the buckets, added to the vocabulary if it has none; raises as above."""
    if _names()[0] not in vocabulary:
        vocabulary.extend(_names())
    return find_buckets(vocabulary)


def term_hash(term: str) -> int:
    """Return a word's hash, below 2**31, for `kernels.counts.pair_bucket`: the same everywhere."""
    return zlib.crc32(term.encode()) >> 1
