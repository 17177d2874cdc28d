"""What is refused before a run begins, and what is kept when it is given other settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsearch.errors import InvalidInputError, SparsearchError, TrainingError
from sparsearch.training import (
    RECIPES,
    DevelopmentConfig,
    Example,
    NegativesConfig,
    OptimizerConfig,
    SparsityConfig,
    TeacherConfig,
    TeachersConfig,
    TrainConfig,
    mining,
    teachers,
    train,
)
from sparsearch.training.development import Development


class StoppedError(Exception):
    pass


def test_what_a_recipe_needs_is_asked_for(config: TrainConfig) -> None:
    plain = replace(config, sparsity=SparsityConfig())
    with pytest.raises(TrainingError, match="documents that do not answer"):
        train(replace(plain, recipe="deepimpact", output=config.output + "1"))
    mined = replace(plain, recipe="splade++", negatives=NegativesConfig())
    with pytest.raises(TrainingError, match="`teachers`"):
        train(replace(mined, output=config.output + "2"))
    with pytest.raises(InvalidInputError, match="no regulariser for a document"):
        train(replace(config, recipe="unicoil", output=config.output + "3"))


def test_examples_that_mining_sets_against_each_other_are_refused_before_training(
    config: TrainConfig, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Development, "measure", lambda *_: pytest.fail("measured"))
    config = replace(
        config,
        negatives=NegativesConfig(),
        development=DevelopmentConfig(str(development)),
        optimizer=replace(config.optimizer, batch_size=2),
    )
    pairs = [Example("first query", ("one answer",)), Example("second query", ("another",))]
    with pytest.raises(InvalidInputError, match="2 examples cannot fill a batch of 2 without a"):
        train(config, examples=pairs)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (Example("a b", ("c d", "e f")), "the data has negatives of its own"),
        (Example("a b", ("c d",), (1.0,)), "the data has scores of its own, .* query 'a b'; leave"),
    ],
)
def test_mining_throws_no_negatives_of_the_data_away(
    own: Example, message: str, config: TrainConfig, examples: list[Example]
) -> None:
    config = replace(config, negatives=NegativesConfig())
    with pytest.raises(InvalidInputError, match=message):
        train(config, examples=[*examples[:20], own])


def test_scores_for_some_examples_only(config: TrainConfig, examples: list[Example]) -> None:
    plain = [replace(e, documents=(e.positive, f"no {i}")) for i, e in enumerate(examples[:20])]
    mixed = [replace(e, scores=(1.0, 0.0)) if i % 2 else e for i, e in enumerate(plain)]
    config = replace(config, sparsity=SparsityConfig())
    learns = replace(config, recipe="splade++")
    with pytest.raises(TrainingError, match="which 10 of the 20 examples have"):
        train(learns, examples=mixed)
    teacher = TeachersConfig((TeacherConfig("bm25"),))
    with pytest.raises(InvalidInputError, match="10 of the 20 examples have scores of their own"):
        train(replace(learns, teachers=teacher), examples=mixed)
    optimizer = replace(config.optimizer, steps=2)
    result = train(replace(config, recipe="splade-max", optimizer=optimizer), examples=mixed)
    assert result.steps == 2  # which has no use for scores


def test_triplets_may_share_a_negative_but_an_answer_only_where_no_other_s_is_wrong(
    config: TrainConfig, examples: list[Example]
) -> None:
    optimizer = replace(config.optimizer, steps=1)
    config = replace(config, sparsity=SparsityConfig(), optimizer=optimizer)
    triplets = [replace(e, documents=(e.positive, "no answer")) for e in examples[:20]]
    assert train(config, examples=triplets).steps == 1
    shared = [replace(e, documents=("the answer", e.positive)) for e in examples[:20]]
    own = replace(config, recipe="deepimpact", output=config.output + "2")
    assert train(own, examples=shared).steps == 1
    with pytest.raises(InvalidInputError, match="'the answer' is in 20 of them"):
        train(replace(config, output=config.output + "3"), examples=shared)


def test_settings_of_no_use_to_a_recipe_are_refused(config: TrainConfig) -> None:
    bm25 = TeachersConfig((TeacherConfig("bm25"),))
    with pytest.raises(InvalidInputError, match="teachers: recipe df-flops learns from no scores"):
        train(replace(config, teachers=bm25))
    rate = replace(config.optimizer, table_learning_rate=0.01)
    with pytest.raises(InvalidInputError, match="df-flops has no learned table"):
        train(replace(config, optimizer=rate))
    # What counts is what trains, a recipe of one's own as well.
    with pytest.raises(InvalidInputError, match="splade learns from no scores"):
        train(replace(config, recipe="li-lsr", teachers=bm25), recipe=RECIPES["splade"])
    for name in ("deepct", "promptreps"):
        with pytest.raises(InvalidInputError, match=f"negatives: recipe {name} learns from none"):
            train(replace(config, recipe=name, negatives=NegativesConfig()))
    two = replace(config, recipe="efficient-splade", query_model=config.model)
    with pytest.raises(InvalidInputError, match="query_model: recipe splade has no model of its"):
        train(two, recipe=RECIPES["splade"])
    table = replace(config, recipe="li-lsr", teachers=bm25, negatives=NegativesConfig())
    assert train(replace(table, optimizer=replace(rate, steps=1))).steps == 1


def test_uneven_lists_are_refused(config: TrainConfig) -> None:
    uneven = [Example("a b", ("c d",)), Example("e f", ("g h", "i j"))]
    with pytest.raises(TrainingError, match="between 1 and 2 documents"):
        train(config, examples=uneven)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"development": DevelopmentConfig("nowhere/at-all")}, "nowhere/at-all"),
        ({"development": DevelopmentConfig("{}", split="test")}, "no split 'test'"),
        ({"development": DevelopmentConfig("{}", measure="nDGC@10")}, "measure 'nDGC@10'"),
        ({"document_length": 200}, "at most 128 tokens"),
        ({"recipe": "l0", "sparsity": SparsityConfig(query_target=3)}, "no regulariser"),
        ({"teachers": None}, "learns from a teacher's scores"),
        ({"optimizer": OptimizerConfig(batch_size=1000)}, "cannot fill a batch"),
    ],
)
def test_mistakes_show_before_anything_that_takes_long(
    change: dict[str, Any],
    message: str,
    config: TrainConfig,
    development: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mining, "mine_negatives", lambda *_, **__: pytest.fail("mined"))
    if "development" in change:
        setting = change["development"]
        path = setting.path.format(development)
        change = {"development": replace(setting, path=path)}
    bm25 = TeachersConfig((TeacherConfig("bm25"),))
    recipe = change.get("recipe", "splade++")
    sparsity = change.get("sparsity", SparsityConfig())
    config = replace(config, **{"teachers": bm25, **change, "recipe": recipe, "sparsity": sparsity})
    with pytest.raises(SparsearchError, match=message):
        train(replace(config, negatives=NegativesConfig()))


def test_what_was_mined_and_scored_outlives_a_change_of_settings(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(report) -> None:
        raise StoppedError

    config = replace(
        config,
        recipe="splade++",
        negatives=NegativesConfig(),
        teachers=TeachersConfig((TeacherConfig("bm25"),)),
    )
    mined, asked = [], []
    mine, score = mining.mine_negatives, teachers._Bm25Teacher.score
    monkeypatch.setattr(
        mining, "mine_negatives", lambda *given, **more: mined.append(1) or mine(*given, **more)
    )
    monkeypatch.setattr(
        teachers._Bm25Teacher, "score", lambda self, pairs: asked.append(1) or score(self, pairs)
    )
    for change, count in (
        ({}, 1),
        ({"sparsity": SparsityConfig(document_target=50), "checkpoint_every": 2}, 1),
        ({"negatives": NegativesConfig(depth=20)}, 2),
        ({"seed": 1}, 3),
    ):
        with pytest.raises(StoppedError):
            train(replace(config, **change), report=stop)
        assert len(mined) == count
        if count == 1:
            assert len(asked) == 1
