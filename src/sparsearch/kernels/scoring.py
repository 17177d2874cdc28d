"""Scoring given documents in full, from the forward index."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparsearch.kernels.compiling import inner
from sparsearch.kernels.intrinsics import prefetch
from sparsearch.kernels.rows import clip, far_rank, locate_row, lower_bits
from sparsearch.kernels.topk import make_key, select_best

__all__ = ["clear_weights", "score_documents", "set_weights"]

_CACHE_LINE = 64
_AHEAD = 4
"""Candidates whose vectors are on their way from memory while one is scored."""


@inner
def set_weights(weights, forward, located, multipliers):  # type: ignore[no-untyped-def]
    """Set a query's weights of its lists' ranks; return what lower bits can add to any score.

    Parameters
    ----------
    weights : ndarray of int32 [lists, or more]
        Zeros before.
    forward : tuple
        The forward index (see `kernels.rows`).
    located, multipliers : ndarray of int64 [terms]
        The number of each term's list, negative where there is none, and its multiplier.
    """
    _, _, ranks, form = forward
    _, low_bits = form
    total = 0
    for i in range(located.size):
        # Ranks are never beyond the lists, unless a file was damaged.
        if located[i] >= 0 and ranks[located[i]] < weights.size:
            weights[ranks[located[i]]] = multipliers[i]
            total += max(multipliers[i], 0)
    return total * ((1 << low_bits) - 1)


@inner
def clear_weights(weights, forward, located):  # type: ignore[no-untyped-def]
    """Make zeros of what `set_weights` set."""
    ranks = forward[2]
    for i in range(located.size):
        if located[i] >= 0 and ranks[located[i]] < weights.size:
            weights[ranks[located[i]]] = 0


@inner
def _fetch(forward, row):  # type: ignore[no-untyped-def]
    """Ask for a document's vector to be brought into the cache."""
    offsets, rows, _, _ = forward
    start, stop = clip(offsets[row], offsets[row + 1], rows.size)
    for i in range(start, stop, _CACHE_LINE):
        prefetch(rows, i)  # type: ignore[call-arg]


@inner
def _score_uppers(rows, located, far_bytes, weights):  # type: ignore[no-untyped-def]
    """Return a document's score as far as the upper bits of its codes make it."""
    start, n_steps, n_far = located
    n_lists = np.uint64(weights.size)
    uppers = start + n_steps
    rank = np.uint64(0)
    score = np.int64(0)
    for i in range(n_steps):
        rank += np.uint64(rows[start + i])
        # Always so, unless a file was damaged, which must not damage the process.
        if rank < n_lists:
            score += np.int64(weights[rank]) * np.int64(rows[uppers + i])
    uppers += n_steps
    far = uppers + n_far
    for i in range(n_far):
        rank = far_rank(rows, far, far_bytes)
        if rank < n_lists:
            score += np.int64(weights[rank]) * np.int64(rows[uppers + i])
        far += np.uint64(far_bytes)
    return score


@inner
def _score_lowers(rows, located, far_bytes, weights):  # type: ignore[no-untyped-def]
    """Return what the lower bits of a document's codes add to its score."""
    start, n_steps, n_far = located
    n_lists = np.uint64(weights.size)
    far = start + n_steps + n_steps + n_far
    lowers = far + n_far * np.uint64(far_bytes)
    rank = np.uint64(0)
    score = np.int64(0)
    for i in range(n_steps):
        rank += np.uint64(rows[start + i])
        if rank < n_lists:
            score += np.int64(weights[rank]) * lower_bits(rows, lowers, i)
    for i in range(n_steps, n_steps + n_far):
        rank = far_rank(rows, far, far_bytes)
        if rank < n_lists:
            score += np.int64(weights[rank]) * lower_bits(rows, lowers, i)
        far += np.uint64(far_bytes)
    return score


@njit(nogil=True, cache=True)
def score_documents(forward, base, candidates, query, k, keys, size, threshold, ties):  # type: ignore[no-untyped-def]
    """Score documents in full and offer them to the top k; return its size and the score to beat.

    Parameters
    ----------
    forward : tuple
        The segment's forward index (see `kernels.rows`).
    base : int
        Number of its first document.
    candidates : ndarray of int64
        Numbers of documents of the segment.
    query : tuple of (weights, lower)
        Its multiplier of each rank, int32, 0 where it has none; what lower bits of codes can add.
    k, keys, size, threshold
        The best so far, and the score to beat.
    ties : int
        0 if candidates come in ascending order; 1 if not, so that one with a score equal to the
        k-th best may yet be the earlier.
    """
    offsets, rows, _, form = forward
    far_bytes, low_bits = form
    weights, lower = query
    for i in range(-2 * _AHEAD, candidates.size):
        if i + 2 * _AHEAD < candidates.size:
            prefetch(offsets, candidates[i + 2 * _AHEAD] - base)  # type: ignore[call-arg]
        if 0 <= i + _AHEAD < candidates.size:
            _fetch(forward, candidates[i + _AHEAD] - base)
        if i < 0:
            continue
        located = locate_row(forward, candidates[i] - base)
        score = _score_uppers(rows, located, far_bytes, weights) << low_bits
        if low_bits > 0 and score + lower > threshold:
            score += _score_lowers(rows, located, far_bytes, weights)
        if score > threshold:
            keys[size] = make_key(score, candidates[i])
            size += 1
            if size == keys.size:
                threshold = (select_best(keys, size, k) >> 32) - ties
                size = k
    return size, threshold
