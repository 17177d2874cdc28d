"""Peak memory of indexing as the corpus grows.

Documents are halves of two real abstracts and a made-up word now and then, so that vocabulary and
posting lists go on growing as they do in real text. Each size is a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sparsearch as ss
from common import data_folder, machine, markdown_table, write_results
from sparsearch.readers import open_source

SIZES = (100_000, 300_000, 1_000_000)


def documents(count: int) -> Iterator[dict[str, object]]:
    """Yield ``count`` documents made of the abstracts of acm-cr."""
    source = open_source(data_folder() / "acm-cr")
    texts = [str(record["text"]) for record in itertools.islice(source.records(), 20_000)]
    generator = random.Random(1)
    for number in range(count):
        first, second = generator.choice(texts), generator.choice(texts)
        words = first.split()[::2] + second.split()[1::2]
        words.append(f"w{generator.randrange(1 + number // 2)}")
        yield {"id": f"document-{number}", "text": " ".join(words), "part": number % 100}


def measure(count: int) -> dict[str, float]:
    """Index ``count`` documents; return peak memory, time and size."""
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        ss.Index.create(Path(folder) / "index", "bm25") as index,
    ):
        index.add(documents(count))
        index.optimize()
        facts = index.info()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "documents": count, "terms": facts.terms, "postings": facts.postings, "peak MB": peak,
        "disk MB": facts.bytes / 1e6, "seconds": time.perf_counter() - start,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int)
    size = parser.parse_args().size
    if size is not None:
        print(json.dumps(measure(size)))
        return
    figures = []
    for count in SIZES:
        command = [sys.executable, __file__, "--size", str(count)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures.append(json.loads(output))
        print(figures[-1], flush=True)
    header = ["documents", "distinct terms", "postings", "peak MB", "disk MB"]
    rows = [
        [f"{f['documents']:,}", f"{f['terms']:,}", f"{f['postings']:,}",
         f"{f['peak MB']:.0f}", f"{f['disk MB']:.0f}"]
        for f in figures
    ]  # fmt: skip
    body = (
        "Peak resident memory of the whole process, memory-mapped files and the generator's own"
        " texts (about 60 MB) included, while adding and optimising.\n\n"
        + markdown_table(header, rows)
    )
    facts = machine(["sparsearch", "numba", "numpy"])
    write_results("memory", "Memory while indexing", body, facts, figures)


if __name__ == "__main__":
    main()
