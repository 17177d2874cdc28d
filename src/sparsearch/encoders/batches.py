"""Windows of tokens in batches for a network: of about one length each, and padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["batches_at_once", "batches_by_length", "padded"]

_MEMORY: Final = 1 << 32
"""Bytes that batches which run at once may take together."""

_HEADS: Final = 16
"""Of attention, each with a number for every pair of tokens: those of a large transformer."""


def batches_by_length(
    lengths: Sequence[int], most_tokens: int, most_windows: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield positions of windows of about one length, as many as memory allows.

    Longest first, so that cores that work on one batch each finish at about the same time.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each window.
    most_tokens : int
        Of a batch, padding included; a longer window is a batch of its own.
    most_windows : int, optional
        Of a batch; by default no limit.

    Yields
    ------
    ndarray of int64
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, most_tokens // max(1, lengths[order[start]]))
        if most_windows is not None:
            size = min(size, most_windows)
        yield order[start : start + size]
        start += size


def batches_at_once(shapes: Iterable[tuple[int, int]], dimension: int) -> int:
    """Return how many batches may run at a time, at least one, so that memory is bounded.

    Parameters
    ----------
    shapes : iterable of (int, int)
        Of each batch the number of windows and the tokens of the longest.
    dimension : int
        Number of terms: a masked-LM head gives each token a score for all of them.
    """
    cells = (windows * tokens * (_HEADS * tokens + dimension) for windows, tokens in shapes)
    return max(1, _MEMORY // (4 * max(cells, default=1)))


def padded(
    windows: Sequence[NDArray[np.int32]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return windows as one array ``[batch, length]``, and its mask: 1 for tokens, 0 for padding.

    Both are int64.
    """
    longest = max(len(window) for window in windows)
    tokens = np.full((len(windows), longest), pad_id, np.int64)
    mask = np.zeros_like(tokens)
    for row, window in enumerate(windows):
        tokens[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return tokens, mask
