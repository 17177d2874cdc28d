"""From the text of documents to the counts of their terms."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["DIGIT", "JOINER", "LETTER", "SPLIT", "count_terms", "distinct_tokens"]

SPLIT: Final = 0
"""Class of a byte that is part of no token."""
LETTER: Final = 1
DIGIT: Final = 2
JOINER: Final = 2
"""``LETTER + JOINER`` is the class of a byte that is part of a token between two letters only."""

_PRIME = np.uint64(2**31 - 1)
_PRIME_BITS = np.uint64(31)
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
def count_terms(offsets, tokens, term_of_token, n_terms):  # type: ignore[no-untyped-def]
    """Count the terms of each row.

    Parameters
    ----------
    offsets : ndarray of int64 [rows + 1]
    tokens : ndarray of int64 [offsets[-1]]
    term_of_token : ndarray of int64 [distinct tokens]
        Term of each token, below `n_terms`; -1 for a token that is not to be counted.
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
    term_ids = np.empty(tokens.size, np.uint32)
    counts = np.empty(tokens.size, np.int64)
    # By term, all 0 between rows. Pages that are not touched take no time to zero, so a large
    # vocabulary costs a small batch nothing.
    tally = np.zeros(n_terms, np.int64)
    nnz = 0
    for row in range(n_rows):
        start = nnz
        for i in range(offsets[row], offsets[row + 1]):
            term = term_of_token[tokens[i]]
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
