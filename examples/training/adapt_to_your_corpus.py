"""Adapt an encoder to a corpus without any labels, and see what it brings.

What a document says of itself (title, headings, first sentence) is a query for the rest of it.
A dense model and BM25 together say how well other documents answer it; from their scores, a sparse
document encoder over the dense model's transformer learns. Queries need no model afterwards.

    python examples/training/adapt_to_your_corpus.py data/cranfield path/to/all-MiniLM-L6-v2

The first argument is a folder in BEIR layout: its documents are trained on; its queries and
judgements are only measured with. Most of the time goes into the steps: 64 documents each.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.training import (
    RECIPES,
    DevelopmentConfig,
    EncoderPart,
    NegativesConfig,
    OptimizerConfig,
    SparsityConfig,
    StepReport,
    TeacherConfig,
    TeachersConfig,
    TrainConfig,
    pseudo_queries,
    train,
)

# Queries: a learned weight for each token. Documents: a head tied to the input embeddings, since a
# dense model has no masked-language-model head.
RECIPE = replace(RECIPES["li-lsr"], name="adapted", document=EncoderPart("tied"))


def main() -> None:
    """Train, and print the measures before and after beside BM25."""
    options = _options()
    collection = load_dataset(options.collection, options.split)
    examples = list(pseudo_queries(collection.documents()))
    print(f"{len(examples):,} pseudo-queries from {collection.name}")
    with TemporaryDirectory(prefix="sparsearch-") as folder:
        output = str(options.output or Path(folder) / "run")
        reports: list[StepReport] = []
        result = train(
            _config(options, output),
            recipe=RECIPE,
            examples=examples,
            report=lambda report: _show(report, reports),
            note=print,
        )
        bm25 = _bm25(collection, Path(folder) / "bm25")
    print(f"nDCG@10 on {collection.name}: BM25 {bm25:.4f}")
    # Of the last step, not the best one: choosing by these queries would be cheating.
    after = reports[-1].measure
    print(f"before training {result.start:.4f}, after {options.steps:,} steps {after:.4f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Adapt an encoder to a corpus without labels.")
    parser.add_argument("collection", help="folder in BEIR layout")
    parser.add_argument("model", help="folder or hub name of a dense model")
    parser.add_argument("--split", default="test")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--output", type=Path, help="keep the run in this folder")
    return parser.parse_args()


def _config(options: argparse.Namespace, output: str) -> TrainConfig:
    teachers = (TeacherConfig("dense", options.model), TeacherConfig("bm25", weight=0.5))
    return TrainConfig(
        recipe="li-lsr",
        model=options.model,
        data=options.collection,
        output=output,
        document_length=128,
        optimizer=OptimizerConfig(
            steps=options.steps, batch_size=options.batch_size, learning_rate=5e-5, precision="bf16"
        ),
        sparsity=SparsityConfig(top_k=256, document_target=200),
        negatives=NegativesConfig(count=3, depth=30),
        teachers=TeachersConfig(teachers),
        development=DevelopmentConfig(options.collection, options.split, every=options.steps),
    )


def _bm25(collection: Dataset, folder: Path) -> float:
    with ss.Index.create(folder, encoder="bm25") as index:
        index.add(collection.documents())
        run = index.search_batch(collection.judged_queries(), 10)
    return ss.evaluate(run, collection.qrels, ["nDCG@10"]).mean["nDCG@10"]


def _show(report: StepReport, reports: list[StepReport]) -> None:
    reports.append(report)
    if report.step % 20 == 0:
        print(
            f"step {report.step}: loss {report.loss:.3f}, non-zeros {report.document_nnz:.0f}, "
            f"{report.seconds:.1f} s a step"
        )


if __name__ == "__main__":
    main()
