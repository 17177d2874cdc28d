"""The engine comparison, end to end, on a few hundred documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from sparsearch import SparseVectors
from sparsearch.vectors import read_bigann_csr, write_bigann_csr

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DOCUMENTS, QUERIES, TERMS = 400, 30, 200


def random_vectors(rng: np.random.Generator, rows: int, most: int) -> SparseVectors:
    return SparseVectors.from_dicts(
        {
            int(term): float(rng.gamma(2.0, 0.5)) + 0.01
            for term in rng.choice(TERMS, rng.integers(1, most), replace=False)
        }
        for _ in range(rows)
    )


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors") / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(1)
    write_bigann_csr(folder / "base_tiny.csr", random_vectors(rng, DOCUMENTS, 20), columns=TERMS)
    write_bigann_csr(folder / "queries.csr", random_vectors(rng, QUERIES, 9), columns=TERMS)
    return folder


def run(collection: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, str(BENCHMARKS / "engines.py"), "--dataset", str(collection), "--quick",
        "--point-seconds", "1", "--cache", str(folder / "cache"), "--output", str(folder / "out"),
        *more,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def results(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    done = run(collection, folder, "--engines", "ours,scipy", "--memory-limit", "8")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_point_has_its_figures(results: Path) -> None:
    report = json.loads((results / "out" / "engines-tiny.json").read_text())
    assert report["dataset"]["documents"] == DOCUMENTS
    assert report["dataset"]["queries"] == QUERIES
    assert set(report["engines"]) == {"ours", "scipy"}
    for engine in report["engines"].values():
        for case in engine["cases"]:
            assert case["failure"] is None
            assert case["built"]["seconds"] > 0
            assert case["built"]["disk_mb"] > 0
            assert case["serving_mb"] > 1
            for point in case["points"]:
                assert 0 < point["p50"] <= point["p99"]
                assert point["queries"] == QUERIES
                assert point["qps"]["1"] > 0


def test_exact_searches_find_the_truth(results: Path) -> None:
    report = json.loads((results / "out" / "engines-tiny.json").read_text())
    least = {"ours": 0.95, "scipy": 1.0}  # ours stores weights in 8 bits
    for name, engine in report["engines"].items():
        case = engine["cases"][0]
        exact = [point for point in case["points"] if point["parameters"] in case["exact"]]
        assert exact
        assert all(point["recall_10"] >= least[name] for point in exact)
        assert all(point["recall_100"] >= least[name] for point in exact)


def test_the_report_is_written(results: Path) -> None:
    text = (results / "out" / "engines-tiny.md").read_text()
    assert "| at least 0.90 |" in text
    assert "## Exact search" in text
    assert "Not measured" not in text


def test_a_second_run_measures_nothing_again(collection: Path, results: Path) -> None:
    path = results / "out" / "engines-tiny.json"
    before = json.loads(path.read_text())["engines"]
    done = run(collection, results, "--engines", "scipy")
    assert done.returncode == 0, done.stderr
    assert "known" in done.stdout
    assert json.loads(path.read_text())["engines"] == before


def test_a_step_that_fails_is_reported_and_the_rest_goes_on(
    collection: Path, tmp_path: Path
) -> None:
    done = run(collection, tmp_path, "--engines", "scipy", "--memory-limit", "0.001")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "engines-tiny.json").read_text())
    assert report["engines"]["scipy"]["cases"][0]["failure"]
    assert "## Not measured" in (tmp_path / "out" / "engines-tiny.md").read_text()


def test_unknown_engines_and_datasets_are_refused(collection: Path, tmp_path: Path) -> None:
    refused = run(collection, tmp_path, "--engines", "nothing")
    assert refused.returncode != 0
    assert "unknown engines nothing" in refused.stderr
    refused = run(Path("no-such-thing"), tmp_path, "--engines", "scipy")
    assert refused.returncode != 0
    assert "neither a folder nor a made-up dataset" in refused.stderr


def test_the_truth_does_not_depend_on_blocks_and_ties_count(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import engines_data

    documents = read_bigann_csr(collection / "base_tiny.csr")
    queries = read_bigann_csr(collection / "queries.csr")
    doubled = SparseVectors.concatenate([documents, documents])  # every score is tied
    monkeypatch.setattr(engines_data, "BLOCK", 97)
    truth = engines_data.exact_neighbours(doubled, queries)
    matrix = documents.to_scipy(TERMS).toarray().astype(float)
    expected = np.sort(queries.to_scipy(TERMS).toarray() @ np.tile(matrix.T, 2), axis=1)[:, ::-1]
    for query in range(QUERIES):
        kept = int((truth.ids[query] >= 0).sum())
        np.testing.assert_allclose(truth.scores[query][:kept], expected[query, :kept])
        assert kept > 9
        best = truth.ids[query][:9]  # four pairs and one half of the fifth
        other_half = (best[-1] + DOCUMENTS) % (2 * DOCUMENTS)
        assert truth.recall(query, np.append(best[:-1], other_half), 9) == 1.0
        assert truth.recall(query, best[:6], 9) == 6 / 9
