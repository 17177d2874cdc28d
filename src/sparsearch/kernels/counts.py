"""From the text of documents to the counts of their terms."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = [
    "DIGIT",
    "JOINER",
    "LETTER",
    "SPLIT",
    "STOP_WORD",
    "UNKNOWN",
    "append_pairs",
    "count_terms",
    "distinct_tokens",
    "pair_bucket",
]

SPLIT: Final = 0
"""Class of a byte that is part of no token."""
LETTER: Final = 1
DIGIT: Final = 2
JOINER: Final = 2
"""``LETTER + JOINER`` is the class of a byte that is part of a token between two letters only."""

STOP_WORD: Final = -1
"""Stands for a token that is not a term. Its neighbours are neighbours of each other."""
UNKNOWN: Final = -2
"""Stands for a term that no document has. No pair with it is in any document either."""

_PRIME = np.uint64(2**31 - 1)
_PRIME_BITS = np.uint64(31)
# Odd, otherwise arbitrary: the golden ratio's and the square root of 2's first 64 bits.
_FIRST_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SECOND_FACTOR = np.uint64(0x6A09E667F3BCC909)
_FEWEST_SLOTS = 1024


@njit(nogil=True, cache=True)
def distinct_tokens(data, offsets, modes, classes, base):  # type: ignore[no-untyped-def]
    """Split rows of bytes into tokens and number the distinct ones as they first appear.

    Parameters
    ----------
    data : ndarray of uint8
    offsets : ndarray of int64 [rows + 1]
        Row ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    modes : ndarray of uint8 [rows]
        Which of the `classes` each row goes by.
    classes : ndarray of uint8 [modes, 256]
        Class of each byte; see above.
    base : int
        Random, between 256 and 2**31 - 2. Two tokens of length l hash alike for at most l of the
        possible bases (polynomials over a prime field), so no text can be made to collide on
        purpose. The result does not depend on it.

    Returns
    -------
    token_offsets : ndarray of int64 [rows + 1]
    tokens : ndarray of int64 [tokens]
        Number of each token.
    starts, ends : ndarray of int64 [distinct]
        Where in `data` each token first appears.
    """
    n_rows = offsets.size - 1
    # Upper bounds; pages that are not written take no memory.
    tokens = np.empty(data.size // 2 + n_rows, np.int64)
    token_offsets = np.zeros(n_rows + 1, np.int64)
    starts = np.empty(tokens.size, np.int64)
    ends = np.empty(tokens.size, np.int64)
    hashes = np.empty(tokens.size, np.uint32)
    slots = np.zeros(_FEWEST_SLOTS, np.int64)  # number of a token plus 1; 0 is free
    multiplier = np.uint64(base)
    n_tokens = 0
    n_distinct = 0
    for row in range(n_rows):
        classes_here = classes[modes[row]]
        i = offsets[row]
        row_end = offsets[row + 1]
        while i < row_end:
            kind = classes_here[data[i]]
            if kind != LETTER and kind != DIGIT:
                i += 1
                continue
            start = i
            code = np.uint64(0)
            while True:
                code = code * multiplier + np.uint64(data[i])
                code = (code & _PRIME) + (code >> _PRIME_BITS)
                i += 1
                if i == row_end:
                    break
                before = kind
                kind = classes_here[data[i]]
                if kind == SPLIT:
                    break
                if kind > JOINER and (
                    before + JOINER != kind
                    or i + 1 == row_end
                    or classes_here[data[i + 1]] + JOINER != kind
                ):
                    break
            hashed = np.uint32(code)
            slot = _find(slots, hashes, starts, ends, data, hashed, start, i)
            if slots[slot] == 0:
                hashes[n_distinct] = hashed
                starts[n_distinct] = start
                ends[n_distinct] = i
                n_distinct += 1
                slots[slot] = n_distinct
                number = n_distinct - 1
                if 2 * n_distinct > slots.size:
                    slots = _more_slots(slots.size * 4, hashes[:n_distinct])
            else:
                number = slots[slot] - 1
            tokens[n_tokens] = number
            n_tokens += 1
        token_offsets[row + 1] = n_tokens
    return token_offsets, tokens[:n_tokens], starts[:n_distinct].copy(), ends[:n_distinct].copy()


@njit(nogil=True, cache=True)
def _find(slots, hashes, starts, ends, data, hashed, start, end):  # type: ignore[no-untyped-def]
    """Return the slot of the token ``data[start:end]``, or the free one where it belongs."""
    mask = slots.size - 1
    slot = np.int64(hashed) & mask
    while slots[slot] != 0:
        number = slots[slot] - 1
        if hashes[number] == hashed and ends[number] - starts[number] == end - start:
            first = starts[number]
            same = 0
            while same < end - start and data[first + same] == data[start + same]:
                same += 1
            if same == end - start:
                break
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True, cache=True)
def _more_slots(n_slots, hashes):  # type: ignore[no-untyped-def]
    """Return `n_slots` slots, a power of two, holding the tokens that have these hashes."""
    slots = np.zeros(n_slots, np.int64)
    mask = n_slots - 1
    for number in range(hashes.size):
        slot = np.int64(hashes[number]) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = number + 1
    return slots


@njit(nogil=True, cache=True)
def pair_bucket(first, second, n_buckets):  # type: ignore[no-untyped-def]
    """Return the bucket, below `n_buckets` (a power of two), of two terms given by their hashes.

    Multiply-shift hashing (Dietzfelbinger et al. 1997); the order of the two matters.
    """
    mixed = np.uint64(first) * _FIRST_FACTOR + np.uint64(second)
    return np.int64((mixed * _SECOND_FACTOR >> np.uint64(32)) & np.uint64(n_buckets - 1))


@njit(nogil=True, cache=True)
def append_pairs(offsets, terms, hashes, first_pair, n_buckets):  # type: ignore[no-untyped-def]
    """Append to the terms of each row one for each pair of its neighbouring words.

    Parameters
    ----------
    offsets : ndarray of int64 [rows + 1]
    terms : ndarray of int64 [offsets[-1]]
        Terms in the order of the text; see `STOP_WORD` and `UNKNOWN`.
    hashes : ndarray of int64 [offsets[-1]]
        Of each term, in [0, 2**31).
    first_pair, n_buckets : int
        Pairs are the terms from `first_pair` on, `n_buckets` of them; see `pair_bucket`.

    Returns
    -------
    new_offsets : ndarray of int64 [rows + 1]
    new_terms : ndarray of int64 [new_offsets[-1]]
    """
    new_offsets = np.empty_like(offsets)
    new_offsets[0] = 0
    new_terms = np.empty(2 * terms.size, np.int64)
    n_terms = 0
    for row in range(offsets.size - 1):
        before = -1
        for i in range(offsets[row], offsets[row + 1]):
            if terms[i] == STOP_WORD:
                continue
            if terms[i] == UNKNOWN:
                before = -1
                continue
            new_terms[n_terms] = terms[i]
            n_terms += 1
            if before >= 0:
                bucket = pair_bucket(hashes[before], hashes[i], n_buckets)
                new_terms[n_terms] = first_pair + bucket
                n_terms += 1
            before = i
        new_offsets[row + 1] = n_terms
    return new_offsets, new_terms[:n_terms]


@njit(nogil=True, cache=True)
def count_terms(offsets, terms, n_terms):  # type: ignore[no-untyped-def]
    """Count the terms of each row.

    Parameters
    ----------
    offsets : ndarray of int64 [rows + 1]
    terms : ndarray of int64 [offsets[-1]]
        Below `n_terms`; what is below 0 is not counted.
    n_terms : int

    Returns
    -------
    term_offsets : ndarray of int64 [rows + 1]
    term_ids : ndarray of uint32 [nnz]
        Strictly increasing within a row.
    counts : ndarray of int64 [nnz]
        Above 0.
    """
    n_rows = offsets.size - 1
    term_offsets = np.zeros(n_rows + 1, np.int64)
    term_ids = np.empty(terms.size, np.uint32)
    counts = np.empty(terms.size, np.int64)
    # By term, all 0 between rows. Pages that are not touched take no time to zero, so a large
    # vocabulary costs a small batch nothing.
    tally = np.zeros(n_terms, np.int64)
    nnz = 0
    for row in range(n_rows):
        start = nnz
        for i in range(offsets[row], offsets[row + 1]):
            term = terms[i]
            if term >= 0:
                if tally[term] == 0:
                    term_ids[nnz] = term
                    nnz += 1
                tally[term] += 1
        term_ids[start:nnz].sort()
        for i in range(start, nnz):
            counts[i] = tally[term_ids[i]]
            tally[term_ids[i]] = 0
        term_offsets[row + 1] = nnz
    return term_offsets, term_ids[:nnz].copy(), counts[:nnz].copy()
