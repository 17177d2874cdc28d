"""The posting arrays of a segment whose weights are final: a forward index and layered lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.index.segment import LISTS, Segment
from sparsearch.kernels.forward import largest_weights, layered_lists, quantise, upper_shift
from sparsearch.storage import release_pages

__all__ = ["FinalVectors", "layered_arrays", "merge_vectors"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FinalVectors:
    """Documents' vectors, their terms renumbered.

    Parameters
    ----------
    terms : ndarray of uint32 [terms]
        Ascending.
    offsets : ndarray of int64 [documents + 1]
    numbers : ndarray of uint16 or uint32 [postings]
        Places in `terms`, ascending within a document.
    weights : ndarray of float32 [postings]
        Positive.
    """

    terms: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    numbers: Array
    weights: npt.NDArray[np.float32]


def layered_arrays(vectors: FinalVectors, max_code: int) -> dict[str, Array]:
    """Quantise weights to codes; return a segment's arrays (see `kernels.forward`)."""
    terms, numbers = vectors.terms, vectors.numbers.astype(_dtype(len(vectors.terms)), copy=False)
    largest = largest_weights(numbers, vectors.weights, len(terms))
    present = largest > 0
    if not present.all():
        # Of documents that were deleted meanwhile.
        places = (np.cumsum(present) - 1).astype(numbers.dtype)
        terms, numbers, largest = terms[present], places[numbers], largest[present]
    scales = choose_scales(largest, max_code)
    codes = np.empty(len(numbers), np.uint8 if max_code < 2**8 else np.uint16)
    max_codes = quantise(numbers, vectors.weights, scales, max_code, codes)
    forward = vectors.offsets, numbers, codes
    lists = layered_lists(forward, scales, upper_shift(codes))
    return {
        "terms": terms,
        "scales": scales,
        "max_codes": max_codes,
        "forward_offsets": vectors.offsets,
        "forward_lists": numbers,
        "forward_codes": codes,
        **dict(zip(LISTS, lists, strict=True)),
    }


def choose_scales(largest: Array, max_code: int) -> npt.NDArray[np.float32]:
    """Return for each list the smallest power of two of which no weight is `max_code` + 1 times.

    Weights are rounded down to whole steps. Rounding down to a power of two and then to a larger
    one gives the same as rounding down to the larger one at once, so the codes do not depend on how
    documents were spread over segments, or how often these were merged.
    """
    _, exponents = np.frexp(largest.astype(np.float64))
    # The smallest normal float32 is 2**-126; weights below it count as one step.
    exponents = np.clip(exponents - max_code.bit_length(), -126, 127)
    return np.asarray(np.ldexp(1.0, exponents), dtype=np.float32)


def merge_vectors(
    segments: Sequence[Segment], live: Sequence[npt.NDArray[np.int64]]
) -> FinalVectors:
    """Return the vectors of the live documents of several segments, in order.

    Parameters
    ----------
    segments : sequence of Segment
    live : sequence of ndarray of int64
        Rows of the documents to keep, ascending.
    """
    terms: npt.NDArray[np.uint32] = np.unique(
        np.concatenate([np.asarray(segment.arrays["terms"]) for segment in segments])
    )
    counts = [np.diff(s.forward[0])[rows] for s, rows in zip(segments, live, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    numbers = np.empty(int(offsets[-1]), _dtype(len(terms)))
    weights = np.empty(len(numbers), np.float32)
    end = 0
    for segment, rows, kept in zip(segments, live, counts, strict=True):
        places = np.searchsorted(terms, segment.arrays["terms"]).astype(numbers.dtype)
        part = slice(end, end + int(kept.sum()))
        lists, codes = segment.entries(rows)
        numbers[part] = places[lists]
        np.multiply(codes, segment.arrays["scales"][lists], out=weights[part], casting="unsafe")
        end = part.stop
        for array in segment.forward:
            release_pages(array)
    return FinalVectors(terms, offsets, numbers, weights)


def _dtype(n_terms: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if n_terms <= 2**16 else np.uint32
