"""The encoder that comes with the package: English, without a model at query time.

It is made by the scripts in training/default; its model card is beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sparsearch.encoders.hybrid import HybridEncoder
from sparsearch.encoders.hybrid_folder import load_hybrid

__all__ = ["DEFAULT_FOLDER", "load_default"]

DEFAULT_FOLDER: Final = Path(__file__).with_name("default_model")


def load_default() -> HybridEncoder:
    """Return the default encoder, with no words in its vocabulary yet.

    Raises
    ------
    FileFormatError
        When a file of the installed package is missing or altered.
    """
    return load_hybrid(DEFAULT_FOLDER)
