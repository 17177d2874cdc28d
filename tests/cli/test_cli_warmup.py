"""warmup."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from cli_vectors import made_up_vectors

from sparsearch.index import Index


def test_nothing_is_left_to_compile(run, environment, papers, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    outcome = run("warmup")
    assert outcome.code == 0, outcome
    assert list(temporary.iterdir()) == []
    first, second = outcome.out.splitlines()
    assert first.startswith("all kernels are compiled, in ")
    assert list(Path(second.removeprefix("kept in ")).glob("*.nbi"))

    vectors = made_up_vectors(200, seed=1)
    with Index.create(tmp_path / "vectors", encoder=None) as index:
        index.add_vectors([str(i) for i in range(len(vectors))], vectors)
    query = json.dumps({"1": 1.0, "2": 0.5})
    for arguments in (
        ["search", papers, "sparse vectors", "--explain"],
        ["search", tmp_path / "vectors", "--vector", query, "--recall", "0.9"],
        ["search", tmp_path / "vectors", "--vector", query, "--explain"],
        ["tune", tmp_path / "vectors"],
        ["delete", tmp_path / "vectors", "1"],
        ["optimize", tmp_path / "vectors"],
    ):
        command = [sys.executable, "-m", "sparsearch", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert b"compiling" not in done.stderr, arguments


def test_only_what_an_index_needs(environment, papers, tmp_path):
    """With nothing compiled before, no search or write of this index waits afterwards."""
    environment = {**environment, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    papers = shutil.copytree(papers, tmp_path / "papers")
    more = tmp_path / "more.jsonl"
    more.write_text('{"id": "more", "text": "Sparse vectors, more of them."}\n')
    for arguments in (
        ["warmup", papers],
        ["search", papers, "sparse vectors", "--explain"],
        ["search", papers, "sparse vectors", "--filter", "year > 1990", "-k", "100"],
        ["index", papers, more],
        ["optimize", papers],
        ["delete", papers, "more"],
    ):
        command = [sys.executable, "-m", "sparsearch", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert (b"compiling" in done.stderr) == (arguments[0] == "warmup"), arguments
    assert done.stdout.startswith(b"deleted 1 document")
    assert not list((tmp_path / "cache").rglob("layers.search_layers*")), "it has no layers"
    assert list((tmp_path / "cache").rglob("exact.guess_thresholds*")), "should it grow"
