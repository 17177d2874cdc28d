"""How much of the default encoder's quality is the luck of its training's seed.

Compares models that ``training/default/build.py`` made with other seeds, so with other training
texts, held-out pairs and batches, with BM25 and with the one that is shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, write_results
from encoders_quality import COLLECTIONS, MEASURES, hybrid_run, index_run, marks_of, table
from sparsearch.encoders import load_default
from sparsearch.encoders.hybrid_folder import load_hybrid
from sparsearch.evaluation import load_dataset

SHIPPED = "shipped"

Figures = dict[str, dict[str, dict[str, float]]]
"""Of each collection and system, each measure."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="folders of build.py --seed N")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "encodings")
    arguments = parser.parse_args()
    hybrids = {SHIPPED: load_default()}
    hybrids |= {folder.name: load_hybrid(folder) for folder in arguments.models}
    figures: Figures = {}
    marks: dict[str, dict[str, str]] = {}
    for name in COLLECTIONS:
        dataset = load_dataset(str(data_folder() / name))
        runs = {"BM25": index_run(dataset, ss.Bm25Encoder())}
        for system, hybrid in hybrids.items():
            runs[system] = hybrid_run(dataset, hybrid, arguments.cache)
        figures[name] = {
            system: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean)
            for system, run in runs.items()
        }
        marks[name] = marks_of(dataset, runs, "BM25", "*")
        learned = {system: runs[system] for system in hybrids}
        for system, mark in marks_of(dataset, learned, SHIPPED, "†").items():
            marks[name][system] = marks[name].get(system, "") + mark
        print(name, {s: round(m["nDCG@10"], 4) for s, m in figures[name].items()}, flush=True)
    weights = {name: hybrid.learned_weight for name, hybrid in hybrids.items()}
    report(figures, marks, weights)


def report(
    figures: Figures, marks: Mapping[str, Mapping[str, str]], weights: Mapping[str, float]
) -> None:
    """Write the results."""
    chosen = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    note = (
        "Test splits, as in encoders-quality.md. Each seed draws its own training texts from the "
        "same sources, its own held-out pairs and batches. Weights of the learned part: "
        f"{chosen}. * differs from BM25, † from the shipped model (paired t-test per "
        "collection, Holm's correction, p < 0.05)."
    )
    tables = [table(figures, marks, measure) for measure in MEASURES]
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "torch", "ir-measures"])
    write_results(
        "encoder-seeds",
        "The default encoder with other seeds",
        "\n\n".join([note, *tables]),
        facts,
        {"measures": figures, "marks": dict(marks), "weights": dict(weights)},
        options="FOLDER ...",
    )


if __name__ == "__main__":
    main()
