"""Arguments of the wrong kind, as a first try may give, end in an error that says what to do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsearch as ss
from sparsearch.errors import (
    DocumentNotFoundError,
    EncoderError,
    EncoderUnavailableError,
    FileFormatError,
    FilterError,
    InvalidInputError,
    InvalidQueryError,
    StorageError,
    StorageUnavailableError,
)
from sparsearch.evaluation import load_dataset
from sparsearch.files import as_path
from sparsearch.index import IndexConfig
from sparsearch.readers import open_source
from sparsearch.training.examples import read_examples
from sparsearch.vectors import load_npz, read_bigann_csr, read_json_vectors


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


def test_files_that_are_cut_off_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    for read, line in (
        (lambda: list(read_json_vectors(path)), '{"id": "a", "vector": {"x": 1.5}}\n'),
        (lambda: read_examples(path), '{"query": "a", "positive": "b"}\n'),
    ):
        path.write_text(line + line[:20])
        with pytest.raises(FileFormatError, match=r"cut\.jsonl:2: .*may be cut off"):
            read()
        path.write_text(line + line[:20] + "\n")
        with pytest.raises(FileFormatError) as caught:
            read()
        assert "cut off" not in str(caught.value)


@pytest.mark.parametrize("rows", [None, 5])
def test_rows_that_are_none(rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="not mappings of term to weight"):
        ss.SparseVectors.from_dicts(rows)


class Own(ss.Encoder):
    """An encoder as a first try may write one: every call makes a vocabulary of its own."""

    def __init__(self, terms: int = 10, made: Any = None) -> None:
        self._vocabulary = ss.Vocabulary([f"w{i}" for i in range(terms)])
        self._made = made

    @property
    def vocabulary(self) -> ss.Vocabulary:
        return self._vocabulary

    @property
    def identity(self) -> dict[str, Any]:
        return {"type": "own"}

    def encode_documents(self, texts: Any) -> Any:
        return ss.SparseVectors.from_dicts([dict.fromkeys(text.split(), 1.0) for text in texts])

    def encode_queries(self, texts: Any, statistics: Any = None) -> Any:
        return self.encode_documents(texts) if self._made is None else self._made


def test_an_encoder_whose_vectors_have_a_vocabulary_of_their_own(tmp_path: Path) -> None:
    texts = {"a": "w5 w7", "b": "w9", "c": "unknown"}
    with ss.Index.create(tmp_path / "i", Own()) as index:
        index.add({"id": id, "text": text} for id, text in texts.items())
        for query, expected in (("w9", ["b"]), ("w7 w5", ["a"]), ("unknown", ["c"]), ("new", [])):
            assert [hit.id for hit in index.search(query)] == expected
        assert index.vectors().to_dicts()[:2] == [{"w5": 1.0, "w7": 1.0}, {"w9": 1.0}]
    with ss.Index.open(tmp_path / "i", Own()) as index:
        assert [hit.id for hit in index.search("unknown")] == ["c"]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (ss.SparseVectors.from_dicts([{"w1": 1.0}, {}]), "made 2 vectors of 1 texts"),
        (ss.SparseVectors([0, 1], [10], [1.0]), "the term id 10, while its vocabulary has 10"),
        ([{"w1": 1.0}], "not SparseVectors"),
    ],
)
def test_encoders_that_give_something_else(tmp_path: Path, made: Any, reason: str) -> None:
    with ss.Index.create(tmp_path / "i", Own(made=made)) as index:
        with pytest.raises(EncoderError, match=reason):
            index.search("w1")
        index._terms.encoder.encode_documents = lambda texts: made  # type: ignore[method-assign]
        with pytest.raises(EncoderError, match=reason):
            index.add([{"id": "a", "text": "w1"}])
        assert len(index) == 0


def test_an_index_is_cleaned_up_without_an_encoder_of_ones_own(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "i", Own()) as index:
        index.add({"id": str(i), "text": f"w{i}"} for i in range(3))
    with ss.Index.open(tmp_path / "i") as index:
        with pytest.raises(EncoderUnavailableError, match=r"Index.open\(path, encoder=\.\.\.\)"):
            index.search("w1")
        assert index.delete(["0"]) == 1
        index.optimize()
        assert index.info().deleted == 0


@pytest.mark.parametrize("encoder", ["bm25", "folder", 5])
def test_opening_with_what_is_no_encoder(tmp_path: Path, encoder: Any) -> None:
    ss.Index.create(tmp_path / "i", "bm25").close()
    with pytest.raises(InvalidInputError, match="an index remembers its own"):
        ss.Index.open(tmp_path / "i", encoder)


def test_queries_that_are_a_mapping_where_ids_mean_nothing(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "i", "bm25") as index:
        index.add([{"id": "1", "text": "river"}])
        queries: Any = {"q1": "river"}
        assert len(index.search_batch(queries)["q1"]) == 1
        for use in (index.top_k, index.encode_queries, index.expand, index.tune):
            with pytest.raises(InvalidQueryError, match="give a sequence of strings"):
                use(queries)


@pytest.mark.parametrize("encoder", ["bm25", "default"])
def test_a_lone_surrogate_in_a_query(tmp_path: Path, encoder: Any) -> None:
    with (
        ss.Index.create(tmp_path / "i", encoder) as index,
        pytest.raises(InvalidQueryError, match="query 1 holds a lone surrogate"),
    ):
        index.search_batch(["river", "river \udc80"])


def test_limits_fields_numbers_and_terms_that_are_none(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "i", "bm25") as index:
        index.add([{"id": str(i), "text": "river", "n": i} for i in range(3)])
        for limit in (-1, 0, True, 1.5, None, "x"):
            with pytest.raises(InvalidInputError, match="limit is"):
                index.facets(["n"], limit=limit)  # type: ignore[arg-type]
        (facet,) = index.facets(["n"], limit=np.int64(2))  # type: ignore[arg-type]
        assert len(facet.values) == 2
        with pytest.raises(InvalidInputError, match="fields are 5"):
            index.facets(5)  # type: ignore[arg-type]
        for use in (index.ids_of, index.documents_of):
            with pytest.raises(InvalidQueryError, match="numbers are None"):
                list(use(None))  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="no place in insertion order"):
            index.vectors("a")  # type: ignore[arg-type]
    for terms in ("abc", None, 5):
        with pytest.raises(InvalidInputError, match="not a sequence of strings"):
            ss.Vocabulary(terms)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="not a Bm25Config"):
        ss.Bm25Encoder({"k1": 1})  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="not a FieldMapping"):
        open_source(tmp_path, fields={"id": "doi"})  # type: ignore[arg-type]


def test_places_where_no_index_can_be(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    with ss.Index.create(outer, "bm25") as index:
        index.add([{"id": "1", "text": "river"}])
        for inside in (outer / "sub", outer / "segments" / "notes"):
            with pytest.raises(InvalidInputError, match="lies in the index"):
                ss.Index.create(inside, "bm25")
    with pytest.raises(StorageUnavailableError, match=r"long|cannot be made"):
        ss.Index.create(tmp_path / ("x" * 300), "bm25")
    with pytest.raises(StorageError):
        ss.Index.open(tmp_path / ("x" * 300))
    if Path("/proc/self").exists():
        with pytest.raises(StorageUnavailableError):
            ss.Index.create("/proc/x", "bm25")


def test_a_document_that_is_stored_in_passages_is_said_to_be(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "i", "bm25", IndexConfig(passage_length=50)) as index:
        index.add([{"id": "a", "text": "A river. " * 30}])
        for use in (index.get, index.vector, lambda id: index.explain("river", id)):
            with pytest.raises(DocumentNotFoundError, match=r"stored in passages; .* 'a#1'"):
                use("a")
            with pytest.raises(DocumentNotFoundError, match="no document has the id 'b'"):
                use("b")


def test_an_unknown_field_among_thousands(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "i", "bm25") as index:
        index.add([{"id": "1", "text": "river", **{f"f{i:04}": i for i in range(5000)}}])
        with pytest.raises(FilterError, match="f0019 and 4,980 more") as caught:
            index.count({"unknown": 1})
        assert len(str(caught.value)) < 400
