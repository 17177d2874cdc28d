"""`Encoder.load`: from a folder or a name to an encoder."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from typing import cast

from sparsearch.encoders.protocol import Encoder
from sparsearch.errors import EncoderUnavailableError, shorten

__all__ = ["load_encoder"]

_DEFAULT_MODULE = "sparsearch.encoders.default"


def load_encoder(
    source: str | PathLike[str] | None, *, backend: str | None, recipe: str | None
) -> Encoder:
    """Load an encoder; see `Encoder.load`."""
    if source is None:
        return _load_default()
    raise EncoderUnavailableError(f"{shorten(source)} is no encoder that can be loaded")


def _load_default() -> Encoder:
    try:
        module = import_module(_DEFAULT_MODULE)
    except ModuleNotFoundError as error:
        if error.name != _DEFAULT_MODULE:
            raise
        raise EncoderUnavailableError(
            "this build of sparsearch comes without its default encoder; "
            "give the folder or the hub name of one"
        ) from error
    return cast(Encoder, module.load_default())
