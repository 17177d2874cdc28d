"""Training runs: resuming, cached gradients, collapse, steering, early stopping, bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from sparsearch.cli.train import _print_result
from sparsearch.errors import (
    CollapseError,
    SourceChangedError,
    TrainingError,
)
from sparsearch.training import (
    RECIPES,
    Example,
    SparsityConfig,
    TrainConfig,
    TrainResult,
    forward,
    plot_run,
    plotting,
    train,
)
from sparsearch.training.config import DevelopmentConfig
from sparsearch.training.development import Development, _depth_of
from sparsearch.training.run_log import RunLog, StepReport, read_log, read_start
from sparsearch.training.schedules import (
    CollapseWatch,
    NnzController,
    learning_rate_share,
    ramp,
)

SOURCE = Path(__file__).resolve().parents[2] / "src"


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    files = sorted(Path(folder).rglob("model/**/*.safetensors"))
    assert files
    return {f"{f}:{n}": t for f in map(str, files) for n, t in load_file(f).items()}


def same(left: Path | str, right: Path | str) -> bool:
    ours, theirs = weights(left), weights(right)
    return [*map(torch.Tensor.numel, ours.values())] == [
        *map(torch.Tensor.numel, theirs.values())
    ] and all(torch.equal(a, b) for a, b in zip(ours.values(), theirs.values(), strict=True))


class StoppedError(Exception):
    pass


def test_an_interrupted_run_ends_with_the_same_model(config: TrainConfig, tmp_path: Path) -> None:
    unbroken = replace(config, output=str(tmp_path / "unbroken"))
    train(unbroken)

    def stop(report) -> None:
        if report.step == 7:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(config, report=stop)
    seen = []
    # How often there is a checkpoint changes nothing.
    oftener = replace(config, checkpoint_every=3)
    result = train(oftener, report=lambda report: seen.append(report.step))
    assert seen == [*range(5, 13)]  # from the checkpoint after step 4
    assert result.steps == 12
    assert same(config.output, unbroken.output)
    ours, theirs = (
        [replace(report, seconds=0) for report in read_log(Path(folder))]
        for folder in (config.output, unbroken.output)
    )
    assert ours == theirs
    # A finished run is not done again.
    assert train(config, report=lambda report: pytest.fail("trained again")) == result


def test_a_killed_run_ends_with_the_same_model(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, optimizer=replace(config.optimizer, steps=40))
    unbroken = replace(config, output=str(tmp_path / "unbroken"))
    train(unbroken)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.to_mapping()))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sparsearch", "train", str(file)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    checkpoints = Path(config.output) / "checkpoints"
    while not list(checkpoints.glob("*/state.json")):
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (Path(config.output) / "result.json").exists()
    seen = []
    train(config, report=lambda report: seen.append(report.step))
    assert seen[0] > 1
    assert same(config.output, unbroken.output)


def test_a_run_with_other_settings_is_not_taken_up(
    config: TrainConfig, examples: list[Example]
) -> None:
    train(replace(config, optimizer=replace(config.optimizer, steps=2)))
    with pytest.raises(TrainingError, match=r"optimizer\.steps was 2 and is 12"):
        train(config)
    with pytest.raises(SourceChangedError, match="not those"):
        train(config, examples=examples[:50])


def test_a_run_does_not_go_on_from_another_base(config: TrainConfig, tmp_path: Path) -> None:
    base = shutil.copytree(config.model, tmp_path / "base")
    config = replace(config, model=str(base))
    done = train(config)
    (base / "vocabulary-of-an-editor~").write_text("no part of the model")
    assert train(config) == done
    file = base / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(SourceChangedError, match="base is not the model that the run"):
        train(config)


def test_a_run_does_not_go_on_with_another_development_collection(
    config: TrainConfig, development: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(development, tmp_path / "collection")
    optimizer = replace(config.optimizer, steps=2)
    setting = DevelopmentConfig(str(folder))
    config = replace(config, optimizer=optimizer, development=setting)
    done = train(config)
    (folder / "notes.txt").write_text("no part of the collection")
    (folder / "qrels" / "test.tsv").write_text("of another split")
    assert train(config) == done
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/dev.tsv"):
        text = (folder / name).read_text()
        (folder / name).write_text(text + "\n")
        with pytest.raises(SourceChangedError, match="collection is not the development collec"):
            train(config)
        (folder / name).write_text(text)
    stored = Path(config.output) / "config.json"
    earlier = json.loads(stored.read_text())
    del earlier["development"]  # as versions wrote it that did not look at the collection
    stored.write_text(json.dumps(earlier))
    assert train(config) == done


def test_a_plain_head_is_plain_in_measuring_too(
    config: TrainConfig, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = []
    find = forward._fusible
    monkeypatch.setattr(forward, "_fusible", lambda *given: fused.append(1) or find(*given))
    setting = DevelopmentConfig(str(development))
    config = replace(config, optimizer=replace(config.optimizer, steps=2), development=setting)
    train(replace(config, fused_head=False))
    assert not fused
    train(replace(config, output=config.output + "2"))
    assert fused


@pytest.mark.parametrize(
    ("measure", "depth"),
    [("nDCG@10", 10), ("RR(rel=2)@5", 5), ("AP", 1000), ("IPrec@0.1", 1000), ("IPrec@1.0", 1000)],
)
def test_as_many_hits_are_asked_for_as_a_measure_looks_at(measure: str, depth: int) -> None:
    assert _depth_of(measure) == depth


def test_recall_levels_can_be_measured(config: TrainConfig, development: Path) -> None:
    setting = DevelopmentConfig(str(development), measure="IPrec@0.1")
    config = replace(config, optimizer=replace(config.optimizer, steps=1), development=setting)
    assert train(config).start > 0


def test_scores_may_be_whole_numbers(config: TrainConfig, examples: list[Example]) -> None:
    scored = [
        Example(a.query, (a.positive, b.positive), (3, 1))
        for a, b in zip(examples[:20], examples[20:40], strict=True)
    ]
    config = replace(config, recipe="distilsplade-max", sparsity=SparsityConfig())
    config = replace(config, optimizer=replace(config.optimizer, steps=2))
    assert train(config, examples=scored).steps == 2


def test_a_folder_of_others_is_left_alone(config: TrainConfig) -> None:
    Path(config.output).mkdir()
    for name, content in (("thesis.tex", "x"), ("config.json", '{"vocab_size": 3}')):
        (Path(config.output) / name).write_text(content)
        with pytest.raises(TrainingError, match="holds no training run"):
            train(config)


@pytest.mark.parametrize("recipe", ["splade-max", "splade-doc", "unicoil", "epic"])
def test_cached_gradients_are_those_of_the_whole_batch(
    recipe: str, config: TrainConfig, examples: list[Example]
) -> None:
    from sparsearch.training.backward import Encoding, backward, parts_of
    from sparsearch.training.building import Base, build_model
    from sparsearch.training.objective import Objective
    from sparsearch.training.processes import Processes

    model = build_model(
        RECIPES[recipe], Base(config.model, document_length=32), device="cpu"
    ).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    chosen = RECIPES[recipe]
    objective = Objective(chosen, SparsityConfig(), len(model.tokenizer), 1)
    batch = examples[:40:5]
    documents = [e.positive for e in batch] + [e.positive for e in examples[41:81:5]]
    found = []
    for size in (None, 3):
        seeds = iter(range(100))
        parts = parts_of([e.query for e in batch], "query", size, seeds)
        parts += parts_of(documents, "document", size, seeds)

        def loss(vectors: torch.Tensor) -> dict[str, torch.Tensor]:
            queries, *columns = vectors.split(len(batch))
            return objective(queries, columns, None, 0)

        model.zero_grad()
        losses, _ = backward(Encoding(model), parts, loss, size is not None, Processes())
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        found.append((float(sum(losses.values())), gradients))
    (whole, expected), (cached, gradients) = found
    assert cached == pytest.approx(whole, rel=1e-5)
    assert gradients.keys() == expected.keys()
    # Some are zero but for rounding, such as those of the biases of attention keys.
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-6 * scale)


def test_bfloat16_learns(config: TrainConfig) -> None:
    config = replace(
        config,
        recipe="splade-doc",
        sparsity=SparsityConfig(),
        optimizer=replace(config.optimizer, steps=25, precision="bf16", micro_batch=8),
    )
    reports = []
    train(config, report=reports.append)
    first, last = ([r.ranking for r in part] for part in (reports[:5], reports[-5:]))
    assert sum(last) < sum(first)


def test_too_strong_a_regulariser_is_an_error_and_not_an_empty_model(config: TrainConfig) -> None:
    config = replace(
        config,
        recipe="splade-doc",
        sparsity=SparsityConfig(document_weight=1e4, patience=3),
        optimizer=replace(config.optimizer, steps=300, learning_rate=1e-2),
    )
    with pytest.raises(CollapseError, match="vectors of documents"):
        train(config)
    assert not (Path(config.output) / "model").exists()


def test_the_number_of_non_zeros_is_steered(config: TrainConfig) -> None:
    config = replace(
        config,
        recipe="splade-doc",
        sparsity=SparsityConfig(document_target=30),
        optimizer=replace(config.optimizer, steps=150, learning_rate=2e-3),
    )
    reports = []
    train(config, report=reports.append)
    start, end = (sum(r.document_nnz for r in part) / 20 for part in (reports[:20], reports[-20:]))
    assert start > 45
    assert 24 < end < 38


def test_a_run_taken_up_again_ends_with_the_weights_that_its_result_names(
    config: TrainConfig, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with those that it had found better after its last checkpoint, but does not now."""
    config = replace(
        config,
        development=DevelopmentConfig(str(development), every=2),
        optimizer=replace(config.optimizer, steps=8),
        checkpoint_every=4,
    )
    measures = iter([0.1, 0.2, 0.3, 0.4, 0.0, 0.0])
    monkeypatch.setattr(Development, "measure", lambda self, model: next(measures))

    def stop(report: StepReport) -> None:
        if report.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, report=stop)
    result = train(config)
    assert (result.best_step, result.best) == (4, 0.3)
    stored = load_file(Path(config.output) / "checkpoints" / "step-00000004" / "model.safetensors")
    for name, tensor in weights(config.output).items():
        ending = name.rpartition(":")[2]
        same_name = [value for key, value in stored.items() if key.endswith(f".{ending}")]
        assert any(torch.equal(value, tensor) for value in same_name), name


def test_training_stops_early_and_keeps_the_best(
    config: TrainConfig, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(
        config,
        recipe="tildev2",
        sparsity=SparsityConfig(),
        development=DevelopmentConfig(str(development), every=2, patience=2),
        # Far too fast: it gets worse sooner or later.
        optimizer=replace(config.optimizer, steps=60, learning_rate=0.3),
    )
    result = train(config)
    reports = read_log(Path(config.output))
    measures = {0: result.start, **{r.step: r.measure for r in reports if r.measure is not None}}
    assert result.steps < 60
    assert result.best == max(measures.values())
    assert measures[result.best_step] == result.best
    assert result.steps == result.best_step + 4
    assert 1 <= len(list(Path(config.output).glob("best-*.safetensors"))) <= 2
    assert read_start(Path(config.output)) == result.start
    drawn: list[Any] = []
    show = plotting._measures
    monkeypatch.setattr(
        plotting, "_measures", lambda axes, *given: (show(axes, *given), drawn.append(axes))
    )
    picture = plot_run(config.output)
    assert picture.read_bytes().startswith(b"\x89PNG")
    measured, _ = drawn[0].lines
    assert dict(zip(*measured.get_data(), strict=True)) == measures


def test_a_log_keeps_the_start_of_a_run_that_goes_on(tmp_path: Path) -> None:
    step = StepReport(1, 2, *[0.5] * 12)
    for after, kept in ((0, []), (1, [step])):
        log = RunLog(tmp_path / "log.jsonl", 0)
        log.begin(0.25)
        log.append(step)
        log.append(replace(step, step=2))
        RunLog(tmp_path / "log.jsonl", after)
        assert read_log(tmp_path) == kept
        assert read_start(tmp_path) == (0.25 if after else None)


def test_a_run_that_got_no_better_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    development = DevelopmentConfig("data/x")
    for best, said in ((0, True), (2, False)):
        _print_result(TrainResult(Path("m"), 4, 0.5, 0.5, best), development)
        told = "no step was better than the start; that state was saved"
        assert (told in capsys.readouterr().out) == said


# -------------------------------------------------------------------------------------------------


def test_a_checkpoint_without_a_head_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertModel

    headless = tmp_path / "headless"
    BertModel.from_pretrained(config.model).save_pretrained(headless)
    AutoTokenizer.from_pretrained(config.model).save_pretrained(headless)
    with pytest.raises(TrainingError, match="no masked-language-model head"):
        train(replace(config, model=str(headless)))
    with pytest.raises(TrainingError, match=r"missing does not exist; give the folder of a model"):
        train(replace(config, model=str(tmp_path / "missing"), output=config.output + "2"))


def test_a_run_that_never_began_may_be_given_other_settings(config: TrainConfig) -> None:
    with pytest.raises(TrainingError, match=r"document_length is 200, but .* at most 128 tokens"):
        train(replace(config, document_length=200))
    assert train(config).steps == 12
    with pytest.raises(TrainingError, match=r"give another output, or remove it"):
        train(replace(config, document_length=64))


def test_a_damaged_checkpoint_is_refused(config: TrainConfig) -> None:
    def stop(report) -> None:
        if report.step == 6:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(config, report=stop)
    for name in ("state.json", "model.safetensors"):
        (file,) = Path(config.output).glob(f"checkpoints/*/{name}")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 3])
        with pytest.raises(TrainingError, match="cannot be read"):
            train(config)
        file.write_bytes(whole)


def test_a_finished_run_whose_files_are_gone_can_be_finished_again(config: TrainConfig) -> None:
    model, result = Path(config.output) / "model", Path(config.output) / "result.json"
    done = train(config)

    def weights() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in model.rglob("*.safetensors")}

    made = weights()
    told = result.read_text()
    for damage in (lambda: shutil.rmtree(model), lambda: result.write_text("{}")):
        damage()
        with pytest.raises(TrainingError, match="to finish the run again"):
            train(config)
        result.unlink()
        assert train(config) == done
        assert weights() == made != {}
        assert result.read_text() == told


def test_a_device_that_is_not_there_is_named_before_anything_is_made(config: TrainConfig) -> None:
    for device in ("gpu9", "cuda:99"):
        with pytest.raises(TrainingError, match=f"the device '{device}' cannot be used"):
            train(replace(config, device=device))
    assert not Path(config.output).exists()


def test_a_damaged_base_model_is_named(config: TrainConfig, tmp_path: Path) -> None:
    damaged = shutil.copytree(config.model, tmp_path / "damaged")
    file = damaged / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged cannot be loaded"):
        train(replace(config, model=str(damaged)))


# -------------------------------------------------------------------------------------------------


def test_learning_rates_rise_and_fall() -> None:
    shares = [learning_rate_share(step, 10, 0.4) for step in range(10)]
    assert shares == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    for warmup in (0.0, 0.01, 0.25, 0.33, 0.9, 0.99, 1.0):
        shares = [learning_rate_share(step, 10, warmup) for step in range(10)]
        assert max(shares) == 1
        assert min(shares) > 0


def test_ramps_are_quadratic() -> None:
    assert [ramp(step, 8, 0.5) for step in range(6)] == [1 / 16, 4 / 16, 9 / 16, 1, 1, 1]
    assert ramp(0, 8, 0.0) == 1


def test_a_controller_finds_the_weight_that_gives_the_target() -> None:
    # A model that follows its regulariser slowly.
    controller, nnz = NnzController(target=120.0, weight=1e-6), 900.0
    for _ in range(600):
        controller.update(nnz)
        settled = 900 / (1 + 1e3 * controller.weight)
        nnz += 0.1 * (settled - nnz)
    assert nnz == pytest.approx(120, rel=0.05)


def test_a_watch_lets_passing_emptiness_pass() -> None:
    watch = CollapseWatch(3)
    for query_nnz in (0.5, 0.5, 5.0, 0.5, 0.5):
        watch.check(1, 1.0, query_nnz, 10.0)
    with pytest.raises(CollapseError, match="queries"):
        watch.check(1, 1.0, 0.5, 10.0)
    with pytest.raises(TrainingError, match="nan"):
        CollapseWatch(3).check(1, float("nan"), 5.0, 5.0)
