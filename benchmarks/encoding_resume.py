"""Encoding that is killed and resumed: the same bytes as unbroken, and memory that does not grow.

Documents are pieces of six words of the docstrings of Python's standard library; the model is the
learned part of the default encoder. `sparsearch encode` runs as a process of its own: unbroken with
growing numbers of documents, and once more with all of them, killed (SIGKILL) at random moments.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import machine, markdown_table, write_results
from sparsearch.demo import standard_library_documents
from sparsearch.encoders.default import DEFAULT_FOLDER
from sparsearch.encoders.hybrid_folder import HYBRID_NAME

WORDS = 6
LARGEST = 100_000
SIZES = (10_000, 30_000, LARGEST)


def pieces() -> Iterator[str]:
    """Yield pieces of docstrings, each word in three of them."""
    words = [word for d in standard_library_documents() for word in str(d["text"]).split()]
    for start in range(0, len(words) - WORDS, WORDS // 3):
        yield " ".join(words[start : start + WORDS])


def write_corpus(path: Path, count: int) -> None:
    """Write so many documents as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(itertools.islice(pieces(), count)):
            file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
    if number + 1 < count:
        sys.exit(f"the standard library of this Python has {number + 1} pieces only")


def start(corpus: Path, out: Path, model: Path) -> subprocess.Popen[bytes]:
    """Begin encoding, or go on with it."""
    command = [sys.executable, "-m", "sparsearch", "encode", str(corpus), str(out)]
    return subprocess.Popen([*command, "--encoder", str(model)], stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process that must succeed; return its peak memory in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"encoding ended with status {status}")
    process.returncode = 0
    return usage.ru_maxrss / 1024


def encode(corpus: Path, out: Path, model: Path) -> dict[str, float]:
    """Encode unbroken; return time and peak memory."""
    began = time.monotonic()
    peak = finish(start(corpus, out, model))
    return {"seconds": time.monotonic() - began, "peak MB": peak}


def encode_with_kills(
    corpus: Path, out: Path, model: Path, kills: int, seconds: float
) -> dict[str, Any]:
    """Encode, killing the process so many times; return what was stored at each kill."""
    moments = random.Random(1)
    stored: list[int] = []
    while len(stored) < kills:
        process = start(corpus, out, model)
        time.sleep(moments.uniform(0.3, 1.3) * seconds / (kills + 1))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break  # it was done before
        state = out.with_name(f"{out.name}.partial") / "progress.json"
        stored.append(json.loads(state.read_bytes())["texts"] if state.exists() else 0)
        print(f"killed with {stored[-1]:,} stored", flush=True)
    if not out.exists():
        finish(start(corpus, out, model))
    return {"stored at each kill": stored}


def digest(out: Path) -> str:
    """Return a digest of all files of an output."""
    total = hashlib.sha256()
    for file in sorted(out.iterdir()):
        total.update(f"{file.name}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def measure(folder: Path, sizes: tuple[int, ...], kills: int) -> dict[str, Any]:
    """Return all figures."""
    model = folder / "model"
    # Without what makes it a hybrid: words depend on the collection and cannot be encoded alone.
    shutil.copytree(DEFAULT_FOLDER, model, ignore=shutil.ignore_patterns(HYBRID_NAME))
    unbroken = []
    for size in sizes:
        corpus, out = folder / f"{size}.jsonl", folder / f"vectors-{size}"
        write_corpus(corpus, size)
        unbroken.append({"documents": size, **encode(corpus, out, model)})
        print(unbroken[-1], flush=True)
    broken = folder / "broken"
    figures = encode_with_kills(corpus, broken, model, kills, unbroken[-1]["seconds"])
    figures["identical"] = digest(broken) == digest(out)
    figures["files"] = len(list(out.iterdir()))
    return {"unbroken": unbroken, "broken": figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=LARGEST)
    parser.add_argument("--kills", type=int, default=6)
    given = parser.parse_args()
    sizes = (*(size for size in SIZES if size < given.documents), given.documents)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), sizes, given.kills)
    unbroken, broken = figures["unbroken"], figures["broken"]
    rows = [
        (f"{f['documents']:,}", f"{f['documents'] / f['seconds']:,.0f}", f"{f['peak MB']:.0f}")
        for f in unbroken
    ]
    stored = ", ".join(f"{count:,}" for count in broken["stored at each kill"])
    same = "the same bytes" if broken["identical"] else "OTHER BYTES"
    body = (
        f"Documents of {WORDS} words; the learned part of the default encoder. Peak is the "
        "resident memory of the whole process, the model included; documents a second include "
        "its start.\n\n"
        + markdown_table(["documents", "documents a second", "peak MB"], rows)
        + f"\n\nKilled {len(broken['stored at each kill'])} times, with {stored} of "
        f"{given.documents:,} documents stored, and resumed: {same} in all {broken['files']} "
        "files as unbroken."
    )
    facts = machine(["sparsearch", "onnxruntime", "tokenizers", "numpy"])
    write_results("encoding-resume", "Encoding, killed and resumed", body, facts, figures)
    if not broken["identical"]:
        sys.exit("the files differ")


if __name__ == "__main__":
    main()
