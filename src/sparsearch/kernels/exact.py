"""Exact top-k over one segment: term at a time in cache-sized windows, with safe pruning.

The posting lists of a query are walked window by window of `WINDOW` documents, so that the sums
stay in the nearest caches. Lists are ordered by their upper bound (multiplier times largest code).
Once k documents are known, a document needs more than the k-th score to enter, so lists whose
bounds together cannot reach it are *non-essential* (MaxScore, Turtle and Flood 1995): they are
not walked, only looked into for documents that the others brought near enough.

Common terms, which have dense rows, are not walked either. What they can add to each group of eight
documents is known (block maxima, as in Block-Max WAND, Ding and Suel 2011, but of documents that
lie 16 apart, so that vector instructions compare 16 groups at once), and only documents whose sum
and bound exceed the k-th score are looked up in the rows. Where that leaves many, the rows are
added as a whole: for one in `_ROW_COST` documents it is as fast.

Scores are integers (see `kernels.plan`), so the order in which lists are added cannot change them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.compiling import ZERO, inner
from sparsearch.kernels.filtering import BLOCKED, block_others, next_allowed
from sparsearch.kernels.intrinsics import LANES, above_in_block, above_in_row, lowest_bit
from sparsearch.kernels.lists import (
    BLOCK,
    CURSOR,
    DENSE,
    END,
    FACTOR,
    add_bounds,
    add_row,
    add_sparse,
    next_row,
    open_lists,
    stretch,
    walk,
)
from sparsearch.kernels.places import PLACES, WINDOW, lower_bound
from sparsearch.kernels.sweeping import clear
from sparsearch.kernels.topk import make_key, select_best

__all__ = ["SAMPLE_WINDOW", "guess_thresholds", "search_segment"]

_FIRST_PART = 128
"""Documents of the first part of the first window. Parts grow, so that a k-th score is known early,
when little has been done for documents that turn out not to reach it."""

_GROWTH = 4
"""How many times longer each part is than the one before."""

SAMPLE_WINDOW = 256
"""Neighbouring documents scored at a time to guess a threshold."""

_PROBE_COST = 6
"""Postings that can be added in the time it takes to look one document up."""

_ROW_COST = 40
"""Documents of a dense row that can be added in the time it takes to look one up."""

_WALK_SHARE = 0.1
"""Lists are walked, beyond the essential ones, until the rest can add no more than this share of
the k-th score; otherwise too many documents would have to be looked up in the rest."""

_CLEARED = 1024
"""Sums that are cleared at a time; see `sweeping.clear`."""

_SLACK = 2
"""The k-th score is brought up to date when this fraction of k has been added beyond k."""

_WORD = 64
"""Documents whose comparisons fill an integer."""


@inner
def _collect(sums, bounds, low, high, bar, most, candidates):  # type: ignore[no-untyped-def]
    """Gather the places from ``low`` on whose sum, with its group's bound, exceeds ``bar``.

    Returns how many, in ascending order, or -1 when there are more than ``most``.
    """
    count = 0
    limit = np.int32(bar)
    for block in range(low, high, BLOCK):
        group = block // BLOCK * LANES
        if above_in_block(sums, block, bounds, group, limit) == 0:
            continue
        for word in range(block, block + BLOCK, _WORD):
            mask = np.uint64(0)
            for row in range(_WORD // LANES):
                own = above_in_row(sums, word + row * LANES, bounds, group, limit)
                mask |= own << np.uint64(row * LANES)
            while mask != 0:
                candidates[count] = np.uint64(word) + lowest_bit(mask)  # type: ignore[call-arg]
                count += 1
                mask &= mask - np.uint64(1)
        if count > most:
            return -1
    return count


@inner
def _group_of(place):  # type: ignore[no-untyped-def]
    """Return the group of a place, an unsigned integer, in its window."""
    return place // np.uint64(BLOCK) * np.uint64(LANES) + place % np.uint64(LANES)


@inner
def _keep_above(sums, bounds, bar, candidates, count):  # type: ignore[no-untyped-def]
    """Keep the candidates whose sum, with its group's bound, exceeds ``bar``; return how many."""
    kept = 0
    limit = np.int32(bar)
    for i in range(count):
        place = np.uint64(candidates[i])
        candidates[kept] = place
        # No branch on each: the processor could not predict it.
        kept += np.int64(sums[place] > limit - bounds[_group_of(place)])
    return kept


@inner
def _probe_sparse(postings, start, stop, factor, candidates, count, sums):  # type: ignore[no-untyped-def]
    """Add a list's weights for the candidates only."""
    places, codes, _, _ = postings
    for i in range(count):
        place = candidates[i]
        start = lower_bound(places, start, stop, place)
        if start == stop:
            break
        if places[start] == place:
            sums[place] += np.int32(factor) * np.int32(codes[start])


@inner
def _probe_row(planes, row, factor, origin, candidates, count, sums):  # type: ignore[no-untyped-def]
    """Add what a dense row holds of the candidates."""
    own, first, multiplier = np.uint64(row), np.uint64(origin), np.int32(factor)
    for i in range(count):
        place = np.uint64(candidates[i])
        sums[place] += multiplier * np.int32(planes[own, first + place])


@inner
def _use_bounds(maxima, row, factor, groups, candidates, count, sums):  # type: ignore[no-untyped-def]
    """Take from the candidates' sums what their groups' bounds hold of a dense row."""
    own, first, multiplier = np.uint64(row), np.uint64(groups), np.int32(max(factor, 0))
    for i in range(count):
        place = np.uint64(candidates[i])
        sums[place] -= multiplier * np.int32(maxima[own, first + _group_of(place)])


@inner
def _find_near(planes, maxima, allowed, query, n_others, part, bar, sums, bounds, candidates):  # type: ignore[no-untyped-def]
    """Gather the places of a part that sparse lists and upper bits bring above ``bar``.

    What these add up to is a place's sum and its group's bound together: looking up an upper code
    adds to the sum only by how much it differs from the largest of the group.
    """
    first, end = part
    n_lists = query.shape[0]
    low, high = first % WINDOW, first % WINDOW + end - first
    origin = first - low
    most = (end - first) // _ROW_COST if n_others < n_lists else WINDOW
    block_others(sums, low, high, allowed, first)
    count = _collect(sums, bounds, low, high, bar, most, candidates)
    i = n_others
    if count < 0:
        while i < n_lists:
            add_row(planes, query[i, DENSE], query[i, FACTOR], first, end, sums)
            i += 1
        # Once more: adding may have brought it over the end of the integers.
        block_others(sums, low, high, allowed, first)
        bounds[low // BLOCK * LANES : -(-high // BLOCK) * LANES] = 0
        count = _collect(sums, bounds, low, high, bar, np.int64(WINDOW), candidates)
    while i < n_lists and count > 0:
        row, factor = query[i, DENSE], query[i, FACTOR]
        _probe_row(planes, row, factor, origin, candidates, count, sums)
        _use_bounds(maxima, row, factor, origin // BLOCK * LANES, candidates, count, sums)
        count = _keep_above(sums, bounds, bar, candidates, count)
        i += 1
    return count


@inner
def _probe(postings, planes, query, i, part, candidates, count, sums):  # type: ignore[no-untyped-def]
    """Add what list ``i`` holds of the candidates of a part, the cheapest way."""
    first, end = part
    row, factor = query[i, DENSE], query[i, FACTOR]
    if row >= 0:
        origin = first // WINDOW * WINDOW
        _probe_row(planes, row, factor, origin, candidates, count, sums)
    else:
        start, stop = stretch(postings, query, i, first, end)
        if count * _PROBE_COST < stop - start:
            _probe_sparse(postings, start, stop, factor, candidates, count, sums)
        else:
            add_sparse(postings, start, stop, factor, sums)
        query[i, CURSOR] = stop


@inner
def _offer(sums, bounds, candidates, count, document, keys, size, k, threshold):  # type: ignore[no-untyped-def]
    """Offer candidates to the top k; return its size and the score to beat from now on."""
    for i in range(count):
        place = np.uint64(candidates[i])
        score = np.int64(sums[place] + bounds[_group_of(place)])
        if score <= threshold:
            continue
        keys[size] = make_key(score, document + candidates[i])
        size += 1
        if size == keys.size:
            threshold = select_best(keys, size, k) >> 32
            size = k
    if size > k + k // _SLACK:
        threshold = select_best(keys, size, k) >> 32
        size = k
    return size, threshold


@inner
def _next_row(postings, query, suffix, threshold, frontier, n_rows):  # type: ignore[no-untyped-def]
    """Return the first row, from ``frontier`` on, that an essential list may hold."""
    first = n_rows
    for i in range(query.shape[0]):
        if suffix[i] <= threshold:
            break
        if query[i, DENSE] >= 0:
            return frontier
        if query[i, CURSOR] < query[i, END]:
            first = min(first, next_row(postings, query, i, frontier))
    return max(first, frontier)


@inner
def _skip_to(postings, query, n_sparse, row):  # type: ignore[no-untyped-def]
    """Bring the cursors of sparse lists to the first row of a window."""
    for i in range(n_sparse):
        query[i, CURSOR], _ = stretch(postings, query, i, row, row + WINDOW)


@inner
def _add_all_bounds(maxima, query, n_others, first, end, bounds):  # type: ignore[no-untyped-def]
    """Add up what dense rows can add to each group of rows ``first .. end - 1``."""
    groups, last_group = first // BLOCK * LANES, -(-end // BLOCK) * LANES
    low = groups % bounds.size
    bounds[low : low + last_group - groups] = 0
    for i in range(n_others, query.shape[0]):
        factor = max(query[i, FACTOR], 0)
        add_bounds(maxima, query[i, DENSE], factor, groups, last_group, bounds)


@inner
def _n_walked(suffix, n_sparse, n_others, threshold):  # type: ignore[no-untyped-def]
    """Return how many sparse lists to walk: the essential ones, and some more."""
    walked = 0
    share = suffix[n_others] + np.int64(threshold * _WALK_SHARE)
    while walked < n_sparse and suffix[walked] > min(share, threshold):
        walked += 1
    return walked


@njit(nogil=True, cache=True)
def _search_one(lists, allowed, n_rows, base, query_terms, k, keys, size, threshold):  # type: ignore[no-untyped-def]
    (_, places, _, window_starts, _, windows), codes, _, _, planes, maxima = lists
    postings = places, codes, window_starts, windows
    query, suffix, n_sparse, n_others = open_lists(lists, query_terms[0], query_terms[1])
    sums = np.empty(PLACES, np.int32)
    bounds = np.empty(WINDOW // BLOCK * LANES, np.int32)
    candidates = np.empty(WINDOW, np.uint32)
    walked = end = low = origin = ZERO
    width = _FIRST_PART if threshold == 0 else WINDOW
    while True:
        if low == end:
            low = _next_row(postings, query, suffix, threshold, end, n_rows)
            wanted = next_allowed(allowed, low, n_rows)
            if wanted >= n_rows:
                return size, threshold
            if wanted // WINDOW > low // WINDOW:
                low = end = wanted // WINDOW * WINDOW
                _skip_to(postings, query, n_sparse, end)
                continue
            for start in range(0, min(n_rows, WINDOW), _CLEARED):
                clear(sums, start, start + _CLEARED)
            low = low // BLOCK * BLOCK
            origin = low // WINDOW * WINDOW
            end = min(origin + WINDOW, n_rows)
            walked = _n_walked(suffix, n_sparse, n_others, threshold)
            walk(postings, query, walked, low, origin + WINDOW, sums)
            sums[end - origin : -(-(end - origin) // BLOCK) * BLOCK] = BLOCKED
            _add_all_bounds(maxima, query, n_others, low, end, bounds)
        part = low, min(low + width, end)
        bar = threshold - (suffix[walked] - suffix[n_others])
        count = _find_near(
            planes, maxima, allowed, query, n_others, part, bar, sums, bounds, candidates
        )
        for i in range(walked, n_others):
            if count == 0:
                break
            _probe(postings, planes, query, i, part, candidates, count, sums)
            bar = threshold - (suffix[i + 1] - suffix[n_others])
            count = _keep_above(sums, bounds, bar, candidates, count)
        size, threshold = _offer(
            sums, bounds, candidates, count, base + origin, keys, size, k, threshold
        )
        low = part[1]
        width = min(_GROWTH * width, WINDOW)


@njit(nogil=True, cache=True)
def _guess_one(lists, allowed, n_rows, located, multipliers, n_windows, rank):  # type: ignore[no-untyped-def]
    (_, places, _, window_starts, _, windows), codes, _, _, planes, _ = lists
    postings = places, codes, window_starts, windows
    query, _, n_sparse, _ = open_lists(lists, located, multipliers)
    sums = np.empty(PLACES, np.int32)
    scores = np.empty(n_windows * SAMPLE_WINDOW, np.int64)
    count = 0
    end = ZERO
    for window in range(n_windows):
        # At the start of a window, where the lists need not be searched for it; each once.
        first = (n_rows - SAMPLE_WINDOW) * window // n_windows // WINDOW * WINDOW
        if first < end:
            continue
        end = first + SAMPLE_WINDOW
        sums[:SAMPLE_WINDOW] = 0
        walk(postings, query, n_sparse, first, end, sums)
        for i in range(n_sparse, query.shape[0]):
            add_row(planes, query[i, DENSE], query[i, FACTOR], first, end, sums)
        for i in range(SAMPLE_WINDOW):
            if sums[i] > 0 and (allowed.size == 0 or allowed[first + i]):
                scores[count] = sums[i]
                count += 1
    return select_best(scores, count, rank) - 1 if count >= rank else np.int64(0)


@njit(nogil=True, cache=True)
def guess_thresholds(lists, allowed, n_rows, queries, sample, thresholds, start, stop):  # type: ignore[no-untyped-def]
    """Guess scores that about k documents exceed, from a sample of a segment's documents.

    A search that begins with a good threshold skips nearly everything. Whether the guess was too
    high shows at the end: then fewer than k documents were found, and the search is run again.

    Parameters
    ----------
    lists, allowed, n_rows, queries, start, stop
        As for `search_segment`.
    sample : tuple of (n_windows, rank)
        How many stretches of `SAMPLE_WINDOW` documents to score, and which of their scores to
        take, counted from the best. (One less is returned: documents of that score exceed it.)
    thresholds : ndarray of int64 [stop - start]
        Filled in place; 0 where the sample holds too few documents to tell.
    """
    query_offsets, located, multipliers = queries
    n_windows, rank = sample
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        thresholds[i] = _guess_one(
            lists, allowed, n_rows, located[low:high], multipliers[low:high], n_windows, rank
        )


@njit(nogil=True, cache=True)
def search_segment(lists, allowed, n_rows, base, queries, tops, start, stop):  # type: ignore[no-untyped-def]
    """Offer a segment's documents to the top k of queries ``start .. stop - 1``.

    Parameters
    ----------
    lists : tuple
        The segment's posting lists (see `kernels.lists`).
    allowed : ndarray of bool [n_rows] or [0]
        Documents that may be returned; empty when all may.
    n_rows : int
        Documents of the segment.
    base : int
        Number of its first document; segments must be offered in ascending order of it.
    queries : tuple of (offsets, located, multipliers)
        int64 [queries + 1]; int64 [query terms], each term's list in this segment or -1; int64
        [query terms].
    tops : tuple of (keys, sizes, thresholds)
        Best entries so far (see `kernels.topk`), changed in place: int64 [stop - start, 2 k], of
        which ``sizes`` are in use, int64 [stop - start]; and the score that an entry must beat,
        int64 [stop - start]. k is at least 1.
    """
    query_offsets, located, multipliers = queries
    keys, sizes, thresholds = tops
    for i in range(stop - start):
        low, high = query_offsets[start + i], query_offsets[start + i + 1]
        terms = located[low:high], multipliers[low:high]
        sizes[i], thresholds[i] = _search_one(
            lists, allowed, n_rows, base, terms, keys.shape[1] // 2,
            keys[i], sizes[i], thresholds[i],
        )  # fmt: skip
