"""Plain NumPy twins of `kernels.layering`, `kernels.scoring` and `kernels.approximate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.kernels.layering import LEADING, LIST_WINDOW, STRONG_SHARE

__all__ = [
    "choose_lists",
    "exact_scores",
    "factors",
    "largest_scale",
    "layered_lists",
    "partial_scores",
    "quantise",
]

Array = npt.NDArray[Any]

_LARGEST_SUM = 257


def layered_lists(entries: tuple[Array, ...], scales: Array, shift: int) -> tuple[Array, ...]:
    """Twin of `index.layered.layered_lists`."""
    offsets, numbers, codes = entries
    n_rows, n_lists = len(offsets) - 1, len(scales)
    weights = codes * scales[numbers].astype(np.float64)
    lists = numbers.astype(np.int64)
    for row in range(n_rows):
        part = weights[offsets[row] : offsets[row + 1]]
        # Summed from left to right, which a cumulative sum is and a sum is not.
        mass = np.cumsum(part)[-1] if len(part) else 0.0
        threshold = STRONG_SHARE * np.cumsum(part**2)[-1] / mass if mass > 0 else 0.0
        lists[offsets[row] : offsets[row + 1]] += n_lists * (part < threshold)
    rows = np.repeat(np.arange(n_rows), np.diff(offsets))
    order = np.argsort(lists, kind="stable")
    lists, rows = lists[order], rows[order]
    upper = np.maximum(codes[order] >> shift, 1).astype(int)
    tops = np.zeros(2 * n_lists, np.int64)
    np.maximum.at(tops, lists, upper)
    strong = lists < n_lists
    weak_counts = np.bincount(lists[~strong] - n_lists, minlength=n_lists)
    n_windows = -(-n_rows // LIST_WINDOW)
    sizes = np.zeros((2 * n_lists, n_windows + 1), np.int64)
    np.add.at(sizes, (lists[strong], rows[strong] // LIST_WINDOW + 1), 1)
    weak = b""
    for number in range(n_lists, 2 * n_lists):
        own = lists == number
        quarters = np.ceil(tops[number] * np.array([0.25, 0.5, 0.75]))
        levels = (upper[own][:, None] > quarters).sum(axis=1)
        windows = _weak_windows(rows[own], levels, n_windows)
        sizes[number, 1:] = [len(window) for window in windows]
        weak += b"".join(windows)
    starts = np.cumsum(sizes, axis=1)
    offsets = np.concatenate([[0], np.cumsum(starts[:, -1])])
    places = rows[strong] % LIST_WINDOW
    return offsets, places, upper[strong], starts, tops, np.frombuffer(weak, np.uint8), weak_counts


def _weak_windows(rows: Array, levels: Array, n_windows: int) -> list[bytes]:
    """Return the bytes of each window of a weak list, in the form that takes fewer."""
    wide, steps, before = [b""] * n_windows, [b""] * n_windows, [0] * n_windows
    for row, level in zip(rows.tolist(), levels.tolist(), strict=True):
        window, place = divmod(row, LIST_WINDOW)
        wide[window] += (place + LIST_WINDOW * level).to_bytes(2, "little")
        leading, step = divmod(place - before[window], LEADING)
        steps[window] += bytes([4 * LEADING] * leading + [4 * step + level])
        before[window] = place
    return min(wide, steps, key=lambda windows: sum(map(len, windows)))


def quantise(weights: Array, scales: Array, max_code: int) -> Array:
    """Twin of `kernels.layering.quantise`: the codes of weights, given the scale of each."""
    return np.clip(np.floor(weights / scales.astype(np.float64)), 1, max_code)


def choose_lists(
    lengths: Array, max_codes: Array, located: Array, multipliers: Array, mass: float, n: int
) -> list[int]:
    """Return which of a query's terms are walked, given all lists' strong lengths; in order."""
    bounds = np.where((located >= 0) & (multipliers > 0), multipliers * max_codes[located], 0)
    worth = bounds / np.sqrt(np.sqrt(lengths[located] + n / 1000))
    chosen: list[int] = []
    for i in np.argsort(-worth, kind="stable").tolist():
        if bounds[chosen].sum() >= mass * bounds.sum() or bounds[i] <= 0:
            break
        chosen.append(i)
    return chosen


def largest_scale(chosen: Array) -> float:
    """Return what the multipliers of chosen lists may be multiplied by; the twin of `fit_scales`.

    What is least over the segments is the query's scale.
    """
    return max(_LARGEST_SUM - len(chosen), 1) / max(float(chosen.sum()), 1.0)


def factors(chosen: Array, lengths: Array, scale: float) -> list[int]:
    """Return the factors of the chosen lists' multipliers; 0 for lists that are left out."""
    found: list[int] = []
    for multiplier, length in zip(chosen.tolist(), lengths.tolist(), strict=True):
        factor = max(int(multiplier * scale + 0.5), 1)
        found.append(factor if length and sum(found) + factor <= _LARGEST_SUM else 0)
    return found


def partial_scores(
    lists: tuple[Array, ...], numbers: Array, factors: Sequence[int], n_rows: int
) -> Array:
    """Return every document's sum of strong codes times factors; what candidates are chosen by."""
    offsets, places, codes, starts = lists[:4]
    scores = np.zeros(n_rows, np.int64)
    for number, factor in zip(numbers.tolist(), factors, strict=True):
        part = slice(offsets[number], offsets[number + 1])
        windows = np.repeat(np.arange(starts.shape[1] - 1), np.diff(starts[number].astype(int)))
        np.add.at(scores, windows * LIST_WINDOW + places[part], factor * codes[part].astype(int))
    return scores


def exact_scores(entries: tuple[Array, ...], located: Array, multipliers: Array) -> Array:
    """Return every document's score; the twin of `score_candidates`."""
    offsets, numbers, codes = entries
    weights = dict(zip(located.tolist(), multipliers.tolist(), strict=True))
    products = [
        weights.get(number, 0) * code
        for number, code in zip(numbers.tolist(), codes.tolist(), strict=True)
    ]
    sums = np.concatenate([[0], np.cumsum(products, dtype=np.int64)])
    scores: Array = sums[offsets[1:]] - sums[offsets[:-1]]
    return scores
