"""Hybrid encoders on disk: a model folder with one more file, which says how words are weighed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sparsearch.encoders.bm25 import Bm25Config
from sparsearch.encoders.hybrid import HybridEncoder
from sparsearch.encoders.onnx_encoder import OnnxEncoder
from sparsearch.encoders.settings import checked_settings
from sparsearch.errors import FileFormatError, SparsearchError, shorten

__all__ = ["HYBRID_NAME", "is_hybrid_folder", "load_hybrid", "write_hybrid_settings"]

HYBRID_NAME: Final = "sparsearch_hybrid.json"
_FORMAT: Final = 1


def is_hybrid_folder(folder: Path) -> bool:
    """Return whether a model folder is that of a hybrid encoder."""
    return (folder / HYBRID_NAME).is_file()


def load_hybrid(folder: str | Path, source: str | None = None) -> HybridEncoder:
    """Load a hybrid encoder.

    Parameters
    ----------
    folder : str or Path
        A model folder (see `OnnxEncoder`) with a ``sparsearch_hybrid.json``.
    source : str, optional
        Where an index shall find it; see `HybridEncoder`.

    Raises
    ------
    FileFormatError
        When a file is missing or malformed; names it.
    """
    learned = OnnxEncoder(folder)
    path = Path(folder) / HYBRID_NAME
    if not path.is_file():
        raise FileFormatError(path, None, "is missing; a hybrid encoder needs it")
    try:
        given = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, None, f"is not valid JSON: {error}") from error
    try:
        settings = checked_settings(given, "hybrid", ("format", "lexical", "learned_weight"))
        if settings["format"] != _FORMAT:
            reason = f"is of format {shorten(settings['format'])}; this sparsearch knows {_FORMAT}"
            raise FileFormatError(path, None, reason)
        config = Bm25Config.from_identity(settings["lexical"])
        return HybridEncoder(config, learned, settings["learned_weight"], source=source)
    except FileFormatError:
        raise
    except SparsearchError as error:
        raise FileFormatError(path, None, str(error)) from error


def write_hybrid_settings(encoder: HybridEncoder, folder: Path) -> None:
    """Write the ``sparsearch_hybrid.json`` of an encoder into its model folder."""
    identity = encoder.identity
    settings = {
        "format": _FORMAT,
        "lexical": identity["lexical"],
        "learned_weight": identity["learned_weight"],
    }
    (folder / HYBRID_NAME).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
