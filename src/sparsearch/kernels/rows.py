"""The forward index: documents' vectors in few bytes, each in one piece.

Lists are known by their rank, that of the most postings first, so that most of a document's
postings lie close together. Those of ranks below `NEAR` are *near* and stand in order of rank. The
row of a document with m postings that are *far*, instead, holds

- how many steps n follow, two bytes (the lower first, as everywhere here);
- steps, a byte each: from the rank of one near posting to that of the next, the first from 0. Where
  255 ranks are not enough, a step of 255 whose code is 0, and which is no posting, leads on;
- the upper 8 bits of codes, a byte each: of n steps, then of m far postings;
- the ranks of the far postings, in any order, two bytes each, or four;
- of codes of 12 bits the lower 4, two to a byte, the earlier ones in its lower half.

A forward index is ``(offsets, rows, ranks, form)``: where each row starts, int64 [documents + 1];
the rows, uint8; the rank of each list, uint32 [lists]; ``(far_bytes, low_bits)``, how many bytes
the rank of a far posting has, and how many bits of a code stand apart, 0 or 4.

What is put into it are *entries*, ``(offsets, numbers, codes)``: int64 [documents + 1]; the number
of each posting's list, uint16 or uint32; its code, uint8 or uint16, at least 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from sparsearch.kernels.compiling import ZERO, inner

__all__ = [
    "NEAR",
    "clip",
    "copy_entries",
    "count_entries",
    "far_rank",
    "largest_codes",
    "locate_row",
    "lower_bits",
    "pack_rows",
    "row_limit",
]

NEAR = 4096
"""Ranks below are near. Part of the file format."""

_COUNT_BYTES = 2
_LONGEST_STEP = 255
_DIGIT_BITS = 6
_BUCKETS = 1 << _DIGIT_BITS
_DIGIT = _BUCKETS - 1
_CODE_BITS = 16


def row_limit(n_postings: npt.NDArray[np.int64], form: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return how many bytes the row of a document with so many postings takes at most."""
    far_bytes, low_bits = form
    n_steps = n_postings + NEAR // _LONGEST_STEP
    most = _COUNT_BYTES + 2 * n_steps + (far_bytes - 1) * n_postings
    return most if low_bits == 0 else most + (n_steps + 1) // 2


@inner
def clip(start, stop, size):  # type: ignore[no-untyped-def]
    """Return the part of a range that lies below ``size``."""
    stop = max(min(stop, size), 0)
    return min(max(start, 0), stop), stop


@inner
def locate_row(forward, row):  # type: ignore[no-untyped-def]
    """Return where a document's steps start, how many there are, and how many far postings.

    All that these numbers say is in the row lies within the array, even if it was damaged.
    """
    offsets, rows, _, form = forward
    far_bytes, low_bits = form
    start, stop = clip(offsets[row], offsets[row + 1], rows.size)
    room = stop - start - _COUNT_BYTES
    if room < 0:
        return np.uint64(0), np.uint64(0), np.uint64(0)
    # All sizes twice, because a code's lower bits take half a byte.
    half = np.int64(low_bits > 0)
    n_steps = np.int64(rows[start]) | np.int64(rows[start + 1]) << 8
    n_steps = min(n_steps, 2 * room // (4 + half))
    n_far = (2 * room - (4 + half) * n_steps) // (2 * far_bytes + 2 + half)
    return np.uint64(start + _COUNT_BYTES), np.uint64(n_steps), np.uint64(n_far)


@inner
def far_rank(rows, at, far_bytes):  # type: ignore[no-untyped-def]
    """Return the rank of the far posting that stands at ``at``, unsigned."""
    rank = np.uint64(rows[at]) | np.uint64(rows[at + np.uint64(1)]) << np.uint64(8)
    if far_bytes > 2:
        rank |= np.uint64(rows[at + np.uint64(2)]) << np.uint64(16)
        rank |= np.uint64(rows[at + np.uint64(3)]) << np.uint64(24)
    return rank


@inner
def lower_bits(rows, lowers, i):  # type: ignore[no-untyped-def]
    """Return the lower bits of a row's ``i``-th code, given where those of its codes start."""
    pair = np.uint64(rows[lowers + (i >> np.uint64(1))])
    return np.int64(pair >> ((i & np.uint64(1)) << np.uint64(2)) & np.uint64(15))


@inner
def _unpack_row(forward, row, found):  # type: ignore[no-untyped-def]
    """Write a document's postings, rank and code, into two arrays; return how many there are."""
    _, rows, all_ranks, form = forward
    far_bytes, low_bits = form
    ranks, codes = found
    start, n_steps, n_far = locate_row(forward, row)
    uppers = start + n_steps
    far = uppers + n_steps + n_far
    lowers = far + n_far * np.uint64(far_bytes)
    count = 0
    rank = np.uint64(0)
    for i in range(n_steps + n_far):
        if i < n_steps:
            rank += np.uint64(rows[start + i])
        else:
            rank = far_rank(rows, far, far_bytes)
            far += np.uint64(far_bytes)
        code = np.int64(rows[uppers + i])
        if low_bits > 0:
            code = code << low_bits | lower_bits(rows, lowers, i)
        # No rank is beyond the lists, unless a file was damaged.
        if code > 0 and rank < np.uint64(all_ranks.size):
            ranks[count] = rank
            codes[count] = code
            count += 1
    return count


@njit(nogil=True, cache=True)
def _buffers(forward, chosen):  # type: ignore[no-untyped-def]
    """Return two arrays as long as the longest of some rows may need them."""
    offsets, rows, _, _ = forward
    longest = np.int64(0)
    for row in chosen:
        start, stop = clip(offsets[row], offsets[row + 1], rows.size)
        longest = max(longest, stop - start)
    return np.empty(longest, np.int64), np.empty(longest, np.int64)


@njit(nogil=True, cache=True)
def count_entries(forward, chosen):  # type: ignore[no-untyped-def]
    """Return how many postings documents have, int64 [documents], given their rows, int64."""
    counts = np.empty(chosen.size, np.int64)
    found = _buffers(forward, chosen)
    for i in range(chosen.size):
        counts[i] = _unpack_row(forward, chosen[i], found)
    return counts


@njit(nogil=True, cache=True)
def largest_codes(forward, chosen):  # type: ignore[no-untyped-def]
    """Return the largest code that documents have of each rank, 0 where none has: int64 [lists]."""
    largest = np.zeros(forward[2].size, np.int64)
    found = _buffers(forward, chosen)
    ranks, codes = found
    for row in chosen:
        for i in range(_unpack_row(forward, row, found)):
            largest[ranks[i]] = max(largest[ranks[i]], codes[i])
    return largest


@njit(nogil=True, cache=True)
def copy_entries(forward, chosen, places, steps, numbers, codes):  # type: ignore[no-untyped-def]
    """Unpack documents' entries, their lists renumbered and their codes in other steps.

    Parameters
    ----------
    forward : tuple
        The forward index.
    chosen : ndarray of int64
        The rows of the documents.
    places : ndarray of the dtype of `numbers` [lists]
        The new number of the list of each rank.
    steps : ndarray of int64 [lists]
        By how many bits the codes of each rank become shorter, rounded down, but 1 at least;
        longer, if negative.
    numbers, codes : ndarray
        Filled in place with the entries of these documents, one after the other, as many as
        `count_entries` says; within a document in any order.
    """
    found = _buffers(forward, chosen)
    ranks, old_codes = found
    end = 0
    for row in chosen:
        for i in range(_unpack_row(forward, row, found)):
            code, step = old_codes[i], steps[ranks[i]]
            numbers[end] = places[ranks[i]]
            # From 16 bits on, nothing is left of any code.
            codes[end] = max(code >> min(step, 16), 1) if step >= 0 else code << -step
            end += 1


@inner
def _order_row(entries, ranks, row, counts, keys):  # type: ignore[no-untyped-def]
    """Write a document's postings as keys, near ones first and in order of rank.

    A key is ``rank << 16 | code``. Returns how many are near. They are sorted by the digits of
    their ranks, the lower one first, without branches that would be mispredicted.

    Parameters
    ----------
    entries, ranks, row
    counts : ndarray of int64 [2, _BUCKETS]
    keys : ndarray of int64 [3, postings, or more]
        The keys are in its first row.
    """
    offsets, numbers, codes = entries
    for bucket in range(_BUCKETS):
        counts[0, bucket] = counts[1, bucket] = 0
    n_near = n_far = ZERO
    for i in range(offsets[row], offsets[row + 1]):
        rank = np.int64(ranks[numbers[i]])
        is_near = np.int64(rank < NEAR)
        keys[0, n_near] = keys[1, n_far] = rank << _CODE_BITS | np.int64(codes[i])
        counts[0, rank & _DIGIT] += is_near
        counts[1, rank >> _DIGIT_BITS & _DIGIT] += is_near
        n_near += is_near
        n_far += 1 - is_near
    for digit in range(2):
        before = 0
        for bucket in range(_BUCKETS):
            count = counts[digit, bucket]
            counts[digit, bucket] = before
            before += count
    shift = np.int64(_CODE_BITS)
    _sort_digit(keys[0], keys[2], n_near, counts[0], shift)
    _sort_digit(keys[2], keys[0], n_near, counts[1], shift + _DIGIT_BITS)
    for i in range(n_far):
        keys[0, n_near + i] = keys[1, i]
    return n_near


@inner
def _sort_digit(keys, target, n, starts, shift):  # type: ignore[no-untyped-def]
    """Write keys in order of one digit, given where those of each are to start."""
    for i in range(n):
        digit = keys[i] >> shift & _DIGIT
        target[starts[digit]] = keys[i]
        starts[digit] += 1


@inner
def _count_steps(keys, n_near):  # type: ignore[no-untyped-def]
    """Return how many steps near postings take."""
    n_steps = n_near
    before = 0
    for i in range(n_near):
        rank = keys[i] >> _CODE_BITS
        n_steps += max(rank - before - 1, 0) // _LONGEST_STEP
        before = rank
    return n_steps


@inner
def _write_code(code, i, places, low_bits, rows):  # type: ignore[no-untyped-def]
    """Write a row's ``i``-th code, its upper and its lower bits."""
    uppers, lowers = places
    rows[uppers + i] = code >> low_bits
    if low_bits > 0:
        lower = code & 15
        if i & 1:
            rows[lowers + (i >> 1)] |= lower << 4
        else:
            rows[lowers + (i >> 1)] = lower


@inner
def _write_row(keys, sizes, form, start, rows):  # type: ignore[no-untyped-def]
    """Write a document's row, given its keys and how many are near and far; return its length."""
    n_near, n_far = sizes
    far_bytes, low_bits = form
    n_steps = _count_steps(keys, n_near)
    rows[start] = n_steps & 255
    rows[start + 1] = n_steps >> 8
    steps = start + _COUNT_BYTES
    far = steps + 2 * n_steps + n_far
    places = steps + n_steps, far + far_bytes * n_far
    count = before = ZERO
    for i in range(n_near):
        step = (keys[i] >> _CODE_BITS) - before
        before += step
        while step > _LONGEST_STEP:
            rows[steps + count] = _LONGEST_STEP
            _write_code(ZERO, count, places, low_bits, rows)
            step -= _LONGEST_STEP
            count += 1
        rows[steps + count] = step
        _write_code(keys[i] & 0xFFFF, count, places, low_bits, rows)
        count += 1
    for i in range(n_near, n_near + n_far):
        rank = keys[i] >> _CODE_BITS
        for byte in range(far_bytes):
            rows[far] = rank >> 8 * byte & 255
            far += 1
        _write_code(keys[i] & 0xFFFF, count, places, low_bits, rows)
        count += 1
    return far - start + (0 if low_bits == 0 else (count + 1) // 2)


@njit(nogil=True, cache=True)
def pack_rows(entries, ranks, form, span, lengths, rows):  # type: ignore[no-untyped-def]
    """Write the rows of documents ``first .. stop - 1`` one after the other.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    ranks : ndarray of uint32 [lists]
    form : tuple of (far_bytes, low_bits)
    span : tuple of (first, stop)
    lengths : ndarray of int64 [documents]
        In bytes, filled in place for these documents.
    rows : ndarray of uint8
        Filled in place from its start on; as long as `row_limit` says for each of the documents.

    Returns
    -------
    int
        How many bytes were written.
    """
    offsets = entries[0]
    most = 0
    for row in range(span[0], span[1]):
        most = max(most, offsets[row + 1] - offsets[row])
    counts, keys = np.empty((2, _BUCKETS), np.int64), np.empty((3, most + 1), np.int64)
    end = ZERO
    for row in range(span[0], span[1]):
        n_near = _order_row(entries, ranks, row, counts, keys)
        sizes = n_near, offsets[row + 1] - offsets[row] - n_near
        lengths[row] = _write_row(keys[0], sizes, form, end, rows)
        end += lengths[row]
    return end
