"""BM25 beside bm25s (Numba backend): indexing a real corpus from JSONL, and searching it.

Each indexing run is a process of its own, so that peak memory means something. Both sides read the
same file and tokenise it themselves, with the same stemmer and stop words on or off; sparsearch
also stores ids, text and metadata, and has flushed everything to the disk when the clock stops.
Searches of both sides run in one process on the same tokens, after one warm-up each, alternating;
the medians are reported.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer

import sparsearch as ss
from common import data_folder, machine, markdown_table, write_results
from sparsearch.encoders import AnalysisConfig, Analyzer
from sparsearch.readers import open_source

ROUNDS = 25
SINGLE_QUERIES = 300


def peak_megabytes() -> float:
    """Return this process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def encoder(stop_words: bool) -> ss.Bm25Encoder:
    return ss.Bm25Encoder(ss.Bm25Config(analysis=AnalysisConfig(stop_words=stop_words)))


def index_ours(corpus: Path, folder: Path, stop_words: bool) -> dict[str, float]:
    """Index with sparsearch, from JSONL to a durable, searchable folder."""
    warm = ss.Index.create(folder / "warm", encoder(stop_words))
    warm.add([{"id": "1", "text": "compile the kernels"}, {"id": "2", "text": "before the clock"}])
    before = peak_megabytes()
    start = time.perf_counter()
    with ss.Index.create(folder / "index", encoder(stop_words)) as index:
        index.add(open_source(corpus).records())
        added = time.perf_counter() - start
        index.optimize()
        seconds = time.perf_counter() - start
        size = index.info().bytes
    return {
        "seconds": added, "with optimize": seconds, "peak MB": peak_megabytes(),
        "start MB": before, "disk MB": size / 1e6,
    }  # fmt: skip


def index_bm25s(corpus: Path, folder: Path, stop_words: bool) -> dict[str, float]:
    """Index with bm25s: read, tokenise, index; and save, for the size."""
    before = peak_megabytes()
    start = time.perf_counter()
    with gzip.open(corpus, "rt") as lines:
        records = map(json.loads, lines)
        texts = [f"{record['title']}\n{record['text']}" for record in records]
    tokens = bm25s.tokenize(
        texts, stopwords="en" if stop_words else None, stemmer=Stemmer.Stemmer("english"),
        show_progress=False,
    )  # fmt: skip
    engine = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numba")
    engine.index(tokens, show_progress=False)
    seconds = time.perf_counter() - start
    engine.save(folder / "bm25s")
    size = sum(entry.stat().st_size for entry in (folder / "bm25s").iterdir())
    return {
        "seconds": seconds, "peak MB": peak_megabytes(), "start MB": before, "disk MB": size / 1e6,
    }  # fmt: skip


def run_step(step: str, corpus: Path, stop_words: bool) -> dict[str, float]:
    """Run an indexing step in a fresh process."""
    command = [sys.executable, __file__, "--step", step, "--corpus", str(corpus)]
    command += ["--stop-words"] if stop_words else []
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def bm25s_engine(index: ss.Index, analyzer: Analyzer) -> tuple[bm25s.BM25, dict[str, int]]:
    """Build bm25s over the tokens of the index's own documents."""
    vocabulary: dict[str, int] = {}
    tokens = []
    for document in index.documents():
        terms = analyzer.analyze(f"{document.title}\n{document.text}")
        tokens.append([vocabulary.setdefault(term, len(vocabulary)) for term in terms])
    engine = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numba")
    engine.index(bm25s.tokenization.Tokenized(tokens, vocabulary), show_progress=False)
    return engine, vocabulary


def microseconds(work: Callable[[], Any], queries: int) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / queries * 1e6


def alternate(ours: Callable[[], Any], theirs: Callable[[], Any], queries: int) -> list[float]:
    """Return the medians of both, in microseconds a query, measured in turn."""
    ours()
    theirs()
    pairs = [(microseconds(ours, queries), microseconds(theirs, queries)) for _ in range(ROUNDS)]
    return [statistics.median(side) for side in zip(*pairs, strict=True)]


def search_both(index: ss.Index, texts: list[str], stop_words: bool) -> dict[str, list[float]]:
    """Return microseconds a query of both, by kind of search."""
    analyzer = Analyzer(AnalysisConfig(stop_words=stop_words))
    engine, vocabulary = bm25s_engine(index, analyzer)
    tokens = [[vocabulary[t] for t in analyzer.analyze(q) if t in vocabulary] for q in texts]
    vectors = index.encode_queries(texts)
    figures = {}
    for k in (10, 1000):
        for threads in (1, 2):

            def theirs(k: int = k, threads: int = threads) -> object:
                return engine.retrieve(tokens, k=k, n_threads=threads, show_progress=False)

            def ours(k: int = k, threads: int = threads) -> object:
                return index.top_k(vectors, k=k, threads=threads)

            name = f"batch, k={k}, {threads} thread{'s'[: threads - 1]}"
            figures[name] = alternate(ours, theirs, len(texts))

        singles = [vectors[i : i + 1] for i in range(SINGLE_QUERIES)]

        def one_by_one(k: int = k, singles: list[ss.SparseVectors] = singles) -> None:
            for vector in singles:
                index.top_k(vector, k=k)

        def theirs_one_by_one(k: int = k) -> None:
            for query in tokens[:SINGLE_QUERIES]:
                engine.retrieve([query], k=k, n_threads=1, show_progress=False)

        figures[f"single, k={k}"] = alternate(one_by_one, theirs_one_by_one, len(singles))
    check_agreement(index, engine, vectors, tokens)
    return figures


def check_agreement(
    index: ss.Index, engine: bm25s.BM25, vectors: ss.SparseVectors, tokens: list[list[int]]
) -> None:
    """Make sure that both sides computed the same thing."""
    found = index.top_k(vectors, k=10).scores
    expected = engine.retrieve(tokens, k=10, show_progress=False)[1]
    if not np.allclose(found, expected, rtol=5e-3, atol=5e-3):
        sys.exit("the scores of the two sides differ: the comparison would mean nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=None)
    parser.add_argument("--step", choices=["ours", "bm25s"])
    parser.add_argument("--stop-words", action="store_true")
    options = parser.parse_args()
    corpus = options.corpus or data_folder() / "acm-cr" / "corpus.jsonl.gz"
    if options.step:
        step = index_ours if options.step == "ours" else index_bm25s
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(step(corpus, Path(folder), options.stop_words)))
        return
    figures: dict[str, Any] = {}
    tables = []
    for stop_words in (True, False):
        name = "stop words left out" if stop_words else "stop words kept"
        indexing = {step: run_step(step, corpus, stop_words) for step in ("bm25s", "ours")}
        with tempfile.TemporaryDirectory() as folder:
            index = ss.Index.create(Path(folder) / "index", encoder(stop_words))
            index.add(open_source(corpus).records())
            index.optimize()
            queries = open_source(corpus.parent / "queries.jsonl.gz").records()
            searching = search_both(index, [str(q["text"]) for q in queries], stop_words)
        figures[name] = {"indexing": indexing, "searching": searching}
        tables.append(f"## {name.capitalize()}\n\n" + tables_of(indexing, searching))
    body = f"{corpus.parent.name}: {len(index)} documents. Times are medians of {ROUNDS}.\n\n"
    facts = machine(["sparsearch", "bm25s", "numba", "numpy", "PyStemmer"])
    write_results(
        "bm25-speed", "BM25 speed beside bm25s", body + "\n\n".join(tables), facts, figures
    )


def tables_of(indexing: dict[str, dict[str, float]], searching: dict[str, list[float]]) -> str:
    theirs, ours = indexing["bm25s"], indexing["ours"]
    index_rows = [
        ["read, tokenise, index (s)", f"{theirs['seconds']:.1f}", f"{ours['seconds']:.1f}"],
        ["the same, merged into one segment (s)", "", f"{ours['with optimize']:.1f}"],
        ["peak memory (MB)", f"{theirs['peak MB']:.0f}", f"{ours['peak MB']:.0f}"],
        ["on disk (MB; ours with ids and text)", f"{theirs['disk MB']:.0f}",
         f"{ours['disk MB']:.0f}"],
    ]  # fmt: skip
    search_rows = [
        [kind, f"{peer:.0f}", f"{own:.0f}", f"{peer / own:.1f}"]
        for kind, (own, peer) in searching.items()
    ]
    return "\n\n".join(
        [
            markdown_table(["indexing", "bm25s", "sparsearch"], index_rows),
            markdown_table(
                ["searching (µs a query)", "bm25s", "sparsearch", "times faster"], search_rows
            ),
        ]
    )


if __name__ == "__main__":
    main()
