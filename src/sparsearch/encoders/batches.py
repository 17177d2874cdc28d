"""Windows of tokens in batches for a network: of about one length each, and padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["batches_by_length", "padded"]


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
