"""What cutting long texts into passages does to rankings of whole documents.

    python benchmarks/passages.py

Collections of longer texts, indexed whole and in passages, where a document counts as its best
passage. Most of the time is the model's; what it makes is kept in the cache of encoders_quality.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, markdown_table, write_results
from encoders_quality import cached
from sparsearch.encoders import Encoder, load_default
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.index import IndexConfig

COLLECTIONS = ("time", "medquad-liveqa")
LENGTHS = (None, 2000, 1000)
MEASURES = ("nDCG@10", "R@100")
DEPTH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS)
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "encodings")
    options = parser.parse_args()
    encoders = {"BM25": ss.Bm25Encoder(), "default": cached(load_default(), options.cache)}
    figures = {}
    for name in options.collections:
        dataset = load_dataset(str(data_folder() / name))
        lengths = [len(str(document.get("text") or "")) for document in dataset.documents()]
        figures[name] = {
            "characters": sum(lengths) / len(lengths),
            "encoders": {kind: measure(dataset, encoder) for kind, encoder in encoders.items()},
        }
        print(name, figures[name], flush=True)
    report(figures)


def measure(dataset: Dataset, encoder: Encoder) -> dict[str, Any]:
    """Return the measures of each length of passages, and how many there are."""
    found = {}
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            config = IndexConfig(passage_length=length)
            with ss.Index.create(f"{folder}/index", encoder, config) as index:
                index.add(dataset.documents())
                field = None if length is None else "document"
                run = index.search_batch(dataset.judged_queries(), DEPTH, distinct=field)
                run = run if length is None else run.max_passage()
                means = ss.evaluate(run, dataset.qrels, list(MEASURES)).mean
                found[str(length or "whole")] = {"stored": len(index), **means}
    return found


def report(figures: dict[str, Any]) -> None:
    """Write the results."""
    rows: list[list[object]] = []
    for name, collection in figures.items():
        for kind, lengths in collection["encoders"].items():
            for length, row in lengths.items():
                label = "whole" if length == "whole" else f"{int(length):,}"
                values = [f"{row[measure]:.4f}" for measure in MEASURES]
                rows.append([name, kind, label, f"{row['stored']:,}", *values])
    about = ", ".join(f"{name} {int(c['characters']):,}" for name, c in figures.items())
    note = (
        "Documents are judged; in an index of passages, each counts as its best one "
        '(`distinct="document"`, `Run.max_passage`). '
        f"Characters of a text on average: {about}.\n\n"
    )
    head = ["collection", "encoder", "characters of a passage", "stored", *MEASURES]
    facts = machine(["sparsearch", "onnxruntime", "numpy"])
    body = note + markdown_table(head, rows)
    write_results("passages", "Whole texts and passages", body, facts, figures)


if __name__ == "__main__":
    main()
