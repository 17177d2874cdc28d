"""What a model made of texts that are in the index already, so that it need not read them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sparsearch.encoders import Encoder
from sparsearch.errors import IndexCorruptError
from sparsearch.index.documents import Record
from sparsearch.index.snapshot import Snapshot
from sparsearch.storage import StoredSegment
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["encode_changed"]


def encode_changed(
    encoder: Encoder,
    snapshot: Snapshot,
    records: Sequence[Record],
    is_sound: Callable[[StoredSegment], bool],
) -> SparseVectors | None:
    """Return what `Encoder.encode_ahead` makes of documents; None where there is nothing.

    The model reads those whose texts are not stored under their ids. Of the others, the stored
    weights are taken: they are the model's, rounded as any stored weight is.

    Parameters
    ----------
    encoder : Encoder
    snapshot : Snapshot
    records : sequence of Record
        As they are stored: passages, where texts are cut.
    is_sound : callable
        Whether a segment is undamaged: damage must not get into another, which has a checksum of
        its own.
    """
    if not encoder.keeps_ahead:
        return encoder.encode_ahead([record.content for record in records])
    numbers = _unchanged(snapshot, records, is_sound)
    is_known = numbers >= 0
    changed = [record.content for record, known in zip(records, is_known, strict=True) if not known]
    made = encoder.encode_ahead(changed)
    if made is None or not is_known.any():
        return made
    stored_numbers, places = np.unique(numbers[is_known], return_inverse=True)
    stored = _without_counts(encoder, snapshot.vectors(stored_numbers, None), made.vocabulary)
    rows = np.empty(len(records), np.int64)
    rows[~is_known] = np.arange(len(changed))
    rows[is_known] = len(changed) + places
    return SparseVectors.concatenate([made, stored])[rows]


def _unchanged(
    snapshot: Snapshot, records: Sequence[Record], is_sound: Callable[[StoredSegment], bool]
) -> npt.NDArray[np.int64]:
    """Return the number of the document that has the id and the text of each, or -1."""
    numbers = snapshot.find([record.id for record in records])
    for place in np.flatnonzero(numbers >= 0).tolist():
        number = int(numbers[place])
        segment, _ = snapshot.locate(number)
        try:
            same = snapshot.document(number).content == records[place].content
        except IndexCorruptError:
            same = False
        if not same or not is_sound(segment.stored):  # writing it anew is the remedy
            numbers[place] = -1
    return numbers


def _without_counts(
    encoder: Encoder, vectors: SparseVectors, vocabulary: Vocabulary | None
) -> SparseVectors:
    """Return the part of stored vectors that the model made, over its own vocabulary."""
    saturation = encoder.saturation
    counted = np.inf if saturation is None else saturation.first_term
    kept = vectors.term_ids < counted
    offsets = np.concatenate([[0], np.cumsum(kept)])[vectors.offsets]
    return SparseVectors.from_trusted(
        offsets, vectors.term_ids[kept], vectors.weights[kept], vocabulary
    )
