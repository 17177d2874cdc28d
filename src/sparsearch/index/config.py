"""Settings of an index, fixed when it is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sparsearch.checks import is_whole
from sparsearch.encoders import Encoder
from sparsearch.errors import IndexVersionError, InvalidInputError, shorten

__all__ = ["IndexConfig", "code_dtype"]

_SEGMENT_DOCUMENTS = 50_000
_MODEL_SEGMENT_DOCUMENTS = 5_000
"""An interruption then costs a minute's work of a model and not ten."""
_VECTOR_SEGMENT_DOCUMENTS = 1_000_000
"""Vectors that are there already take seconds to index again, and large portions fewer merges."""
_SHORTEST_PASSAGE = 50


def code_dtype(max_code: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest dtype that holds codes up to `max_code`."""
    return np.uint8 if max_code < 2**8 else np.uint16


@dataclass(frozen=True)
class IndexConfig:
    """How an index stores weights and batches its work.

    Parameters
    ----------
    weight_bits : {8, 12}
        Bits of a stored weight. A weight is kept as a whole number of steps, the step a power of
        two chosen per term so that its largest weight fits; 12 bits take one more byte a posting.
    segment_documents : int, optional
        Documents gathered before they are written out and committed. While adding, this many
        documents are held in memory, and at most so many are indexed again after a crash. By
        default 50,000; 5,000 where a model reads the documents; a million of vectors.
    segment_bytes : int
        The same bound on the bytes of their text and metadata.
    passage_length : int, optional
        Cut every text into passages of so many characters at most, 50 or more, each stored and
        found as a document of its own; by default, texts stay whole. The passages of document
        ``a`` have the ids ``a#1``, ``a#2`` and so on, its title and other fields, and three more:
        ``document`` (``a``), ``passage`` (its number) and ``passage_start`` (where in the text it
        begins). Documents are added, replaced and deleted whole, by their own ids.
    """

    weight_bits: int = 12
    segment_documents: int | None = None
    segment_bytes: int = 64 * 1024 * 1024
    passage_length: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.weight_bits, int) or self.weight_bits not in (8, 12):
            raise InvalidInputError(f"weight_bits is {self.weight_bits!r}; it must be 8 or 12")
        bounds = ["segment_bytes"]
        if self.segment_documents is not None:
            bounds.append("segment_documents")
        for name in bounds:
            value = getattr(self, name)
            if not is_whole(value, 1):
                raise InvalidInputError(f"{name} is {value!r}; it must be a positive integer")
            object.__setattr__(self, name, int(value))
        length = self.passage_length
        if length is None:
            return
        if not is_whole(length, _SHORTEST_PASSAGE):
            reason = f"passage_length is {shorten(length)}; it must be a whole number of characters"
            raise InvalidInputError(f"{reason}, at least {_SHORTEST_PASSAGE}, or None")
        object.__setattr__(self, "passage_length", int(length))

    def for_encoder(self, encoder: Encoder | None) -> IndexConfig:
        """Return these settings with the `segment_documents` that go with an encoder, if none."""
        if self.segment_documents is not None:
            return self
        if encoder is None:
            documents = _VECTOR_SEGMENT_DOCUMENTS
        else:
            reads = encoder.reads_with_model
            documents = _MODEL_SEGMENT_DOCUMENTS if reads else _SEGMENT_DOCUMENTS
        return replace(self, segment_documents=documents)

    @property
    def portion(self) -> int:
        """Documents gathered before a commit."""
        return self.segment_documents or _SEGMENT_DOCUMENTS

    @property
    def max_code(self) -> int:
        """Largest code of a stored weight."""
        return int(2**self.weight_bits) - 1

    def to_settings(self) -> dict[str, object]:
        """Return the settings as JSON values; without those that older versions do not know."""
        settings = asdict(self)
        if self.passage_length is None:
            del settings["passage_length"]
        return settings

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> IndexConfig:
        """Build the configuration an index was created with.

        Raises
        ------
        IndexVersionError
            If it has settings this version does not know.
        """
        try:
            return cls(**settings)
        except (TypeError, InvalidInputError) as error:
            raise IndexVersionError(f"the index has unknown settings: {error}") from error
