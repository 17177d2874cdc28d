"""The default encoder adapted to each of some collections, without labels (adapt_default).

python benchmarks/adapting.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean

import sparsearch as ss
from common import data_folder, machine, write_results
from encoders_quality import MEASURES, index_run, marks_of, table
from sparsearch.encoders import load_default
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.training import adapt_default

COLLECTIONS = ("cranfield", "cacm", "med", "cystic-fibrosis", "time", "lisa")
"""With documents enough to learn from, of one subject each, and small enough for an hour."""

CHOSEN_ON = ("cranfield", "med", "cystic-fibrosis")
"""Those that passes, rate and decay were chosen by looking at."""

Figures = dict[str, dict[str, dict[str, float]]]
"""Of each collection and system, each measure."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=list(COLLECTIONS))
    names = parser.parse_args().collections
    figures: Figures = {}
    marks: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for name in names:
        dataset = load_dataset(str(data_folder() / name))
        runs = {"BM25": index_run(dataset, ss.Bm25Encoder())}
        runs["default"] = index_run(dataset, load_default())
        runs["adapted"], seconds[name] = adapted_run(dataset)
        figures[name] = {
            system: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean)
            for system, run in runs.items()
        }
        marks[name] = marks_of(dataset, runs, "default", "*")
        print(name, round(seconds[name]), figures[name], flush=True)
    note = note_on(figures, seconds)
    body = "\n\n".join([note, *(table(figures, marks, measure) for measure in MEASURES)])
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "torch", "onnx", "ir-measures"])
    report = {"measures": figures, "marks": marks, "seconds": seconds}
    write_results("adapting", "The default encoder, adapted to a corpus", body, facts, report)


def note_on(figures: Figures, seconds: dict[str, float]) -> str:
    """Return what to know about the figures."""
    times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
    chosen = [name for name in figures if name in CHOSEN_ON]
    others = [name for name in figures if name not in CHOSEN_ON]
    return (
        "Test splits; nothing of a collection but its documents was used to adapt to it. But the "
        "settings of adapting (passes, rate, decay) were chosen by looking at some of these "
        f"collections. Mean nDCG@10, default and adapted, of these: {means(figures, chosen)}; of "
        f"those not looked at: {means(figures, others)}. * differs significantly from the default "
        "encoder (paired t-test per collection, Holm's correction, p < 0.05). "
        f"Seconds to adapt: {times}."
    )


def means(figures: Figures, names: list[str]) -> str:
    """Return the means before and after of some collections, and which these are."""
    if not names:
        return "none here"
    before, after = (
        fmean(figures[name][system]["nDCG@10"] for name in names)
        for system in ("default", "adapted")
    )
    return f"{before:.4f} and {after:.4f} ({', '.join(names)})"


def adapted_run(dataset: Dataset) -> tuple[ss.Run, float]:
    """Adapt to the documents and search them; return the run, and the seconds adapting took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        adapted = adapt_default(dataset.documents(), Path(folder) / "adapted")
        seconds = time.perf_counter() - start
        return index_run(dataset, adapted), seconds


if __name__ == "__main__":
    main()
