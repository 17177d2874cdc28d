"""From an encoder's identity back to the encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sparsearch.encoders.bm25 import Bm25Encoder
from sparsearch.encoders.default import default_from_identity
from sparsearch.encoders.loading import LoadedEncoder
from sparsearch.encoders.protocol import Encoder
from sparsearch.errors import EncoderUnavailableError, InvalidInputError, shorten
from sparsearch.vectors import Vocabulary

__all__ = ["encoder_from_identity", "gives_final_weights"]

_BUILDERS: dict[str, Callable[[Mapping[str, Any], Vocabulary], Encoder]] = {
    "bm25": Bm25Encoder.from_identity,
    "hybrid": default_from_identity,
    "model": LoadedEncoder.from_identity,
}

_FINAL: frozenset[object] = frozenset({"model"})
"""Types of encoder whose `saturation` is None whatever their settings."""


def gives_final_weights(identity: Mapping[str, Any]) -> bool:
    """Whether an encoder of this `identity` is known, without building it, to saturate nothing."""
    return identity.get("type") in _FINAL


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
        raise EncoderUnavailableError(f"no encoder of type {shorten(kind)}; known: {known}")
    return builder(identity, vocabulary)
