"""Plain twins of `kernels.counts`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["count_terms", "distinct_tokens"]

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


def count_terms(
    offsets: Array, tokens: Array, term_of_token: Array, n_terms: int
) -> tuple[Array, Array, Array]:
    """Twin of `kernels.counts.count_terms`."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    terms = term_of_token[tokens]
    keys = (rows * n_terms + terms)[terms >= 0]
    distinct, counts = np.unique(keys, return_counts=True)
    sizes = np.bincount(distinct // max(n_terms, 1), minlength=len(offsets) - 1)
    term_ids = (distinct % max(n_terms, 1)).astype(np.uint32)
    return np.concatenate([[0], np.cumsum(sizes)]), term_ids, counts
