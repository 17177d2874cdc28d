"""Each recipe trains a tiny model on real text and gets better at ranking text it has not seen."""

from __future__ import annotations

import json

import pytest

from sparsearch.training import (
    RECIPES,
    Example,
    NegativesConfig,
    OptimizerConfig,
    TeacherConfig,
    TeachersConfig,
    TrainConfig,
    train,
)
from sparsearch.training.config import DevelopmentConfig

TRAINED = [name for name, recipe in RECIPES.items() if recipe.losses]


@pytest.fixture(scope="module")
def development(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every fifth pair as a test collection of its own, in BEIR layout."""
    folder = tmp_path_factory.mktemp("development")
    (folder / "qrels").mkdir()
    held_out = examples[::5]
    with (
        open(folder / "corpus.jsonl", "w") as corpus,
        open(folder / "queries.jsonl", "w") as queries,
        open(folder / "qrels" / "dev.tsv", "w") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for number, example in enumerate(held_out):
            document = {"_id": f"d{number}", "title": "", "text": example.positive}
            corpus.write(json.dumps(document) + "\n")
            queries.write(json.dumps({"_id": f"q{number}", "text": example.query}) + "\n")
            qrels.write(f"q{number}\td{number}\t1\n")
    return str(folder)


@pytest.mark.parametrize("name", TRAINED)
def test_a_recipe_gets_better_than_its_start(
    name: str, examples, development: str, tiny_bert: str, tiny_decoder: str, tmp_path
) -> None:
    recipe = RECIPES[name]
    decoder = recipe.document.kind == "echo"
    teachers = TeachersConfig((TeacherConfig("bm25"),), scale=5.0)
    # Low-rank adapters begin with no effect, and gain little in 30 steps of less.
    learning_rate = 1e-2 if recipe.lora_rank else 1e-3
    config = TrainConfig(
        recipe=name,
        model=tiny_decoder if decoder else tiny_bert,
        data="docstrings",
        output=str(tmp_path / "run"),
        query_length=16,
        document_length=48,
        optimizer=OptimizerConfig(steps=30, batch_size=16, learning_rate=learning_rate),
        negatives=NegativesConfig(count=2) if recipe.needs_negatives else None,
        teachers=teachers if recipe.needs_scores else None,
        development=DevelopmentConfig(development, every=30),
        device="cpu",
    )
    held_in = [example for number, example in enumerate(examples) if number % 5]
    result = train(config, examples=held_in)
    assert result.best > result.start


def test_a_recipe_without_training_is_measured(
    development: str, examples, tiny_decoder: str, tmp_path
) -> None:
    config = TrainConfig(
        recipe="promptreps",
        model=tiny_decoder,
        data="docstrings",
        output=str(tmp_path / "run"),
        document_length=48,
        development=DevelopmentConfig(development),
        device="cpu",
    )
    result = train(config, examples=examples[:20])
    assert result.steps == 0
    assert result.start == result.best
    # Random weights, but of words that query and document share: better than chance, 0.03.
    assert result.best > 0.15
