"""How much of the default encoder's quality is the luck of its training's seed.

Compares models that ``training/default/build.py`` made with other seeds, so with other training
texts, held-out pairs and batches, with BM25 and with the one that is shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, markdown_table, write_results
from encoders_quality import COLLECTIONS, hybrid_run, index_run
from sparsearch.encoders import load_default
from sparsearch.encoders.hybrid_folder import load_hybrid
from sparsearch.evaluation import Dataset, load_dataset

MEASURES = ("nDCG@10", "R@100")
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
    better: dict[str, dict[str, str]] = {}
    for name in COLLECTIONS:
        dataset = load_dataset(str(data_folder() / name))
        runs = {"BM25": index_run(dataset, ss.Bm25Encoder())}
        for system, hybrid in hybrids.items():
            runs[system] = hybrid_run(dataset, hybrid, arguments.cache)
        figures[name] = {
            system: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean)
            for system, run in runs.items()
        }
        better[name] = signs(dataset, runs)
        print(name, {s: round(m["nDCG@10"], 4) for s, m in figures[name].items()}, flush=True)
    weights = {name: hybrid.learned_weight for name, hybrid in hybrids.items()}
    report(figures, better, weights)


def signs(dataset: Dataset, runs: Mapping[str, ss.Run]) -> dict[str, str]:
    """Return ``*`` for what differs from BM25, and ``†`` for what differs from what is shipped."""
    found = dict.fromkeys(runs, "")
    learned = {name: run for name, run in runs.items() if name != "BM25"}
    for sign, baseline, compared in (("*", "BM25", runs), ("†", SHIPPED, learned)):
        rows = ss.compare(compared, dataset.qrels, ("nDCG@10",), baseline=baseline).rows
        for row in rows:
            found[row.run] += sign if row.significant else ""
    return found


def report(
    figures: Figures, better: Mapping[str, Mapping[str, str]], weights: Mapping[str, float]
) -> None:
    """Write the results."""
    chosen = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    note = (
        "Test splits, as in encoders-quality.md. Each seed draws its own training texts from the "
        "same sources, its own held-out pairs and batches, and chooses its own weight of the "
        f"learned part: {chosen}. * differs from BM25, † from the shipped model (paired t-test per "
        "collection, Holm's correction, p < 0.05)."
    )
    tables = [
        table(figures, better if measure == "nDCG@10" else {}, measure) for measure in MEASURES
    ]
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "torch", "ir-measures"])
    write_results(
        "encoder-seeds",
        "The default encoder with other seeds",
        "\n\n".join([note, *tables]),
        facts,
        {"measures": figures, "signs": dict(better), "weights": dict(weights)},
        options="FOLDER ...",
    )


def table(figures: Figures, better: Mapping[str, Mapping[str, str]], measure: str) -> str:
    """Return the table of one measure, and the means of what is gained over BM25."""
    systems = list(next(iter(figures.values())))
    values = np.array([[of[s][measure] for s in systems] for of in figures.values()])
    rows: list[list[object]] = []
    for name, of in zip(figures, values, strict=True):
        marks = better.get(name, {})
        rows.append(
            [name, *(f"{v:.4f}{marks.get(s, '')}" for s, v in zip(systems, of, strict=True))]
        )
    means = values.mean(axis=0)
    gains = (values / values[:, :1]).mean(axis=0) - 1
    rows.append(["**mean**", *(f"{mean:.4f}" for mean in means)])
    rows.append(["mean against BM25's", *(f"{mean / means[0] - 1:+.1%}" for mean in means)])
    rows.append(["mean of the gains", *(f"{gain:+.1%}" for gain in gains)])
    return markdown_table([measure, *systems], rows)


if __name__ == "__main__":
    main()
