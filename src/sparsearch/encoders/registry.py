"""From an encoder's identity back to the encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sparsearch.encoders.bm25 import Bm25Encoder
from sparsearch.encoders.hybrid import hybrid_saturation
from sparsearch.encoders.loading import LoadedEncoder, hybrid_from_identity
from sparsearch.encoders.protocol import Encoder, Saturation
from sparsearch.errors import EncoderUnavailableError, InvalidInputError, shorten
from sparsearch.vectors import Vocabulary

__all__ = ["encoder_from_identity", "saturation_from_identity"]

_BUILDERS: dict[str, Callable[[Mapping[str, Any], Vocabulary], Encoder]] = {
    "bm25": Bm25Encoder.from_identity,
    "hybrid": hybrid_from_identity,
    "model": LoadedEncoder.from_identity,
}


def encoder_from_identity(identity: Mapping[str, Any], vocabulary: Vocabulary) -> Encoder:
    """Build the encoder that has this `identity`, over its vocabulary.

    Raises
    ------
    EncoderUnavailableError
        When this sparsearch has no encoder of this type or version.
    InvalidInputError
        When the identity is not a mapping or a setting is missing, unknown or malformed.
    """
    if not isinstance(identity, Mapping):
        raise InvalidInputError(f"the identity of an encoder is {shorten(identity)}, not a mapping")
    kind = identity.get("type")
    builder = _BUILDERS.get(kind) if isinstance(kind, str) else None
    if builder is None:
        known = ", ".join(_BUILDERS)
        raise EncoderUnavailableError(
            f"this index was made with an encoder of type {shorten(kind)}, which sparsearch cannot "
            f"build by itself (it can: {known}); give it: Index.open(path, encoder=...)"
        )
    return builder(identity, vocabulary)


def saturation_from_identity(
    identity: Mapping[str, Any], vocabulary: Vocabulary
) -> Saturation | None:
    """Return the `saturation` of the encoder that has this `identity`, over its vocabulary.

    No model is loaded: an index can be cleaned up when its model is gone. Raises as
    `encoder_from_identity`.
    """
    kind = identity.get("type")
    if kind == "model":
        return None
    if kind == "hybrid":
        return hybrid_saturation(identity, vocabulary)
    return encoder_from_identity(identity, vocabulary).saturation
