"""Several processes, as on several GPUs, train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from sparsearch.errors import TrainingError
from sparsearch.training import (
    Example,
    OptimizerConfig,
    SparsityConfig,
    TrainConfig,
    TrainResult,
    train,
    write_examples,
)
from sparsearch.training.config import DevelopmentConfig
from sparsearch.training.processes import Processes
from sparsearch.training.run_log import StepReport, read_log

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def config(
    tiny_bert: str, examples: list[Example], development: Path, tmp_path: Path
) -> TrainConfig:
    data = tmp_path / "pairs.jsonl"
    write_examples(data, examples[:120])
    return TrainConfig(
        recipe="df-flops",  # its regulariser has a state of its own
        model=tiny_bert,
        data=str(data),
        output=str(tmp_path / "run"),
        query_length=16,
        document_length=32,
        optimizer=OptimizerConfig(steps=8, batch_size=8, micro_batch=3, learning_rate=1e-3),
        sparsity=SparsityConfig(document_target=40),
        development=DevelopmentConfig(str(development), every=4),
        checkpoint_every=3,
        device="cpu",
    )


def launch(config: TrainConfig, count: int) -> subprocess.CompletedProcess[str]:
    file = Path(config.data).with_name("config.yaml")
    file.write_text(yaml.safe_dump(config.to_mapping()))
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, "-m", *launcher, "-m", "sparsearch", "train", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def parameters(config: TrainConfig) -> dict[str, torch.Tensor]:
    output = Path(config.output)
    best = json.loads((output / "result.json").read_text())["best_step"]
    return load_file(output / f"best-{best:08d}.safetensors")


def figures(config: TrainConfig) -> list[float]:
    reports = read_log(Path(config.output))
    return [figure for r in reports for figure in (r.loss, r.query_nnz, r.document_nnz, r.flops)]


def test_two_processes_train_what_one_trains(config: TrainConfig, tmp_path: Path) -> None:
    """The same but for the order of sums; and the first alone reports."""
    alone = replace(config, output=str(tmp_path / "alone"))
    expected = train(alone)
    done = launch(config, 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("8 steps done") == 1
    assert done.stderr.count("building") == 1
    assert figures(config) == pytest.approx(figures(alone), rel=1e-3)
    found = train(config)  # not done again
    assert found == replace(expected, model=Path(config.output) / "model", best=found.best)
    assert found.best == pytest.approx(expected.best, rel=1e-3)
    theirs = parameters(alone)
    for name, ours in parameters(config).items():
        torch.testing.assert_close(ours, theirs[name], rtol=1e-3, atol=1e-4)


def test_a_run_goes_on_with_more_processes(config: TrainConfig, tmp_path: Path) -> None:
    alone = replace(config, output=str(tmp_path / "alone"))
    train(alone)

    def stop(report: StepReport) -> None:
        if report.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, report=stop)
    before = read_log(Path(config.output))
    done = launch(config, 2)
    assert done.returncode == 0, done.stderr
    assert read_log(Path(config.output))[:3] == before[:3]  # from the checkpoint after step 3
    assert figures(config) == pytest.approx(figures(alone), rel=1e-3)
    assert isinstance(train(config), TrainResult)


def test_what_several_processes_cannot_share_is_refused(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = replace(config.optimizer, batch_size=1, micro_batch=None)
    done = launch(replace(config, optimizer=optimizer), 2)
    assert done.returncode != 0
    assert "batch_size is 1, too few for 2 processes" in done.stderr
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="device is 'cuda:0', but 2 processes"):
        Processes("cuda:0")
