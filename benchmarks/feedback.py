"""What pseudo-relevance feedback (Index.expand) brings and costs, for BM25 and the default encoder.

    python benchmarks/feedback.py --keep FOLDER

An hour on two cores, most of it for reading acm-cr with the model; what it makes of a collection
is kept in the cache of encoders_quality.py, indexes are kept in FOLDER, and both are used again.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import numpy as np

import sparsearch as ss
from common import REPOSITORY, data_folder, machine, markdown_table, write_results
from encoders_quality import COLLECTIONS, LARGE, MEASURES, cached, marks_of, table
from sparsearch.encoders import load_default
from sparsearch.evaluation import Dataset, load_dataset

TIMED = 200
"""Queries whose times are taken, one by one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS + LARGE)
    parser.add_argument("--keep", type=Path, required=True, help="where indexes are kept")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "encodings")
    options = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    marks: dict[str, dict[str, str]] = {}
    times: list[list[object]] = []
    for name in options.collections:
        dataset = load_dataset(str(data_folder() / name))
        runs: dict[str, ss.Run] = {}
        default = cached(load_default(), options.cache)
        for system, encoder in (("BM25", ss.Bm25Encoder()), ("default", default)):
            with kept_index(options.keep / name / system, dataset, encoder) as index:
                queries = dataset.judged_queries()
                runs[system] = index.search_batch(queries, 100)
                widened = index.search_batch(queries, 100, feedback=ss.Feedback())
                runs[f"{system}, feedback"] = widened
                times.append([name, system, len(index), *milliseconds(index, dataset)])
        figures[name] = {
            system: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean)
            for system, run in runs.items()
        }
        marks[name] = marks_of(dataset, runs, "default", "*")
        print(name, figures[name], times[-1], flush=True)
    write(figures, marks, times)


def kept_index(folder: Path, dataset: Dataset, encoder: ss.Encoder) -> ss.Index:
    """Return the index of a collection, made unless it is there."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        with ss.Index.create(unfinished, encoder) as index:
            index.add(dataset.documents())
            index.optimize()
        unfinished.rename(folder)
    return ss.Index.open(folder)


def milliseconds(index: ss.Index, dataset: Dataset) -> list[str]:
    """Return median times a query on one thread: of a search, of widening, of searching that."""
    queries = list(dataset.judged_queries().values())[:TIMED]
    taken = np.array([timed(index, query) for query in [*queries[:5], *queries]][5:])
    return [f"{value:.2f}" for value in np.median(taken, axis=0) * 1e3]


def timed(index: ss.Index, query: str) -> tuple[float, float, float]:
    """Return the seconds of each of the three."""
    start = time.perf_counter()
    index.top_k([query], 10)
    searched = time.perf_counter()
    widened = index.expand([query], threads=1)
    expanded = time.perf_counter()
    index.top_k(widened, 10)
    return searched - start, expanded - searched, time.perf_counter() - expanded


def write(
    figures: dict[str, dict[str, dict[str, float]]],
    marks: dict[str, dict[str, str]],
    times: list[list[object]],
) -> None:
    """Write the report."""
    note = (
        "Test splits, with the settings of `Feedback()`. * differs significantly from the default "
        "encoder (paired t-test per collection, Holm's correction, p < 0.05)."
    )
    head = ["collection", "encoder", "documents", "search", "expand", "search what it gives"]
    taken = f"Median milliseconds a query (k = 10, one thread, {TIMED} queries at most):"
    tables = [table(figures, marks, measure) for measure in MEASURES]
    body = "\n\n".join([note, *tables, taken, markdown_table(head, times)])
    facts = machine(["sparsearch", "onnxruntime", "numba", "numpy", "ir-measures"])
    report = {"measures": figures, "marks": marks, "milliseconds": times}
    title = "Pseudo-relevance feedback"
    write_results("feedback", title, body, facts, report, options="--keep FOLDER")


if __name__ == "__main__":
    main()
