"""Our parts in sentence-transformers' trainer, its models as teachers, and the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sentence_transformers import SparseEncoder
from typer.testing import CliRunner

from sparsearch.cli import app
from sparsearch.errors import TrainingError
from sparsearch.training import (
    RECIPES,
    Base,
    Example,
    ScoreCache,
    TeacherConfig,
    TeachersConfig,
    build_model,
    score_examples,
    write_examples,
)
from sparsearch.training.losses import CandidatesLoss
from sparsearch.training.regularisers import DfFlopsLoss, L1Loss


# Its trainer wraps batches of pinned memory and asks for what newer versions name otherwise.
@pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)
def test_losses_and_regularisers_work_in_the_trainer_of_sentence_transformers(
    tiny_bert: str, examples: list[Example], tmp_path: Path
) -> None:
    from datasets import Dataset
    from sentence_transformers import SparseEncoderTrainer, SparseEncoderTrainingArguments
    from sentence_transformers.sparse_encoder.losses import SpladeLoss

    model = build_model(RECIPES["splade-max"], Base(tiny_bert, document_length=32), device="cpu")
    before = model.encode_document("a text").to_dense().clone()
    rows = [
        {"query": a.query, "positive": a.positive, "negative": b.positive}
        for a, b in zip(examples[:16], examples[40:56], strict=True)
    ]
    loss = SpladeLoss(
        model,
        CandidatesLoss(),
        document_regularizer_weight=1e-3,
        query_regularizer_weight=1e-3,
        document_regularizer=DfFlopsLoss(len(model.tokenizer), window=8),
        query_regularizer=L1Loss(),
    )
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SparseEncoderTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss
    )
    assert np.isfinite(trainer.train().training_loss)
    assert not torch.equal(model.encode_document("a text").to_dense(), before)


@pytest.fixture(params=["splade-max", "unicoil"])
def sparse_teacher(request: pytest.FixtureRequest, tiny_bert: str, tmp_path: Path) -> str:
    """Folder of a model; one that sentence-transformers loads by itself, and one of our modules."""
    recipe = RECIPES[request.param]
    model = build_model(recipe, Base(tiny_bert, document_length=64), device="cpu")
    model.save(str(tmp_path / "teacher"), create_model_card=False)
    return str(tmp_path / "teacher")


def test_a_sparse_teacher_scores_by_inner_product(
    sparse_teacher: str, examples: list[Example], tmp_path: Path
) -> None:
    lists = [  # texts that need no windows
        Example(a.query, (a.positive[:100], b.positive[:100]))
        for a, b in zip(examples[:5], examples[3:8], strict=True)
    ]
    model = SparseEncoder(sparse_teacher, device="cpu", trust_remote_code=True)
    config = TeachersConfig((TeacherConfig("sparse", sparse_teacher),), "none", 1.0)
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        scored = score_examples(lists, config, cache)
    for example in scored:
        query = model.encode_query([example.query]).to_dense()
        expected = (model.encode_document(list(example.documents)).to_dense() @ query.T)[:, 0]
        assert example.scores == pytest.approx(expected.tolist(), rel=1e-4)


def test_dense_and_cross_encoder_teachers_score(tiny_bert: str, tokenizer, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    transformer = Transformer(tiny_bert)
    dense = SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension())], device="cpu"
    )
    dense.save(str(tmp_path / "dense"), create_model_card=False)
    settings = BertConfig.from_pretrained(tiny_bert, num_labels=1)
    BertForSequenceClassification(settings).save_pretrained(tmp_path / "cross")
    tokenizer.save_pretrained(tmp_path / "cross")
    models = (
        TeacherConfig("dense", str(tmp_path / "dense")),
        TeacherConfig("cross-encoder", str(tmp_path / "cross"), 0.5),
        TeacherConfig("bm25"),
    )
    lists = [Example("open a file", ("open files here", "close it", "a random number"))]
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        (scored,) = score_examples(lists, TeachersConfig(models), cache)
    assert scored.scores is not None
    assert np.ptp(scored.scores) > 0
    missing = TeachersConfig((TeacherConfig("dense", str(tmp_path / "a" / "b" / "missing")),))
    with (
        ScoreCache(tmp_path / "scores.sqlite") as cache,
        pytest.raises(TrainingError, match=r"the dense teacher .*missing cannot be loaded"),
    ):
        score_examples(lists, missing, cache)


# -------------------------------------------------------------------------------------------------


def test_the_command_trains_and_goes_on(
    tiny_bert: str, examples: list[Example], tmp_path: Path
) -> None:
    write_examples(tmp_path / "pairs.jsonl", examples[:60])
    config = {
        "recipe": "splade-doc",
        "model": tiny_bert,
        "data": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "unused"),
        "document_length": 32,
        "optimizer": {"steps": 4, "batch_size": 8},
        "device": "cpu",
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    output = str(tmp_path / "run")
    command = ["train", str(tmp_path / "config.yaml"), "--output", output, "--plot", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {
        "model": f"{output}/model",
        "steps": 4,
        "start": None,
        "best": None,
        "best_step": 4,
    }
    assert "step 4/4: loss " in done.stderr
    assert (tmp_path / "run" / "run.png").is_file()
    model = SparseEncoder(f"{output}/model", device="cpu")  # no code of ours is needed
    assert model.encode_document("json").to_dense().any()
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout.splitlines()[-1]) == last


def test_the_command_reports_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("recipe: splade-max\nstpes: 3\n")
    done = CliRunner().invoke(app, ["train", str(tmp_path / "config.yaml")])
    assert done.exit_code == 1
    assert "error: " in done.stderr
    assert "stpes: no such setting" in done.stderr
    assert CliRunner().invoke(app, ["train"]).exit_code == 2


def test_plots_that_cannot_be_drawn_are_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"recipe": "promptreps", "model": "m", "data": "d", "output": str(tmp_path / "run")}
    command = ["train", str(tmp_path / "config.yaml"), "--plot"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "promptreps is not trained" in done.stderr
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "recipe": "splade"}))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "pip install 'sparsearch[eval]'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_command_lists_recipes() -> None:
    done = CliRunner().invoke(app, ["train", "--recipes"])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(RECIPES)
