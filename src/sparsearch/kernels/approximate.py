"""Approximate top-k: candidates from a query's heaviest strong lists, scored in full.

The strong lists of a query (see `kernels.layering`) are walked term at a time in windows of
documents, as many as hold the wanted share of the query's mass. The documents with the best partial
scores are candidates; their vectors are read from the forward index and scored exactly. This is
SINDI's scheme (Li et al., 2025: windowed accumulation over mass-pruned postings, then re-scoring).

A hit always carries its true score; what is approximate is only which documents are looked at.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.compiling import ZERO
from sparsearch.kernels.filtering import clear_others, next_allowed
from sparsearch.kernels.layering import LIST_WINDOW
from sparsearch.kernels.rows import clip
from sparsearch.kernels.scoring import clear_weights, score_documents, set_weights
from sparsearch.kernels.sorting import sort_best_first
from sparsearch.kernels.sweeping import clear, largest
from sparsearch.kernels.topk import LAST_DOCUMENT, make_key, select_best

__all__ = [
    "add_postings",
    "fit_scales",
    "gather_candidates",
    "keep_best",
    "score_candidates",
    "search_candidates",
]

_GROUP = 512
_PIECE = 32
_SAMPLE_WINDOWS = 8
_LARGEST_SUM = 65535 // 255
"""What factors may add up to: a partial score has 16 bits, the code of a strong posting 8."""


@njit(nogil=True, cache=True)
def _choose_lists(strong, located, multipliers, mass, n_documents):  # type: ignore[no-untyped-def]
    """Choose the strong lists to walk; return their places among the query's terms.

    Lists that can add much and cost little come first, until those chosen can add the wanted share
    of all that the query's terms can add.
    """
    lists, max_codes = strong
    offsets = lists[0]
    bounds = np.zeros(located.size, np.float64)
    worth = np.zeros(located.size, np.float64)
    for i in range(located.size):
        number = located[i]
        if number >= 0 and multipliers[i] > 0:
            length = offsets[number + 1] - offsets[number]
            bounds[i] = np.float64(multipliers[i]) * np.float64(max_codes[number])
            # The fourth root: between "what it adds" and "what it adds per posting". The constant
            # keeps short lists, which all cost next to nothing, in order of what they add.
            worth[i] = bounds[i] / np.sqrt(np.sqrt(length + n_documents / 1000))
    order = np.arange(located.size)
    sort_best_first(worth, order)
    wanted = mass * bounds.sum()
    reached = 0.0
    for i in range(order.size):
        if reached >= wanted or bounds[order[i]] <= 0:
            return order[:i]
        reached += bounds[order[i]]
    return order


@njit(nogil=True, cache=True)
def _largest_scale(multipliers, chosen):  # type: ignore[no-untyped-def]
    """Return what multipliers may be multiplied by for partial scores to stay within 16 bits."""
    total = 0.0
    for i in range(chosen.size):
        total += np.float64(multipliers[chosen[i]])
    # One less for each list, for rounding up.
    return max(_LARGEST_SUM - chosen.size, 1) / max(total, 1.0)


@njit(nogil=True, cache=True)
def _open_strong(strong, located, multipliers, mass, n_documents, scale):  # type: ignore[no-untyped-def]
    """Return the lists to walk and their factors, with which no partial score leaves 16 bits."""
    chosen = _choose_lists(strong, located, multipliers, mass, n_documents)
    scale = min(scale, _largest_scale(multipliers, chosen))
    lists, _ = strong
    offsets = lists[0]
    numbers = np.empty(chosen.size, np.int64)
    factors = np.empty(chosen.size, np.uint16)
    count = 0
    room = _LARGEST_SUM
    for i in range(chosen.size):
        number = located[chosen[i]]
        factor = max(np.int64(multipliers[chosen[i]] * scale + 0.5), 1)
        if offsets[number + 1] > offsets[number] and factor <= room:
            numbers[count] = number
            factors[count] = factor
            room -= factor
            count += 1
    return numbers[:count], factors[:count]


@njit(nogil=True, cache=True)
def add_postings(places, codes, start, stop, factor, accumulators):  # type: ignore[no-untyped-def]
    """Add the postings ``start .. stop - 1``, times a factor of the accumulators' own type."""
    number = accumulators.dtype.type
    size = np.uint64(accumulators.size)
    # All of this is always so, unless a file was damaged, which must not damage the process.
    start, stop = clip(start, stop, codes.size)
    for i in range(np.uint64(start), np.uint64(stop)):
        place = np.uint64(places[i])
        if place < size:
            accumulators[place] += number(factor * number(codes[i]))


@njit(nogil=True, cache=True)
def _sweep(accumulators, count, bar, first, base, keys, size):  # type: ignore[no-untyped-def]
    """Offer every document of the window whose partial score exceeds the bar; clear them all."""
    # Most groups hold nothing, and most pieces of those that do.
    for group in range(0, accumulators.size, _GROUP):
        if largest(accumulators, group, group + _GROUP) > bar:
            for piece in range(group, group + _GROUP, _PIECE):
                if largest(accumulators, piece, piece + _PIECE) <= bar:
                    continue
                for i in range(piece, piece + _PIECE):
                    if accumulators[i] <= bar:
                        continue
                    keys[size] = make_key(accumulators[i], base + first + i)
                    size += 1
                    if size == 2 * count:
                        size = count
                        bar = np.uint16(select_best(keys, 2 * count, count) >> 32)
        clear(accumulators, group, group + _GROUP)
    return size, bar


@njit(nogil=True, cache=True)
def _gather_from(which, lists, opened, allowed, base, count, keys, size, bar, accumulators):  # type: ignore[no-untyped-def]
    """Offer the documents of some windows; return how many candidates there are, and the bar.

    ``which`` is ``(stride, is_sampled, is_other)``: whether every so many-th window is one of them,
    and whether those in between are.
    """
    offsets, places, codes, starts, _, _, _ = lists
    numbers, factors = opened
    stride, is_sampled, is_other = which
    for window in range(starts.shape[1] - 1):
        if not (is_sampled if window % stride == 0 else is_other):
            continue
        first = window * LIST_WINDOW
        end = min(first + LIST_WINDOW, allowed.size)
        if allowed.size > 0 and next_allowed(allowed, first, end) == end:
            continue
        added = np.int64(0)
        for i in range(numbers.size):
            start = offsets[numbers[i]] + np.int64(starts[numbers[i], window])
            stop = offsets[numbers[i]] + np.int64(starts[numbers[i], window + 1])
            add_postings(places, codes, start, stop, factors[i], accumulators)
            added += max(stop - start, 0)
        if added > 0:
            clear_others(accumulators, allowed, first)
            size, bar = _sweep(accumulators, count, bar, first, base, keys, size)
    return size, bar


@njit(nogil=True, cache=True)
def _gather_one(lists, opened, allowed, base, wanted, keys, size, bar, accumulators):  # type: ignore[no-untyped-def]
    n_windows = lists[3].shape[1] - 1
    count, n_documents = wanted
    if allowed.size > 0:
        # All that a filter leaves may be in this segment.
        n_documents = min(n_documents, n_windows * LIST_WINDOW)
    # A few windows, spread over the segment, go first and tell what score to beat in the others.
    stride = max(n_windows // _SAMPLE_WINDOWS, 3)
    n_sampled = (n_windows + stride - 1) // stride
    in_sample = _sample_rank(count, n_sampled * LIST_WINDOW, n_documents)
    if n_windows <= stride or size > 0:
        return _gather_from(
            (stride, True, True), lists, opened, allowed, base, count, keys, size, bar,
            accumulators,
        )  # fmt: skip
    size, bar = _gather_from(
        (stride, True, False), lists, opened, allowed, base, in_sample, keys, size, bar,
        accumulators,
    )  # fmt: skip
    if size > in_sample:
        # One less, or where many partial scores are equal too few would exceed it.
        bar = np.uint16(max((select_best(keys, size, in_sample) >> 32) - 1, 0))
        size = in_sample
    to_beat = bar
    size, bar = _gather_from(
        (stride, False, True), lists, opened, allowed, base, count, keys, size, bar, accumulators
    )
    expected = min(count * n_windows * LIST_WINDOW / n_documents, count)
    if to_beat > 0 and size < expected - 2 * np.sqrt(expected):
        # What matches lies in the sample's windows more than elsewhere, as a filter may leave it.
        size, bar = _gather_from(
            (stride, True, True), lists, opened, allowed, base, count, keys, np.int64(0),
            np.uint16(0), accumulators,
        )  # fmt: skip
    return size, bar


@njit(nogil=True, cache=True)
def _sample_rank(count, n_sampled, n_documents):  # type: ignore[no-untyped-def]
    """Return which rank in a sample about the ``count``-th of all documents would have."""
    expected = count * n_sampled / n_documents
    # Rather a little too low: that costs some time, the other way some candidates.
    return min(np.int64(1.1 * expected + np.sqrt(expected) + 2), count)


@njit(nogil=True, cache=True)
def fit_scales(strong, n_documents, queries, mass, scales, start, stop):  # type: ignore[no-untyped-def]
    """Lower the scales of partial scores as far as a segment needs.

    Partial scores are compared over all segments, so a query needs one scale for all of them: the
    lowest, or documents of a segment that lacks its heavy terms would seem better than they are.

    Parameters
    ----------
    strong, n_documents, queries, mass, start, stop
        As for `gather_candidates`.
    scales : ndarray of float64 [stop - start]
        Changed in place; at first infinite.
    """
    query_offsets, located, multipliers = queries
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        chosen = _choose_lists(strong, located[low:high], multipliers[low:high], mass, n_documents)
        scales[i] = min(scales[i], _largest_scale(multipliers[low:high], chosen))


@njit(nogil=True, cache=True)
def gather_candidates(  # type: ignore[no-untyped-def]
    strong, allowed, base, n_documents, queries, walk, tops, scratch, start, stop
):
    """Offer a segment's documents to the candidates of queries ``start .. stop - 1``.

    Parameters
    ----------
    strong : tuple of (lists, max_codes)
        The strong lists; the largest code of each posting list.
    allowed : ndarray of bool [segment's documents] or [0]
        Documents that may be returned; empty when all may.
    base : int
        Number of the segment's first document.
    n_documents : int
        Of all segments.
    queries : tuple of (offsets, located, multipliers)
        As for `kernels.exact.search_segment`.
    walk : tuple of (mass, scales)
        Share of a query's mass whose lists are walked; the queries' scales as `fit_scales` leaves
        them after all segments, or infinite where there is but one: float64 [stop - start].
    tops : tuple of (keys, sizes, bars)
        Best candidates so far by partial score (see `kernels.topk`), changed in place: int64
        [stop - start, 2 candidates], of which ``sizes`` are in use; and the partial score that one
        more must exceed, uint16.
    scratch : tuple of (sums, weights)
        Zeros before and after, kept from call to call instead of made for each: int32
        [LIST_WINDOW] and int32 [posting lists, or more].
    """
    lists, _ = strong
    query_offsets, located, multipliers = queries
    mass, scales = walk
    keys, sizes, bars = tops
    count = keys.shape[1] // 2
    accumulators = scratch[0].view(np.uint16)[:LIST_WINDOW]
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        opened = _open_strong(
            strong, located[low:high], multipliers[low:high], mass, n_documents, scales[i]
        )
        sizes[i], bars[i] = _gather_one(
            lists, opened, allowed, base, (count, n_documents), keys[i], sizes[i], bars[i],
            accumulators,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def keep_best(keys, sizes, count):  # type: ignore[no-untyped-def]
    """Drop all but the best ``count`` candidates of each query, in place."""
    for i in range(sizes.size):
        if sizes[i] > count:
            select_best(keys[i], sizes[i], count)
            sizes[i] = count


@njit(nogil=True, cache=True)
def score_candidates(forward, base, candidates, queries, tops, scratch, start, stop):  # type: ignore[no-untyped-def]
    """Score the candidates that lie in a segment, and offer them to the top k of their queries.

    Parameters
    ----------
    forward : tuple
        The segment's forward index (see `kernels.rows`).
    base : int
        Number of its first document.
    candidates : tuple of (keys, sizes)
        As `gather_candidates` leaves them.
    queries, tops, start, stop
        As for `kernels.exact.search_segment`.
    scratch : tuple of (sums, weights)
        As for `gather_candidates`.
    """
    offsets = forward[0]
    query_offsets, located, multipliers = queries
    candidate_keys, candidate_sizes = candidates
    keys, sizes, thresholds = tops
    weights = scratch[1]
    rows = np.empty(candidate_keys.shape[1], np.int64)
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        lower = set_weights(weights, forward, located[low:high], multipliers[low:high])
        count = 0
        for j in range(candidate_sizes[i]):
            number = LAST_DOCUMENT - (candidate_keys[i, j] & LAST_DOCUMENT)
            if base <= number < base + offsets.size - 1:
                rows[count] = number
                count += 1
        sizes[i], thresholds[i] = score_documents(
            forward, base, rows[:count], (weights, lower), keys.shape[1] // 2, keys[i], sizes[i],
            thresholds[i], np.int64(1),
        )  # fmt: skip
        clear_weights(weights, forward, located[low:high])


@njit(nogil=True, cache=True)
def search_candidates(strong, forward, allowed, queries, effort, tops, scratch, start, stop):  # type: ignore[no-untyped-def]
    """Fill the top k of queries ``start .. stop - 1`` from the only segment of an index.

    Parameters
    ----------
    strong, forward, allowed, queries, scratch
        As for `gather_candidates` and `score_candidates`.
    effort : tuple of (mass, count)
        Share of the query's mass whose lists are walked; how many candidates to score.
    tops, start, stop
        As for `kernels.exact.search_segment`.
    """
    mass, count = effort
    n_documents = forward[0].size - 1
    keys = np.empty((stop - start, 2 * count), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    bars = np.zeros(stop - start, np.uint16)
    scales = np.full(stop - start, np.inf)
    gather_candidates(
        strong, allowed, ZERO, n_documents, queries, (mass, scales), (keys, sizes, bars), scratch,
        start, stop,
    )  # fmt: skip
    keep_best(keys, sizes, count)
    score_candidates(forward, ZERO, (keys, sizes), queries, tops, scratch, start, stop)
