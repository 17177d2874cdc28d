"""The default encoder adapted to each of some collections, without labels (adapt_default).

python benchmarks/adapting.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import sparsearch as ss
from common import data_folder, machine, write_results
from encoders_quality import MEASURES, index_run, marks_of, table
from sparsearch.encoders import load_default
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.training import adapt_default

COLLECTIONS = ("cranfield", "cacm", "med", "cystic-fibrosis", "time", "lisa")
"""With documents enough to learn from, of one subject each, and small enough for an hour."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=list(COLLECTIONS))
    names = parser.parse_args().collections
    figures: dict[str, dict[str, dict[str, float]]] = {}
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
    times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
    note = (
        "Test splits; nothing of a collection but its documents was used to adapt to it. * differs "
        "significantly from the default encoder (paired t-test per collection, Holm's correction, "
        f"p < 0.05). Seconds to adapt: {times}."
    )
    body = "\n\n".join([note, *(table(figures, marks, measure) for measure in MEASURES)])
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "torch", "onnx", "ir-measures"])
    report = {"measures": figures, "marks": marks, "seconds": seconds}
    write_results("adapting", "The default encoder, adapted to a corpus", body, facts, report)


def adapted_run(dataset: Dataset) -> tuple[ss.Run, float]:
    """Adapt to the documents and search them; return the run, and the seconds adapting took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        adapted = adapt_default(dataset.documents(), Path(folder) / "adapted")
        seconds = time.perf_counter() - start
        return index_run(dataset, adapted), seconds


if __name__ == "__main__":
    main()
