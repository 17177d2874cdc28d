"""Running the command line: in this process, or as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_sources import PAPERS, write_jsonl
from typer.testing import CliRunner

from sparsearch.cli import app

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Outcome:
    """What a run of the program gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        # Depends on what other tests have compiled.
        self.err = "".join(
            line for line in err.splitlines(keepends=True) if not line.startswith("compiling")
        )

    @property
    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}--- err\n{self.err}"


@pytest.fixture(scope="session")
def run():
    """Run the program in this process; whatever happens, there must be no traceback."""
    runner = CliRunner()

    def invoke(*arguments: object, stdin: bytes | str | None = None) -> Outcome:
        result = runner.invoke(app, [str(a) for a in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture(scope="session")
def environment():
    """Return the environment in which the program runs as a process of its own."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="session")
def program(environment):
    """Run the program as a process of its own."""

    def execute(*arguments: object, stdin: bytes | None = None) -> Outcome:
        command = [sys.executable, "-m", "sparsearch", *(str(a) for a in arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=environment, timeout=120, check=False
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return execute


@pytest.fixture(scope="session")
def interrupt(environment):
    """Run the program until the index it writes has two segments, then send it a signal."""

    def execute(stop: signal.Signals, folder: Path, *arguments: object) -> Outcome:
        process = subprocess.Popen(
            [sys.executable, "-m", "sparsearch", *(str(a) for a in arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell that runs the tests in the background has them ignore interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 120
        while len(list(folder.glob("segments/*/meta.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
        assert process.returncode == (130 if stop == signal.SIGINT else -stop), err.decode()
        return Outcome(process.returncode, out.decode(), err.decode())

    return execute


@pytest.fixture(scope="session")
def papers_file(tmp_path_factory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("source") / "papers.jsonl", PAPERS)


@pytest.fixture(scope="session")
def papers(tmp_path_factory, run, papers_file) -> Path:
    """Return an index of four documents, of BM25; not to be written to."""
    folder = tmp_path_factory.mktemp("indexes") / "papers"
    assert run("index", folder, papers_file, "--encoder", "bm25").code == 0
    return folder


@pytest.fixture(scope="session")
def collection(tmp_path_factory) -> Path:
    """Return a test collection in BEIR layout over the four documents."""
    folder = tmp_path_factory.mktemp("collection")
    write_jsonl(folder / "corpus.jsonl", PAPERS)
    queries = [
        {"_id": "q1", "text": "sparse retrieval"},
        {"_id": "q2", "text": "posting lists"},
        {"_id": "q3", "text": "nothing known"},
        {"_id": "unjudged", "text": "dense"},
    ]
    write_jsonl(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir()
    rows = ["query-id\tcorpus-id\tscore", "q1\ta\t1", "q2\tc\t2", "q3\tb\t1"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder
