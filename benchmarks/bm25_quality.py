"""BM25 beside bm25s with the same tokens: nDCG@10 and R@100 on real collections.

bm25s computes BM25 in float32 with exact document lengths; sparsearch stores weights as 12-bit (or
8-bit) codes. The table shows what the codes cost.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np

import sparsearch as ss
from common import data_folder, machine, markdown_table, write_results
from sparsearch.encoders import Analyzer
from sparsearch.evaluation import Dataset, load_dataset

COLLECTIONS = (
    "cranfield", "cacm", "med", "acm-cr", "cosqa", "wikiqa", "nq-mini", "msmarco-dl19-pool",
    "medquad-liveqa", "csfcube", "vaswani-npl", "lisa", "time",
)  # fmt: skip
MEASURES = ("nDCG@10", "R@100")
K = 1000


def bm25s_run(dataset: Dataset, config: ss.Bm25Config) -> ss.Run:
    """Search with bm25s, given the tokens that sparsearch makes."""
    analyzer = Analyzer(config.analysis)
    ids, tokens = [], []
    vocabulary: dict[str, int] = {}
    for document in dataset.documents():
        parts = [str(document[name]) for name in ("title", "text") if name in document]
        ids.append(str(document["id"]))
        terms = analyzer.analyze("\n".join(parts))
        tokens.append([vocabulary.setdefault(term, len(vocabulary)) for term in terms])
    engine = bm25s.BM25(method="lucene", k1=config.k1, b=config.b, backend="numba")
    engine.index(bm25s.tokenization.Tokenized(tokens, vocabulary), show_progress=False)
    rankings: dict[str, tuple[list[str], Sequence[float]]] = {}
    for query_id, text in dataset.judged_queries().items():
        query = [vocabulary[term] for term in analyzer.analyze(text) if term in vocabulary]
        rankings[query_id] = ([], [])
        if query:
            found, scores = engine.retrieve([query], k=min(K, len(ids)), show_progress=False)
            # bm25s leaves the order of equal scores open; here it is the order of the corpus.
            order = np.lexsort((found[0], -scores[0]))
            order = order[scores[0][order] > 0]
            rankings[query_id] = ([ids[i] for i in found[0][order]], scores[0][order])
    return ss.Run.from_rankings(rankings, "bm25s")


def our_run(dataset: Dataset, config: ss.Bm25Config, weight_bits: int) -> ss.Run:
    """Search with sparsearch."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ss.IndexConfig(weight_bits=weight_bits)
        with ss.Index.create(Path(folder) / "index", ss.Bm25Encoder(config), settings) as index:
            index.add(dataset.documents())
            index.optimize()  # weights by one average length, as bm25s has it
            return index.search_batch(dataset.judged_queries(), k=K)


def compare_on(dataset: Dataset, config: ss.Bm25Config) -> dict[str, dict[str, float]]:
    """Return the measures of bm25s and of sparsearch with 12 and with 8 bits."""
    runs = {
        "bm25s": bm25s_run(dataset, config),
        "12 bits": our_run(dataset, config, 12),
        "8 bits": our_run(dataset, config, 8),
    }
    return {
        name: dict(ss.evaluate(run, dataset.qrels, MEASURES).mean) for name, run in runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS)
    names = parser.parse_args().collections
    config = ss.Bm25Config()
    figures = {}
    rows = []
    for name in names:
        figures[name] = compare_on(load_dataset(str(data_folder() / name)), config)
        theirs, ours, small = (figures[name][system] for system in ("bm25s", "12 bits", "8 bits"))
        row: list[object] = [name]
        for measure in MEASURES:
            row += [f"{theirs[measure]:.4f}", f"{ours[measure]:.4f}"]
            row += [f"{ours[measure] - theirs[measure]:+.4f}"]
        rows.append([*row, f"{small['nDCG@10'] - theirs['nDCG@10']:+.4f}"])
        print(*rows[-1], flush=True)
    header = ["collection"]
    for measure in MEASURES:
        header += [f"bm25s {measure}", f"sparsearch {measure}", "difference"]
    header.append("nDCG@10 difference with 8 bits")
    body = (
        f"BM25 (Lucene's formula, k1 {config.k1}, b {config.b}, {config.analysis.language} stemming"
        f", stop words {'left out' if config.analysis.stop_words else 'kept'}), the same tokens for"
        " both, test split, sparsearch with its default 12-bit weights.\n\n"
        + markdown_table(header, rows)
    )
    facts = machine(["sparsearch", "bm25s", "numba", "numpy", "ir-measures"])
    write_results("bm25-quality", "BM25 quality beside bm25s", body, facts, figures)


if __name__ == "__main__":
    main()
