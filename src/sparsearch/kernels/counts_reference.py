"""Plain twins of `kernels.counts`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.kernels.counts import STOP_WORD, UNKNOWN

__all__ = ["append_pairs", "count_terms", "distinct_tokens", "pair_bucket"]

Array = npt.NDArray[Any]

# Over the classes of bytes: letters and digits, and joiners between two of their kind.
_TOKEN = re.compile(rb"[\x01\x02](?:[\x01\x02]|(?<=\x01)\x03(?=\x01)|(?<=\x02)\x04(?=\x02))*")


def distinct_tokens(
    data: Array, offsets: Array, modes: Array, classes: Array
) -> tuple[Array, Array, Array, Array]:
    """Twin of `kernels.counts.distinct_tokens`."""
    numbers: dict[bytes, int] = {}
    spans: list[tuple[int, int]] = []
    token_offsets, tokens = [0], []
    for row, mode in enumerate(modes):
        low, high = offsets[row], offsets[row + 1]
        for match in _TOKEN.finditer(classes[mode][data[low:high]].tobytes()):
            start, end = low + match.start(), low + match.end()
            number = numbers.setdefault(data[start:end].tobytes(), len(numbers))
            if number == len(spans):
                spans.append((start, end))
            tokens.append(number)
        token_offsets.append(len(tokens))
    starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    return np.array(token_offsets), np.array(tokens, dtype=np.int64), starts, ends


def append_pairs(
    offsets: Array, terms: Array, hashes: Array, first_pair: int, n_buckets: int
) -> tuple[Array, Array]:
    """Twin of `kernels.counts.append_pairs`."""
    new_offsets, new_terms = [0], []
    for start, stop in pairwise(offsets):
        kept = [i for i in range(start, stop) if terms[i] != STOP_WORD]
        for before, i in pairwise([-1, *kept]):
            if terms[i] == UNKNOWN:
                continue
            new_terms.append(int(terms[i]))
            if before >= 0 and terms[before] != UNKNOWN:
                bucket = pair_bucket(int(hashes[before]), int(hashes[i]), n_buckets)
                new_terms.append(first_pair + bucket)
        new_offsets.append(len(new_terms))
    return np.array(new_offsets), np.array(new_terms, dtype=np.int64)


def pair_bucket(first: int, second: int, n_buckets: int) -> int:
    """Twin of `kernels.counts.pair_bucket`."""
    mixed = (first * 0x9E3779B97F4A7C15 + second) * 0x6A09E667F3BCC909
    return mixed % 2**64 // 2**32 % n_buckets


def count_terms(offsets: Array, terms: Array, n_terms: int) -> tuple[Array, Array, Array]:
    """Twin of `kernels.counts.count_terms`."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    keys = (rows * n_terms + terms)[terms >= 0]
    distinct, counts = np.unique(keys, return_counts=True)
    sizes = np.bincount(distinct // max(n_terms, 1), minlength=len(offsets) - 1)
    term_ids = (distinct % max(n_terms, 1)).astype(np.uint32)
    return np.concatenate([[0], np.cumsum(sizes)]), term_ids, counts
