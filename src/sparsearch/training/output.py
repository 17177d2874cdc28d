"""The output folder of a run: whose it is, and what of it may be kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparsearch.errors import SourceChangedError, TrainingError, shorten
from sparsearch.files import digest_of_files, replacing
from sparsearch.training.config import DevelopmentConfig, TrainConfig
from sparsearch.training.examples import Example
from sparsearch.training.recipe import Recipe

__all__ = ["MINED", "claim", "digest_of_model", "read_json", "write_json"]

MINED = "negatives.jsonl.gz"
"""The file of the examples with mined negatives."""

_MODEL_FILES = (".json", ".safetensors", ".txt", ".model", ".bin", ".pt")

_MOVABLE = ("output", "device", "checkpoint_every")
"""Settings that may change when a run goes on: the outcome does not depend on them."""

_ADDED = "development"
"""What runs of earlier versions do not tell."""


def claim(output: Path, config: TrainConfig, recipe: Recipe, examples: Sequence[Example]) -> None:
    """Make the output folder, or make sure that the run in it is this one.

    A run that has nothing to go on from may be given other settings. Teachers' scores are kept
    then, since they are found by teacher and text, and so are negatives that would be mined again.

    Raises
    ------
    TrainingError
        When the folder holds something else, or a run with other settings.
    SourceChangedError
        When the run in it began with other examples, another model or another development
        collection.
    """
    path = output / "config.json"
    wanted = _settings(config, recipe, examples)
    stored = read_json(path) if path.is_file() else {}
    holds_run = stored.keys() >= wanted.keys() - {_ADDED}
    if not holds_run and output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise TrainingError(f"{output} is not empty and holds no training run; give another")
    if holds_run and _has_trained(output):
        _check_same(output, stored, wanted)
        return
    if holds_run and _mining(stored) != _mining(wanted):
        (output / MINED).unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    write_json(path, wanted)


def digest_of_model(folder: str) -> str:
    """Return the digest of a model that others load: its weights may be pickles."""
    root = Path(folder)
    files = (path for path in root.rglob("*") if path.suffix in _MODEL_FILES and path.is_file())
    return digest_of_files({path.relative_to(root).as_posix(): path for path in files})


def _settings(config: TrainConfig, recipe: Recipe, examples: Sequence[Example]) -> dict[str, Any]:
    """Return all that the outcome depends on, as JSON values."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr(example).encode("utf-8", "surrogatepass"))
    models = [config.model, config.query_model]
    if config.teachers is not None:
        models += [teacher.model for teacher in config.teachers.models]
    folders = [name for name in models if name and Path(name).is_dir()]
    settings = {
        "bases": {name: digest_of_model(name) for name in folders},
        "config": config.to_mapping(),
        "recipe": asdict(recipe),
        "data": digest.hexdigest(),
        _ADDED: _digest_of_collection(config.development),
    }
    value: dict[str, Any] = json.loads(json.dumps(settings))
    return value


def _digest_of_collection(config: DevelopmentConfig | None) -> str | None:
    """Return the digest of what is read of a collection in a folder; others do not change."""
    if config is None or not Path(config.path).is_dir():
        return None
    files = {}
    for name in ("corpus.jsonl", "queries.jsonl", f"qrels/{config.split}.tsv"):
        for path in (Path(config.path, f"{name}.gz"), Path(config.path, name)):
            if path.is_file():
                files[name] = path  # the plain one, where there are both
    return digest_of_files(files)


def _has_trained(output: Path) -> bool:
    """Return whether there is a state of a model that a run would go on from, or end with."""
    from sparsearch.training import checkpoints

    kept = (output / name for name in ("result.json", "model"))
    return checkpoints.latest(output / "checkpoints") is not None or any(
        path.exists() for path in kept
    )


def _mining(settings: dict[str, Any]) -> tuple[object, ...]:
    """Return what mined negatives depend on."""
    config = settings["config"]
    return settings["data"], config.get("negatives"), config.get("seed")


def _check_same(output: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    if stored["data"] != wanted["data"]:
        reason = f"the examples are not those that the run in {output} began with"
        raise SourceChangedError(f"{reason}; give another output, or remove it")
    for part in ("config", "recipe"):
        difference = _difference(stored[part], wanted[part])
        if difference is not None:
            name, before, now = difference
            change = f"{name} was {shorten(before)} and is {shorten(now)}"
            reason = f"{output} holds a run with other settings ({change})"
            raise TrainingError(f"{reason}; give another output, or remove it")
    if stored.get(_ADDED, wanted[_ADDED]) != wanted[_ADDED]:
        folder = wanted["config"]["development"]["path"]
        reason = f"{folder} is not the development collection that the run in {output} began with"
        raise SourceChangedError(f"{reason}; give another output, or remove it")
    for name, found in wanted["bases"].items():
        if stored["bases"].get(name) != found:
            reason = f"{name} is not the model that the run in {output} began with"
            raise SourceChangedError(f"{reason}; give another output, or remove it")


def _difference(stored: Any, wanted: Any, path: str = "") -> tuple[str, object, object] | None:
    """Return the first setting that differs, if any: its path and both values."""
    if not (isinstance(stored, dict) and isinstance(wanted, dict)):
        return None if stored == wanted else (path, stored, wanted)
    for name in {**stored, **wanted}:
        if not path and name in _MOVABLE:
            continue
        where = f"{path}.{name}" if path else name
        found = _difference(stored.get(name), wanted.get(name), where)
        if found is not None:
            return found
    return None


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; what is another JSON value counts as an empty one.

    Raises
    ------
    TrainingError
        When the file cannot be read or is not JSON.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        advice = "give another output, or remove the folder if it holds a run of yours"
        raise TrainingError(f"{path} cannot be read ({error}); {advice}") from error
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object, wholly or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=1, default=str) + "\n").encode())
