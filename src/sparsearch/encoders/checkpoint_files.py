"""Reading the files of a model folder that somebody else wrote: JSON alone, and nothing outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from sparsearch.errors import EncoderUnavailableError, shorten
from sparsearch.strict_json import is_unicode

__all__ = [
    "WEIGHTS",
    "check_network",
    "check_weights",
    "inside",
    "optional_json",
    "read_json",
    "refusal",
]

WEIGHTS: Final = "model.safetensors"

_SHARDS: Final = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_IMPLEMENTATIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
_LARGEST_JSON = 64 * 1024 * 1024
_LONGEST_PATH = 200
"""Bytes; file systems take 255 for each name."""

_CONVERT = (
    "where you trust the model, convert it with "
    "AutoModelForMaskedLM.from_pretrained(...).save_pretrained(...)"
)
_ADVICE_PICKLE = f"pickles can run code and are never read; {_CONVERT}"
_ADVICE_MISSING = (
    "copy or download the whole model; if its weights are published as a pickle only "
    f"(pytorch_model.bin), which is never downloaded: {_CONVERT}"
)


def check_network(folder: Path) -> None:
    """Refuse a transformer that needs code of its own, or whose weights are not safe to read."""
    _check_config(folder, read_json(folder / "config.json", dict))
    if (folder / "adapter_config.json").exists():
        advice = "merge it into its model first (peft: merge_and_unload), and save that"
        raise refusal(folder, "is an adapter, not a whole model", advice)
    check_weights(folder)


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse settings that name code: transformers would fetch kernels from the hub, and run them.

    Nested configurations are looked at, too.
    """
    waiting = [config]
    while waiting:
        for name, value in waiting.pop().items():
            plain = value is None or value in _IMPLEMENTATIONS
            if name == "auto_map" or (name.endswith("_implementation") and not plain):
                raise refusal(
                    folder,
                    f"needs code of its own ({name} in config.json), which is never run",
                    "encode with its own code and import the vectors: docs/vectors.md",
                )
            if name == "quantization_config":
                advice = "give the checkpoint in float32 or bfloat16; sparsearch rounds by itself"
                raise refusal(folder, "is quantised in a form that is not read here", advice)
            if isinstance(value, dict):
                waiting.append(value)


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights as safetensors."""
    names = [WEIGHTS]
    if (folder / _SHARDS).is_file():
        shards = read_json(folder / _SHARDS, dict).get("weight_map")
        if not isinstance(shards, dict):
            raise refusal(folder, f"has a malformed {_SHARDS}: no weight_map")
        names = sorted({str(shard) for shard in shards.values()})
    for name in names:
        if inside(folder, name).is_file():
            continue
        pickles = sorted(path.name for kind in _PICKLES for path in folder.glob(kind))
        if pickles:
            raise refusal(folder, f"has its weights as a pickle ({pickles[0]})", _ADVICE_PICKLE)
        raise refusal(folder, f"lacks {name}", _ADVICE_MISSING)


def inside(folder: Path, name: object) -> Path:
    """Return a path inside `folder`; a model must not name files anywhere else."""
    if not isinstance(name, str) or "\0" in name or not is_unicode(name):
        raise refusal(folder, f"names a malformed path: {shorten(name)}")
    if len(name.encode()) > _LONGEST_PATH:
        raise refusal(folder, f"names a path that is too long: {shorten(name)}")
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise refusal(folder, f"names a path outside of itself: {shorten(name)}")
    return folder / relative


def optional_json(path: Path) -> dict[str, Any]:
    """Return the object in a file, an empty one if there is no file."""
    return read_json(path, dict) if path.is_file() else {}


def read_json(path: Path, kind: type) -> Any:
    """Return what a file holds, of a kind.

    Raises
    ------
    EncoderUnavailableError
        When it is missing, unreadable or of another kind.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("too large")
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        advice = "copy or download the whole model"
        raise refusal(path.parent, f"lacks {path.name}", advice) from error
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(path.parent, f"has an unreadable {path.name} ({error})") from error
    if not isinstance(value, kind):
        raise refusal(path.parent, f"has a malformed {path.name}: {shorten(value)}")
    return value


def refusal(folder: Path, reason: str, advice: str = "") -> EncoderUnavailableError:
    """Return the error for a folder that cannot be used."""
    return EncoderUnavailableError(f"{folder} {reason}" + (f"; {advice}" if advice else ""))
