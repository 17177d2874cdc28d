"""Configurations: strict, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.training import (
    RECIPES,
    DevelopmentConfig,
    EncoderPart,
    FitConfig,
    LossPart,
    NegativesConfig,
    OptimizerConfig,
    Recipe,
    RegulariserPart,
    SparsityConfig,
    TeacherConfig,
    TeachersConfig,
    TrainConfig,
    read_config,
    train,
)

LEAST: dict[str, Any] = {"recipe": "splade-max", "model": "m", "data": "d", "output": "o"}


def test_a_configuration_survives_its_mapping() -> None:
    value = {
        **LEAST,
        "optimizer": {"steps": 3, "learning_rate": "2e-5", "precision": "bf16"},
        "sparsity": {"document_target": 120, "top_k": None},
        "negatives": {"count": 2},
        "teachers": {"models": [{"kind": "bm25"}, {"kind": "dense", "model": "x", "weight": 2}]},
        "development": {"path": "data/cranfield", "split": "test"},
    }
    config = TrainConfig.from_mapping(value)
    assert config.optimizer.learning_rate == 2e-5  # a string to YAML
    assert config.sparsity.document_target == 120.0
    assert config.teachers is not None
    assert config.teachers.models[1] == TeacherConfig("dense", "x", 2.0)
    assert TrainConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recpe": "x"}, "recpe: no such setting; did you mean recipe?"),
        ({"zzz": 1}, "zzz: no such setting; there are: recipe, model"),
        ({3: 1}, "3: no such setting"),
        ({"optimizer": {"step": 1}}, "optimizer.step: no such setting; did you mean steps?"),
        ({"recipe": "splode"}, "no recipe 'splode'; there are: sparta"),
        ({"recipe": None}, "recipe is None; it must be a string"),
        ({"seed": True}, "seed is True; it must be an integer"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"seed": 2**63}, "it must be at least 0 and below 2**63"),
        (
            {"sparsity": {"document_weight": -5.0}},
            r"document_weight is -5.0; it must be 0 or above",
        ),
        ({"query_model": "x"}, "has no model of its own for queries"),
        ({"fused_head": 1}, "fused_head is 1; it must be true or false"),
        ({"optimizer": {"steps": 0}}, "optimizer.steps is 0; it must be above 0"),
        ({"optimizer": {"steps": 1.5}}, "optimizer.steps is 1.5; it must be an integer"),
        ({"optimizer": {"learning_rate": "fast"}}, "learning_rate is 'fast'; it must be a number"),
        ({"optimizer": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        ({"optimizer": {"warmup": 2.0}}, "optimizer.warmup is 2.0; it must be between 0 and 1"),
        ({"optimizer": {"precision": "fp8"}}, "optimizer.precision is 'fp8'; it may be fp32, bf16"),
        ({"optimizer": []}, "optimizer is []; it must be|not a mapping"),
        ({"sparsity": {"document_target": 0.0}}, "sparsity.document_target is 0.0"),
        ({"negatives": {"count": 5, "depth": 4}}, "5 cannot be drawn from hits 0 to 4"),
        ({"teachers": {"models": []}}, "teachers.models is empty"),
        ({"teachers": {"models": {}}}, "teachers.models is {}; it must be a list"),
        ({"teachers": {"models": [{"kind": "oracle"}]}}, "'oracle'; it may be bm25"),
        ({"teachers": {"models": [{"kind": "dense"}]}}, "a dense teacher needs a model"),
        (
            {"teachers": {"models": [{"kind": "bm25"}, {"kind": "bm25", "wieght": 1}]}},
            r"teachers.models[1].wieght: no such setting; did you mean weight?",
        ),
        ({"teachers": {"models": [{"kind": "bm25", "weight": 0}]}}, "teachers.weight is 0"),
        ({"teachers": {"models": [{"kind": "bm25", "weight": -1}]}}, "teachers.weight is -1"),
        ({"optimizer": {"weight_decay": -5}}, "optimizer.weight_decay is -5"),
        ({"document_length": 2}, "document_length is 2; it must be at least 3"),
        ({"development": {}}, "development.path is missing"),
    ],
)
def test_what_is_wrong_is_named(change: dict[Any, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TrainConfig.from_mapping({**LEAST, **change})
    assert any(part in str(caught.value) for part in message.split("|"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimizerConfig(steps="2"), "optimizer.steps is '2'; it must be an integer"),
        (lambda: OptimizerConfig(steps=2.5), "optimizer.steps is 2.5; it must be an integer"),
        (lambda: OptimizerConfig(batch_size=None), "optimizer.batch_size is None"),
        (lambda: OptimizerConfig(clip=True), "optimizer.clip is True; it must be a number"),
        (lambda: OptimizerConfig(learning_rate="1e-3"), "learning_rate is '1e-3'; it must be a"),
        (lambda: SparsityConfig(top_k="3"), "sparsity.top_k is '3'; it must be an integer"),
        (lambda: NegativesConfig(skip=None), "negatives.skip is None; it must be an integer"),
        (lambda: TeacherConfig(3), "teachers.kind is 3; it must be a string"),
        (lambda: TeachersConfig(None), "teachers.models is None; it must be a list"),
        (lambda: TeachersConfig(({"kind": "bm25"},)), "models[0] is {'kind': 'bm25'}; it must be"),
        (lambda: DevelopmentConfig(Path("x")), "development.path is"),
        (lambda: FitConfig(epochs="3"), "epochs is '3'; it must be an integer"),
        (lambda: FitConfig(epochs=0), "epochs is 0; it must be above 0"),
        (lambda: FitConfig(batch=0), "batch is 0; it must be above 0"),
        (lambda: FitConfig(learning_rate=float("nan")), "learning_rate is nan; it must be above 0"),
        (lambda: FitConfig(decay=-0.1), "decay is -0.1; it must be 0 or above"),
        (lambda: FitConfig(seed=-1), "seed is -1; it must be at least 0"),
        (lambda: TrainConfig(**{**LEAST, "model": None}), "model is None; it must be a string"),
        (lambda: TrainConfig(**{**LEAST, "data": [{}]}), "data is [{}]; it must be a string"),
        (
            lambda: TrainConfig(**LEAST, optimizer={"steps": 1}),
            "must be of type OptimizerConfig",
        ),
        (lambda: TrainConfig(**LEAST, document_length="48"), "document_length is '48'"),
    ],
)
def test_wrong_values_in_python_are_named_as_well(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert message in str(caught.value)


def test_numbers_of_numpy_become_those_of_python() -> None:
    config = OptimizerConfig(steps=np.int64(3), learning_rate=np.float32(0.5), clip=2)  # type: ignore[arg-type]
    assert repr(config) == repr(OptimizerConfig(steps=3, learning_rate=0.5, clip=2.0))
    models = TeachersConfig([TeacherConfig("bm25")]).models  # type: ignore[arg-type]
    assert models == (TeacherConfig("bm25"),)


def test_training_by_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"not a TrainConfig; TrainConfig\.from_mapping"):
        train(LEAST)  # type: ignore[arg-type]


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(InvalidInputError, match="output is missing"):
        TrainConfig.from_mapping({k: v for k, v in LEAST.items() if k != "output"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: [", "config.yaml:1: not YAML"),
        ("# nothing yet\n", "config.yaml: holds no settings"),
        ("seed: 1\nmodel: m\nseed: 2\n", "config.yaml:3: not YAML: 'seed' is given twice"),
        ("optimizer: {steps: 1, steps: 2}\n", "config.yaml:1: not YAML: 'steps' is given twice"),
        ("- a\n- b\n", "config.yaml: the configuration is .* not a mapping"),
        ("", "config.yaml: holds no settings"),
        ("recipe: splade-max\nmodle: x\n", "config.yaml: modle: .* did you mean model"),
        ("!!python/object/apply:os.system ['true']", "not YAML: could not determine"),
    ],
)
def test_a_malformed_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")


def test_recipes_cite_their_papers() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.url.startswith("https://arxiv.org/abs/")
        assert recipe.paper[-4:].isdigit()


def test_parts_that_do_not_exist_are_refused() -> None:
    for part in (
        lambda: EncoderPart("lstm"),
        lambda: EncoderPart("masked_lm", "median"),
        lambda: EncoderPart("masked_lm", "max", "tanh"),
        lambda: LossPart("hinge"),
        lambda: RegulariserPart("l2", 1.0),
    ):
        with pytest.raises(InvalidInputError, match="there are:"):
            part()
    binary, learned = EncoderPart("binary"), EncoderPart("masked_lm")
    with pytest.raises(InvalidInputError, match="alike"):
        Recipe("x", "", "", "", binary, learned, (), shared=True)


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")
    full = {
        "teachers": {"models": [{"kind": "bm25"}]},
        "negatives": {},
        "development": {"path": "x"},
    }
    for name, value in TrainConfig.from_mapping({**LEAST, **full}).to_mapping().items():
        leaves = [f"{name}.{leaf}" for leaf in value] if isinstance(value, dict) else [name]
        for leaf in leaves:
            short = f".{leaf.partition('.')[2]}"
            assert f"`{leaf}`" in text or f"`{short}`" in text, leaf
