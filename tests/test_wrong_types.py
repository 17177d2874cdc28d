"""Arguments of the wrong kind, as a first try may give, end in an error that says what to do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import sparsearch as ss
from sparsearch.errors import InvalidInputError, InvalidQueryError
from sparsearch.evaluation import load_dataset
from sparsearch.files import as_path
from sparsearch.index import IndexConfig
from sparsearch.readers import open_source
from sparsearch.vectors import load_npz, read_bigann_csr


def test_vectors_that_are_dicts(tmp_path: Path) -> None:
    index = ss.Index.create(tmp_path / "i", None)
    for vectors in ([{"a": 1.0}], {"x": {"a": 1.0}}):
        with pytest.raises(InvalidInputError, match="from_dicts makes them of dicts"):
            index.add_vectors(["x"], vectors)  # type: ignore[arg-type]


def test_a_vocabulary_that_is_a_list() -> None:
    with pytest.raises(InvalidInputError, match=r"Vocabulary\(terms\) makes one"):
        ss.SparseVectors([0, 1], [0], [1.0], ["a"])  # type: ignore[arg-type]


def test_ids_to_delete_that_are_none(tmp_path: Path) -> None:
    index = ss.Index.create(tmp_path / "i", "bm25")
    with pytest.raises(InvalidInputError, match="ids must be strings, not None"):
        index.delete(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("queries", [None, iter(["a"]), 5, [1], [None]])
def test_queries_that_are_none(tmp_path: Path, queries: Any) -> None:
    index = ss.Index.create(tmp_path / "i", "bm25")
    with pytest.raises(InvalidQueryError, match="give a sequence of strings"):
        index.search_batch(queries)


@pytest.mark.parametrize("config", [{}, {"weight_bits": 8}, 8])
def test_a_config_that_is_none(tmp_path: Path, config: Any) -> None:
    with pytest.raises(InvalidInputError, match="not an IndexConfig"):
        ss.Index.create(tmp_path / "i", "bm25", config)
    with pytest.raises(InvalidInputError, match=r"weight_bits is 8\.0"):
        IndexConfig(weight_bits=8.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("run", "qrels"), [(None, 1), (1, None), ({"q": [("a", 1.0)]}, 1)])
def test_runs_and_qrels_that_are_none(run: Any, qrels: Any) -> None:
    known_run, known_qrels = ss.Run({"q": [("a", 1.0)]}), ss.Qrels({"q": {"a": 1}})
    with pytest.raises(InvalidInputError, match=r"makes one of a mapping"):
        ss.evaluate(run if run != 1 else known_run, qrels if qrels != 1 else known_qrels)
    for kind in (ss.Run, ss.Qrels):
        with pytest.raises(InvalidInputError, match="not a mapping of query ids"):
            kind(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="must be a list of names"):
        ss.evaluate(known_run, known_qrels, 5)  # type: ignore[arg-type]


def test_qrels_can_be_copied_and_pickled() -> None:
    qrels = ss.Qrels({"q": {"a": 1, "b": 0}})
    assert pickle.loads(pickle.dumps(qrels)) == copy.deepcopy(qrels) == qrels


@pytest.mark.parametrize("path", [None, 5, [1], b"folder", "", "a\0b"])
def test_paths_that_are_none(path: Any) -> None:
    for use in (
        lambda: ss.Index.create(path, "bm25"),
        lambda: ss.Index.open(path),
        lambda: ss.Run.read_trec(path),
        lambda: ss.Run({"q": [("a", 1.0)]}).write_trec(path),
        lambda: ss.Qrels.read(path),
        lambda: open_source(path),
        lambda: load_npz(path),
        lambda: read_bigann_csr(path),
        lambda: load_dataset(path),
        lambda: ss.Encoder.load(path) if path is not None else as_path(path),
    ):
        with pytest.raises(InvalidInputError, match=r"^path "):
            use()


@pytest.mark.parametrize("batches", [None, 5, [None], ["a"], "abc"])
def test_batches_of_vectors_that_are_none(tmp_path: Path, batches: Any) -> None:
    index = ss.Index.create(tmp_path / "i", None)
    with pytest.raises(InvalidInputError, match="VectorBatch"):
        index.add_vector_batches(batches)
    assert len(index) == 0


@pytest.mark.parametrize("rankings", [None, [], {"q": 5}, {"q": ("a",)}, {"q": ("abc", [1, 2, 3])}])
def test_rankings_that_are_none(rankings: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"rankings are|ranking of query 'q' is not a pair"):
        ss.Run.from_rankings(rankings)


@pytest.mark.parametrize("rows", [None, 5])
def test_rows_that_are_none(rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="not mappings of term to weight"):
        ss.SparseVectors.from_dicts(rows)
