"""Plain Python twins of `kernels.rows`."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.kernels.rows import NEAR

__all__ = ["copy_entries", "forward_index"]

Array = npt.NDArray[Any]


def forward_index(entries: tuple[Array, ...], form: tuple[int, int]) -> tuple[Array, ...]:
    """Twin of `index.layered.forward_index`."""
    offsets, numbers, codes = entries
    frequencies = np.bincount(numbers, minlength=1)
    ranks = np.argsort(np.argsort(-frequencies, kind="stable"))
    rows = [
        _row(ranks[numbers[start:stop]].tolist(), codes[start:stop].tolist(), form)
        for start, stop in pairwise(offsets)
    ]
    starts = np.cumsum([0, *map(len, rows)])
    return starts, np.frombuffer(b"".join(rows), np.uint8), ranks


def _row(ranks: list[int], codes: list[int], form: tuple[int, int]) -> bytes:
    far_bytes, low_bits = form
    postings = list(zip(ranks, codes, strict=True))
    near = sorted(posting for posting in postings if posting[0] < NEAR)
    far = [posting for posting in postings if posting[0] >= NEAR]
    steps: list[int] = []
    stepped: list[int] = []
    at = 0
    for rank, code in near:
        while rank - at > 255:
            steps, stepped, at = [*steps, 255], [*stepped, 0], at + 255
        steps, stepped, at = [*steps, rank - at], [*stepped, code], rank
    stepped += [code for _, code in far]
    row = len(steps).to_bytes(2, "little") + bytes(steps)
    row += bytes(code >> low_bits for code in stepped)
    row += b"".join(rank.to_bytes(far_bytes, "little") for rank, _ in far)
    if low_bits:
        lower = [code & 15 for code in stepped]
        pairs = zip_longest(lower[::2], lower[1::2], fillvalue=0)
        row += bytes(first | second << 4 for first, second in pairs)
    return row


def copy_entries(
    entries: tuple[Array, ...], rows: Array, places: Array, steps: Array
) -> tuple[Array, Array]:
    """Twin of `kernels.rows.copy_entries`: the new numbers and codes, in order of the old numbers.

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    rows : ndarray of int64
    places, steps : ndarray
        Of each list.
    """
    offsets, numbers, codes = entries
    kept = [np.arange(offsets[row], offsets[row + 1]) for row in rows.tolist()]
    at = np.concatenate([np.empty(0, np.int64), *kept])
    shrunk = np.maximum(np.floor(np.ldexp(codes[at].astype(float), -steps[numbers[at]])), 1)
    return places[numbers[at]], shrunk
