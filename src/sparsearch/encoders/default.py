"""The encoder that comes with the package: English, without a model at query time.

It is made by the scripts in training/default; its model card is beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sparsearch.encoders.hybrid import HybridEncoder
from sparsearch.encoders.hybrid_folder import load_hybrid
from sparsearch.errors import EncoderUnavailableError
from sparsearch.vectors import Vocabulary

__all__ = ["DEFAULT_FOLDER", "default_from_identity", "load_default"]

DEFAULT_FOLDER: Final = Path(__file__).with_name("default_model")


def load_default() -> HybridEncoder:
    """Return the default encoder, with no words in its vocabulary yet.

    Raises
    ------
    FileFormatError
        When a file of the installed package is missing or altered.
    """
    return load_hybrid(DEFAULT_FOLDER)


def default_from_identity(identity: Mapping[str, Any], vocabulary: Vocabulary) -> HybridEncoder:
    """Return the default encoder over a vocabulary if it has this identity.

    Raises
    ------
    EncoderUnavailableError
        When it is another hybrid encoder, or the default of another version of sparsearch.
    """
    encoder = load_default()
    if encoder.identity != dict(identity):
        learned = identity.get("learned")
        name = learned.get("name") if isinstance(learned, Mapping) else None
        raise EncoderUnavailableError(
            f"this index was made with the hybrid encoder of {name!r}, which is not the one that "
            "comes with this sparsearch; give it: Index.open(path, encoder=...)"
        )
    return HybridEncoder(encoder.lexical, encoder.learned, encoder.learned_weight, vocabulary)
