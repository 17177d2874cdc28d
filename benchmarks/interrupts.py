"""Imports that are interrupted at a moment drawn by chance: each must end with 130.

    python benchmarks/interrupts.py --seconds 300

Prints how many imports ended with which exit code, and what those that ended otherwise wrote. One
that had stored everything, and was interrupted as Python itself ended, counts as finished.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import sparsearch as ss

DOCUMENTS, SEGMENT, TERMS = 16_000, 1000, 500
LONGEST_WAIT = 0.1
"""Seconds, from the second segment on, within which the interrupt comes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    ended: Counter[int | str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "vectors.jsonl"
        write_vectors(source, chance)
        stop = time.monotonic() + arguments.seconds
        while time.monotonic() < stop:
            index = Path(folder) / "index"
            code, written = interrupted(index, source, chance)
            if code in (0, -signal.SIGINT) and len(ss.Index.open(index)) == DOCUMENTS:
                ended["finished"] += 1
                continue
            ended[code] += 1
            if code != 130:
                print(code, written[-1500:], flush=True)
    print(dict(ended))


def write_vectors(path: Path, chance: random.Random) -> None:
    """Write documents of two terms each."""
    with path.open("w") as file:
        for number in range(DOCUMENTS):
            vector = {f"{chance.randrange(TERMS)}a": 1.5, f"{chance.randrange(TERMS)}b": 2.0}
            row = {"id": f"d{number}", "contents": f"text {number}", "vector": vector}
            file.write(json.dumps(row) + "\n")


def interrupted(index: Path, source: Path, chance: random.Random) -> tuple[int, str]:
    """Start an import and interrupt it; return its exit code and what it wrote."""
    shutil.rmtree(index, ignore_errors=True)
    command = [sys.executable, "-m", "sparsearch", "import", str(index), str(source)]
    process = subprocess.Popen(
        [*command, "--segment-documents", str(SEGMENT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Of a shell's background jobs, interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while len(list(index.glob("segments/*/meta.json"))) < 2 and process.poll() is None:
        time.sleep(0.003)
    time.sleep(chance.random() * LONGEST_WAIT)
    process.send_signal(signal.SIGINT)
    _, written = process.communicate(timeout=60)
    return process.returncode, written


if __name__ == "__main__":
    main()
