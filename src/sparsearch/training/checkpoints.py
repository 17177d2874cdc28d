"""States of a run on disk: safetensors and JSON, never pickle.

A checkpoint is a folder. Its ``state.json`` is written last: one without it was cut off and does
not count.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from sparsearch.errors import TrainingError
from sparsearch.files import replacing

__all__ = ["latest", "load", "load_weights", "save", "save_weights"]

_KEPT = 2
_PREFIX = "step-"


def save(
    folder: Path, step: int, module: nn.Module, optimizer: torch.optim.Optimizer, state: Any
) -> None:
    """Save the state after a step; older checkpoints than the last two are removed.

    Parameters
    ----------
    folder : Path
        Of all checkpoints of the run.
    step : int
    module : nn.Module
        Everything that has weights or buffers.
    optimizer : Optimizer
    state : dict
        The rest, JSON values.
    """
    target = folder / f"{_PREFIX}{step:08d}"
    target.mkdir(parents=True, exist_ok=True)
    save_weights(target / "model.safetensors", module)
    moments = {
        f"{number}.{name}": tensor.detach().cpu().contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for name, tensor in values.items()
    }
    _write(target / "optimizer.safetensors", save_tensors(moments))
    _write(target / "state.json", json.dumps({"step": step, **state}).encode())
    for old in _complete(folder)[:-_KEPT]:
        shutil.rmtree(old)


def latest(folder: Path) -> Path | None:
    """Return the last complete checkpoint, if there is one."""
    complete = _complete(folder)
    return complete[-1] if complete else None


def load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Bring model and optimizer back to a checkpoint; return the rest of its state.

    Raises
    ------
    TrainingError
        When a file of it is damaged or belongs to another model.
    """
    load_weights(path / "model.safetensors", module)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _read(path / "optimizer.safetensors").items():
        number, _, name = key.partition(".")
        moments.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    try:
        state: dict[str, Any] = json.loads((path / "state.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path / 'state.json'} cannot be read ({error}); remove {path}"
        ) from error
    return state


def save_weights(path: Path, module: nn.Module) -> None:
    """Write parameters and buffers; those that are shared once."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(module)}
    _write(path, save_tensors(tensors))


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill parameters and buffers from a file of `save_weights`.

    Raises
    ------
    TrainingError
        When the file is damaged or of another model.
    """
    stored = _read(path)
    own = dict(_tensors(module))
    if stored.keys() != own.keys():
        raise TrainingError(f"{path} belongs to another model; remove it to start anew")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(stored[name])


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _complete(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"{_PREFIX}*/state.json"))


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); remove its folder") from error
    return tensors
