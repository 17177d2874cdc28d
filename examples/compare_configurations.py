"""Measure configurations of BM25, and tell which differences are significant.

The collection is the demo's: the docstrings of Python's standard library, and six questions. So
few tell hardly anything apart; give a folder in BEIR layout, or an id of ir_datasets:
``python examples/compare_configurations.py data/cranfield``. Needs the extra ``eval``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss
from sparsearch.demo import QUESTIONS, standard_library_documents
from sparsearch.encoders import AnalysisConfig
from sparsearch.evaluation import Dataset, load_dataset

CONFIGURATIONS = {
    "plain": ss.Bm25Config(analysis=AnalysisConfig(language=None)),
    "stemmed": ss.Bm25Config(analysis=AnalysisConfig("english", stop_words=False)),
    "default": ss.Bm25Config(),
    "k1=0.9 b=0.4": ss.Bm25Config(k1=0.9, b=0.4),
}


def docstrings() -> Dataset:
    """Return the demo as a test collection: for each question one relevant document."""
    queries = {f"q{number}": question.text for number, question in enumerate(QUESTIONS)}
    qrels = {f"q{number}": {question.answer: 1} for number, question in enumerate(QUESTIONS)}
    documents = list(standard_library_documents())
    return Dataset("docstrings", queries, ss.Qrels(qrels), lambda: iter(documents))


def search(dataset: Dataset, config: ss.Bm25Config, folder: Path) -> ss.Run:
    """Return the rankings of the judged queries under a configuration."""
    with ss.Index.create(folder, encoder=ss.Bm25Encoder(config)) as index:
        index.add(dataset.documents())
        index.optimize()
        return index.search_batch(dataset.judged_queries(), k=100)


def main() -> None:
    """Search with each configuration and compare the runs."""
    dataset = load_dataset(sys.argv[1]) if len(sys.argv) > 1 else docstrings()
    with TemporaryDirectory() as folder:
        runs = {
            name: search(dataset, config, Path(folder) / str(number))
            for number, (name, config) in enumerate(CONFIGURATIONS.items())
        }
    print(ss.compare(runs, dataset.qrels, ["nDCG@10", "RR@10"]))


if __name__ == "__main__":
    main()
