"""Adapt the default encoder to a corpus without any labels, and see what it brings.

A field of its own uses words in its own way. Here the directions that the default encoder has for
words are fitted to what the corpus itself says: its texts, their sentences, some words in a row.
It takes minutes on a CPU, and needs the extra `train`, but no other model.

    python examples/training/adapt_to_your_corpus.py data/cranfield adapted

The first argument is a folder in BEIR layout: its documents are adapted to; its queries and
judgements are only measured with. The second is the new encoder's folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss
from sparsearch.encoders import Encoder
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.training import AdaptingStep, adapt_default

MEASURES = ("nDCG@10", "R@100")


def main() -> None:
    """Adapt, and print measures before and after beside BM25."""
    parser = argparse.ArgumentParser(description="Adapt the default encoder without labels.")
    parser.add_argument("collection", help="folder in BEIR layout")
    parser.add_argument("output", help="folder of the new encoder")
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    collection = load_dataset(options.collection, options.split)
    adapted = adapt_default(collection.documents(), options.output, report=show)
    runs = {
        "BM25": run_of(collection, ss.Bm25Encoder()),
        "default": run_of(collection, Encoder.load()),
        "adapted": run_of(collection, adapted),
    }
    for name, run in runs.items():
        mean = ss.evaluate(run, collection.qrels, MEASURES).mean
        print(f"{name:8}" + "".join(f"  {measure} {mean[measure]:.4f}" for measure in MEASURES))
    print(ss.compare(runs, collection.qrels, MEASURES[:1], baseline="default"))


def run_of(collection: Dataset, encoder: Encoder) -> ss.Run:
    """Index the collection and search it."""
    with (
        TemporaryDirectory(prefix="sparsearch-") as folder,
        ss.Index.create(Path(folder) / "index", encoder) as index,
    ):
        index.add(collection.documents())
        return index.search_batch(collection.judged_queries(), 100)


def show(step: AdaptingStep) -> None:
    """Print how well sums of directions meet the model's vectors."""
    if step.loss is not None:
        print(f"pass {step.done} of {step.total}: 1 - cosine {step.loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
