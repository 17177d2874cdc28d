"""Models by their hub name: fetched without anything that could run as code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sparsearch.errors import EncoderUnavailableError, MissingExtraError, shorten

__all__ = ["OTHER_FORMS", "fetch_model", "is_hub_name"]

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_WANTED: Final = ["*.json", "*.safetensors", "*.txt", "*.model", "model.onnx*", "query_model.onnx*"]
"""Configurations, weights, vocabularies. Pickles and Python files are not even downloaded."""

OTHER_FORMS: Final = ("onnx", "openvino")
"""Folders of a model in the forms of other tools, which are not read."""

_UNWANTED: Final = [*(f"{folder}/*" for folder in OTHER_FORMS), "*.msgpack", "*.h5"]


def is_hub_name(source: str) -> bool:
    """Whether a string can be the name of a model on the hub."""
    return _NAME.fullmatch(source) is not None and ".." not in source


def fetch_model(name: str) -> Path:
    """Return the folder of a model, downloaded from the Hugging Face hub if need be.

    A model that was downloaded before is found without a network.

    Raises
    ------
    EncoderUnavailableError
        When there is no such model, it is gated, or there is no network.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "train") from error
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except GatedRepoError as error:
        reason = (
            f"is gated: accept its conditions at https://huggingface.co/{name}, "
            "then log in with: hf auth login"
        )
        raise _refusal(name, reason) from error
    except RepositoryNotFoundError as error:
        reason = (
            "is neither a folder here nor a model on the hub; check the name, and for a private "
            "model log in with: hf auth login"
        )
        raise _refusal(name, reason) from error
    except LocalEntryNotFoundError as error:
        reason = (
            "is no folder here, was not downloaded before, and the hub cannot be reached; on a "
            f"machine with a network run: hf download {name}, and give the folder it prints"
        )
        raise _refusal(name, reason) from error
    except Exception as error:  # whatever the network and the hub come up with
        first_line = shorten(str(error).strip().partition("\n")[0], 200)
        reason = f"cannot be fetched from the hub ({type(error).__name__}: {first_line})"
        raise _refusal(name, reason) from error


def _refusal(name: str, reason: str) -> EncoderUnavailableError:
    return EncoderUnavailableError(f"{name} {reason}")
