"""Encoding speed on a CPU: sparsearch beside sentence-transformers, and what rounding costs.

The same model (`untrained_splade.py`), the same texts, one system after the other, each in a
process of its own with all cores. Quality is nDCG@10 of the vectors in the same exact index.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import sparsearch as ss
from common import data_folder, machine, markdown_table, write_results
from sparsearch.encoders import export_model
from sparsearch.evaluation import Dataset, load_dataset
from sparsearch.vectors import VectorFile, load_npz, save_npz

SYSTEMS = {
    "theirs": "sentence-transformers, torch float32",
    "torch": "sparsearch, torch float32",
    "float32": "sparsearch, ONNX float32",
    "int8": "sparsearch, ONNX 8-bit integers",
    "batches": "the same in batches, where vectors depend on their neighbours",
}
WARM_UP = 16

Encode = Callable[[list[str]], ss.SparseVectors]


def texts_of(dataset: Dataset) -> tuple[list[str], list[str]]:
    """Return the ids and texts of all documents."""
    ids, texts = [], []
    for document in dataset.documents():
        parts = [str(document[name]) for name in ("title", "text") if document.get(name)]
        ids.append(str(document["id"]))
        texts.append("\n".join(parts))
    return ids, texts


def encoder_of(system: str, model: str) -> Encode:
    """Return the function of a system that encodes documents."""
    if system == "batches":
        return _in_batches(model)
    if system != "theirs":
        options: dict[str, Any] = {"backend": "torch"} if system == "torch" else {}
        encoder = ss.Encoder.load(model, **options, quantize=system == "int8")
        return encoder.encode_documents
    from sentence_transformers import SparseEncoder

    theirs = SparseEncoder(model, device="cpu")
    terms = ss.Vocabulary(theirs.tokenizer.convert_ids_to_tokens(range(len(theirs.tokenizer))))
    return lambda texts: ss.SparseVectors.from_torch(theirs.encode_document(texts), terms)


def _in_batches(model: str) -> Encode:
    """Return the 8-bit encoder without its limit of one window at a time."""
    folder = Path(model).with_name("in batches")
    if not folder.exists():
        export_model(model, folder)
        path = folder / "sparsearch_encoder.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "max_batch": None}))
    return ss.Encoder.load(folder).encode_documents


def encode_here(system: str, model: str, collection: str, most: int, out: str) -> None:
    """Encode a collection in this process: vectors to a file, the speed to standard output."""
    ids, texts = texts_of(load_dataset(collection))
    encode = encoder_of(system, model)
    encode(texts[:WARM_UP])
    started = time.perf_counter()
    vectors = encode(texts[:most])
    seconds = time.perf_counter() - started
    save_npz(out, VectorFile(vectors, ids[:most]))
    print(json.dumps({"documents_per_second": len(vectors) / seconds}))


def measured(system: str, model: Path, collection: Path, most: int, out: Path) -> dict[str, Any]:
    """Run `encode_here` in a process of its own."""
    command = [sys.executable, __file__, "--encode", system, str(model), str(collection)]
    done = subprocess.run(
        [*command, str(most), str(out)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ndcg(file: Path, dataset: Dataset, queries: ss.SparseVectors, names: Sequence[str]) -> float:
    """Return nDCG@10 of document vectors in an exact index."""
    content = load_npz(file)
    with (
        tempfile.TemporaryDirectory() as folder,
        ss.Index.create(Path(folder) / "index", encoder=None) as index,
    ):
        index.add_vectors(list(content.ids or ()), content.vectors)
        found = index.search_batch(queries, k=10)
        rankings = {
            name: (found.ids(str(row)), found.scores(str(row))) for row, name in enumerate(names)
        }
    run = ss.Run.from_rankings(rankings, "run")
    return float(ss.evaluate(run, dataset.qrels, ("nDCG@10",)).mean["nDCG@10"])


def query_microseconds(encoder: ss.Encoder, queries: Sequence[str], rounds: int = 5) -> float:
    """Return the median time of encoding one query."""
    times = []
    for query in [*queries[:WARM_UP], *list(queries) * rounds]:
        started = time.perf_counter_ns()
        encoder.encode_queries([query])
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times[WARM_UP:]) / 1000


def compare_on(collection: Path, most: int, folder: Path, repeat: int) -> dict[str, Any]:
    """Return the figures of all systems on a collection."""
    from untrained_splade import make_model

    dataset = load_dataset(str(collection))
    _, texts = texts_of(dataset)
    model = make_model(folder, texts)
    encoder = ss.Encoder.load(model)
    tokens = [len(found.split()) for found in texts[:most]]
    queries = dataset.judged_queries()
    vectors = encoder.encode_queries(list(queries.values()))
    figures: dict[str, Any] = {
        "documents": min(most, len(texts)),
        "mean_words": float(np.mean(tokens)),
        "query_microseconds": query_microseconds(encoder, list(queries.values())),
        "systems": {},
    }
    for system in SYSTEMS:
        out = folder / f"{system}.npz"
        speeds = [
            measured(system, model, collection, most, out)["documents_per_second"]
            for _ in range(repeat)
        ]
        content = load_npz(out).vectors
        figures["systems"][system] = {
            "documents_per_second": statistics.median(speeds),
            "ndcg": ndcg(out, dataset, vectors, list(queries)),
            "terms": content.nnz / len(content),
        }
        print(collection.name, system, figures["systems"][system], flush=True)
    return figures


def table(figures: dict[str, Any]) -> str:
    """Return the figures of a collection as a table."""
    base = figures["systems"]["theirs"]
    rows = [
        (
            SYSTEMS[system],
            f"{found['documents_per_second']:.1f}",
            f"{found['documents_per_second'] / base['documents_per_second']:.2f}",
            f"{found['terms']:.0f}",
            f"{found['ndcg']:.4f}",
            f"{found['ndcg'] - base['ndcg']:+.4f}",
        )
        for system, found in figures["systems"].items()
    ]
    header = ["", "documents per second", "times theirs", "terms", "nDCG@10", "difference"]
    return markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=["cranfield", "med"])
    parser.add_argument("--documents", type=int, default=100_000, help="at most, of each")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SPARSEARCH_CACHE"] = str(Path(folder) / "cache")
        for name in given.collections:
            place = Path(folder) / name
            place.mkdir()
            collection = data_folder() / name
            figures[name] = compare_on(collection, given.documents, place, given.repeat)
    sections = [
        f"## {name}\n\n{found['documents']} documents of {found['mean_words']:.0f} words. A query, "
        f"a tokenizer and a table: {found['query_microseconds']:.0f} µs.\n\n{table(found)}"
        for name, found in figures.items()
    ]
    body = (
        "The model is all-MiniLM-L6-v2's transformer (6 layers of 384, 30,522 terms) under an "
        "untrained head, the best 128 terms kept, queries weighted by idf "
        "(`benchmarks/untrained_splade.py`): no published model comes with this repository. "
        "sentence-transformers with its default settings, which cut a text after 512 tokens; "
        f"sparsearch reads all of it. Medians of {given.repeat}, all cores, each in a process of "
        "its own, loading and a warm-up not counted.\n\n" + "\n\n".join(sections)
    )
    facts = machine(["sparsearch", "sentence-transformers", "torch", "onnxruntime", "numpy"])
    options = [*given.collections, "--documents", given.documents, "--repeat", given.repeat]
    title, command = "Encoding speed on a CPU", " ".join(map(str, options))
    write_results("encoding-speed", title, body, facts, figures, options=command)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--encode"]:
        _, _, system, model, collection, most, out = sys.argv
        encode_here(system, model, collection, int(most), out)
    else:
        main()
