"""Bad documents: each refused by name, none taking anything that was stored with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from sparsearch import Encoder, Index, IndexConfig, SparseVectors, Vocabulary
from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    EncoderError,
    EncoderUnavailableError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    VocabularyMismatchError,
)
from sparsearch.storage import SourceProgress
from sparsearch.vectors import VectorBatch


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    config = IndexConfig(segment_documents=3)
    with Index.create(tmp_path / "index", "bm25", config=config) as index:
        index.add([{"id": "kept", "text": "kept before"}])
        yield index
        assert index.get("kept").text == "kept before"
        assert index.verify() == []
        ids = [document.id for document in index.documents()]
    with Index.open(tmp_path / "index") as again:
        assert [document.id for document in again.documents()] == ids


DEEP: Any = 1
for _ in range(150):
    DEEP = [DEEP]
CYCLE: list[Any] = []
CYCLE.append(CYCLE)

BAD = [
    ({"text": "x"}, "no id"),
    ({"id": None, "text": "x"}, "must be a string, not NoneType"),
    ({"id": 5, "text": "x"}, "must be a string, not int"),
    ({"id": b"x", "text": "x"}, "must be a string, not bytes"),
    ({"id": "", "text": "x"}, "id is empty"),
    ({"id": "\ud800", "text": "x"}, "id holds a lone surrogate"),
    ({"id": "x"}, "neither text nor title"),
    ({"id": "x", "text": None}, "neither text nor title"),
    ({"id": "x", "text": 5}, "text must be a string, not int"),
    ({"id": "x", "text": ["a"]}, "text must be a string, not list"),
    ({"id": "x", "title": b"t", "text": "x"}, "title must be a string, not bytes"),
    ({"id": "x", "text": "a\udfff"}, "field 'text' cannot be stored"),
    ({"id": "x", "text": "a", "m": {1, 2}}, "field 'm' has a value of type set"),
    ({"id": "x", "text": "a", "m": b"b"}, "field 'm' has a value of type bytes"),
    ({"id": "x", "text": "a", "m": (1, 2)}, "field 'm' has a value of type tuple"),
    ({"id": "x", "text": "a", "m": np.int64(3)}, "field 'm' has a value of type int64"),
    ({"id": "x", "text": "a", "m": object()}, "field 'm' has a value of type object"),
    ({"id": "x", "text": "a", "m": float("nan")}, "field 'm' is nan"),
    ({"id": "x", "text": "a", "m": [1, {"y": float("inf")}]}, "field 'm' is inf"),
    ({"id": "x", "text": "a", "m": 2**63}, "beyond 64 bits"),
    ({"id": "x", "text": "a", "m": [-(2**63) - 1]}, "beyond 64 bits"),
    ({"id": "x", "text": "a", "m": DEEP}, "100 levels deep"),
    ({"id": "x", "text": "a", "m": CYCLE}, "100 levels deep"),
    ({"id": "x", "text": "a", "m": "\ud83d"}, "field 'm' cannot be stored"),
    ({"id": "x", "text": "a", "\ud83d": 1}, "holds a lone surrogate"),
    ({"id": "x", "text": "a", "m": {"\ud83d": 1}}, "field 'm' cannot be stored"),
    ({"id": "x", "text": "a", "m": {1: 1}}, "key that is not a string"),
    ({"id": "x", "text": "a", 5: 1}, "field name 5 must be a string"),
    ({"id": "x", "text": "a", None: 1}, "field name None must be a string"),
    ("just text", "must be a mapping, not str"),
    (None, "must be a mapping, not NoneType"),
    (["id", "x"], "must be a mapping, not list"),
]


@pytest.mark.parametrize(("document", "reason"), BAD)
@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_bad_document_is_named_and_those_before_it_are_stored(
    index: Index, document: Any, reason: str, before: int
) -> None:
    good = [{"id": f"good{i}", "text": "fine"} for i in range(before)]
    after = {"id": "after", "text": "never read"}
    with pytest.raises(InvalidDocumentError, match=reason) as caught:
        index.add([*good, document, after])
    assert caught.value.position == before
    assert [d.id for d in index.documents()] == ["kept", *(d["id"] for d in good)]
    assert len(index.search("fine", k=99)) == before
    assert index.search("never") == []


@pytest.mark.parametrize("documents", [None, 5, object()])
def test_what_is_no_iterable(index: Index, documents: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be an iterable"):
        index.add(documents)


def test_one_document_given_instead_of_a_list(index: Index) -> None:
    with pytest.raises(InvalidDocumentError, match="must be a mapping, not str"):
        index.add({"id": "x", "text": "y"})  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 2, 3, 7])
def test_an_id_twice_in_one_call(index: Index, at: int) -> None:
    documents = [{"id": f"d{i}", "text": "fine"} for i in range(8)]
    documents.insert(at + 1, {"id": f"d{at}", "text": "again"})
    with pytest.raises(DuplicateIdError, match=f"document {at + 1} .*upsert") as caught:
        index.add(documents)
    assert caught.value.document_id == f"d{at}"
    assert [d.id for d in index.documents()] == ["kept", *(f"d{i}" for i in range(at + 1))]
    assert index.search("again") == []


def test_taken_ids_are_left_out_if_the_caller_takes_note(index: Index) -> None:
    errors: list[DuplicateIdError] = []
    texts = [("a", "1"), ("kept", "2"), ("b", "3"), ("a", "4"), ("b", "5"), ("c", "6"), ("c", "7")]
    documents = [{"id": i, "text": text} for i, text in texts]
    assert index.add(documents, source="feed", on_taken=errors.append) == 3
    assert [(error.position, error.document_id) for error in errors] == [
        (1, "kept"),
        (3, "a"),
        (4, "b"),
        (6, "c"),
    ]
    assert [d.text for d in index.documents()] == ["kept before", "1", "3", "6"]
    assert index.source_progress("feed") == SourceProgress(7, "c", finished=True)


def test_a_caller_may_still_refuse_a_taken_id(index: Index) -> None:
    def only_one(error: DuplicateIdError) -> None:
        if error.position > 1:
            raise RuntimeError("two are too many")

    documents = [{"id": i, "text": str(n)} for n, i in enumerate("aabbc")]
    with pytest.raises(RuntimeError, match="too many"):
        index.add(documents, source="feed", on_taken=only_one)
    assert [d.id for d in index.documents()] == ["kept", "a", "b"]
    assert index.source_progress("feed") == SourceProgress(3, "b", finished=False)


def test_an_id_that_the_index_has(index: Index) -> None:
    with pytest.raises(DuplicateIdError, match="document 1 "):
        index.add([{"id": "new", "text": "x"}, {"id": "kept", "text": "other"}])
    assert "new" in index
    index.delete(["kept"])
    index.add([{"id": "kept", "text": "kept before"}])


def test_upsert_replaces_and_counts_as_the_latest(index: Index) -> None:
    index.add([{"id": "a", "text": "x"}, {"id": "b", "text": "x"}])
    assert index.upsert([{"id": "a", "text": "x y"}, {"id": "c", "text": "x"}]) == 2
    many = [{"id": "c", "text": f"x {i}"} for i in range(7)]
    assert index.upsert(many) == 7
    assert [d.id for d in index.documents()] == ["kept", "b", "a", "c"]
    assert index.get("c").text == "x 6"
    assert len(index.search("x", k=99)) == 3


def test_a_failed_upsert_keeps_the_document_it_would_have_replaced(index: Index) -> None:
    with pytest.raises(InvalidDocumentError):
        index.upsert([{"id": "new", "text": "x"}, {"id": "kept", "text": 5}])
    assert [d.id for d in index.documents()] == ["kept", "new"]


def test_what_comes_back_is_what_was_given(index: Index) -> None:
    document = {
        "id": "Ünïcødé \x00 \n 日本",
        "title": "",
        "text": "a\u2028b\x00c \U0001f600",
        "n": [1, 2.5, None, True, "x", [], {}],
        "deep": {"a": {"b": [{"c": -(2**63)}]}},
        "float": 1e300,
        "": "an empty name",
        "null": None,
        "and": "a name that filters use",
    }
    index.add([MappingProxyType(document)])
    (hit,) = index.search("b c")
    stored = index.get(document["id"])  # type: ignore[arg-type]
    for found in (hit, stored):
        assert (found.id, found.title, found.text) == tuple(
            document[name] for name in ("id", "title", "text")
        )
        given = {k: v for k, v in document.items() if k not in ("id", "title", "text")}
        assert json.dumps(dict(found.metadata)) == json.dumps(given)


def test_empty_texts_are_stored_and_never_match(index: Index) -> None:
    empty = ["", " ", "\n\t", "!?", "\x00", "\u200b"]
    index.add([{"id": f"e{i}", "text": text} for i, text in enumerate(empty)])
    assert [index.get(f"e{i}").text for i in range(len(empty))] == empty
    assert [hit.id for hit in index.search("kept before", k=99)] == ["kept"]
    assert index.search("") == []
    assert index.search("!?") == []


def test_ids_of_a_megabyte(index: Index) -> None:
    long = "ü" * 2**20
    index.add([{"id": long, "text": "long"}, {"id": long + "x", "text": "longer"}])
    assert index.search("long")[0].id == long
    assert long in index
    assert index.delete([long]) == 1
    assert long not in index
    assert long + "x" in index
    with pytest.raises(DuplicateIdError) as caught:
        index.add([{"id": long + "x", "text": ""}])
    assert len(str(caught.value)) < 300


def test_a_text_of_many_megabytes(index: Index) -> None:
    text = "word " * 2_000_000 + "needle"
    index.add([{"id": "big", "text": text}])
    assert index.get("big").text == text
    assert [hit.id for hit in index.search("needle")] == ["big"]


def test_a_list_that_the_caller_fills_anew_for_each_document(index: Index) -> None:
    tags: list[str] = []

    def documents() -> Iterator[Mapping[str, Any]]:
        for i in range(4):
            tags[:] = [f"t{i}"]
            yield {"id": str(i), "text": "x", "tags": tags}

    index.add(documents())
    for i in range(4):
        (hit,) = index.search("x", filter={"tags": f"t{i}"})
        assert (hit.id, hit.metadata) == (str(i), {"tags": [f"t{i}"]})


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("source", [None, "feed"])
def test_an_iterator_that_fails(index: Index, count: int, source: str | None) -> None:
    def documents() -> Iterator[Mapping[str, Any]]:
        for i in range(count):
            yield {"id": f"d{i}", "text": "fine"}
        raise ConnectionError("the feed broke off")

    with pytest.raises(ConnectionError, match="broke off"):
        index.add(documents(), source=source)
    assert [d.id for d in index.documents()] == ["kept", *(f"d{i}" for i in range(count))]
    if source:
        progress = index.source_progress(source)
        assert progress is not None
        assert (progress.consumed, progress.finished) == (count, False)
        rest = [{"id": f"d{i}", "text": "fine"} for i in range(count, count + 4)]
        assert index.add(rest, source=source) == 4
        progress = index.source_progress(source)
        assert progress is not None
        assert (progress.consumed, progress.last_id) == (count + 4, f"d{count + 3}")
        assert progress.finished


@pytest.mark.parametrize("source", ["", "\ud800", 5, ["x"]])
def test_what_is_no_name_of_a_source(index: Index, source: Any) -> None:
    for call in (index.add, index.upsert):
        with pytest.raises(InvalidInputError, match="source's name"):
            call([], source=source)
    with pytest.raises(InvalidInputError, match="source's name"):
        index.source_progress(source)


def test_unknown_ids(index: Index) -> None:
    for unknown in ("nope", "", "\ud800", "kept\x00"):
        assert unknown not in index
        for call in (index.get, lambda i: index.explain("kept", i), lambda i: index.delete([i])):
            with pytest.raises(DocumentNotFoundError, match="no document has the id"):
                call(unknown)
        assert index.delete([unknown], missing_ok=True) == 0
    with pytest.raises(DocumentNotFoundError, match="and 2 more"):
        index.delete(["kept", "a", "b", "c"])
    with pytest.raises(InvalidInputError, match="must be a string"):
        index.delete(["kept", 5])  # type: ignore[list-item]
    assert 5 not in index
    with pytest.raises(DocumentNotFoundError):
        index.get(5)  # type: ignore[arg-type]


def test_vectors_into_an_index_of_text(index: Index) -> None:
    with pytest.raises(VocabularyMismatchError, match="add text"):
        index.add_vectors(["v"], SparseVectors.from_dicts([{"kept": 1.0}]))


@pytest.fixture
def vectors(tmp_path: Path) -> Iterator[Index]:
    config = IndexConfig(segment_documents=3)
    with Index.create(tmp_path / "vectors", None, config) as index:
        index.add_vectors(["kept"], SparseVectors.from_dicts([{"a": 1.0}]))
        yield index
        assert [hit.id for hit in index.search({"a": 1.0}, k=99)] == ["kept"]
        assert index.verify() == []


def test_text_into_an_index_of_vectors(vectors: Index) -> None:
    generation = vectors.info().generation
    with pytest.raises(EncoderUnavailableError, match="without an encoder"):
        vectors.add([{"id": "x", "text": "y"}])
    with pytest.raises(EncoderUnavailableError, match="without an encoder"):
        vectors.search("y")
    assert vectors.info().generation == generation


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e39])
def test_weights_that_are_no_numbers_never_become_vectors(weight: float) -> None:
    with pytest.raises(InvalidVectorError, match="row 1"):
        SparseVectors.from_dicts([{"a": 1.0}, {"a": weight}])


def batch_of(*ids: str, rows: list[dict[Any, float]] | None = None) -> VectorBatch:
    rows = [{f"of {i}": 1.0, "all": 2.0} for i in ids] if rows is None else rows
    return VectorBatch(ids, [""] * len(ids), SparseVectors.from_dicts(rows))


def test_batches_of_vectors_are_one_stream(vectors: Index) -> None:
    before = [d.id for d in vectors.documents()]
    batches = [batch_of("p", "q"), batch_of("r", rows=[{}]), batch_of("s", "t", "u", "v", "w")]
    assert vectors.add_vector_batches(iter(batches), source="feed") == 8
    assert [d.id for d in vectors.documents()] == [*before, *"pqrstuvw"]
    assert vectors.vector("u").to_dicts() == [{"of u": 1.0, "all": 2.0}]
    assert vectors.vector("r").nnz == 0
    assert vectors.source_progress("feed") == SourceProgress(8, "w", finished=True)


def test_the_first_batch_of_vectors_decides_what_terms_are_known_by(tmp_path: Path) -> None:
    with Index.create(tmp_path / "new", encoder=None) as index:
        by_id = batch_of("c", rows=[{7: 1.0}])
        with pytest.raises(VocabularyMismatchError, match="as strings, the vectors give ids"):
            index.add_vector_batches([batch_of("a", "b"), by_id], source="feed")
        assert [d.id for d in index.documents()] == ["a", "b"]
        assert index.source_progress("feed") == SourceProgress(2, "b", finished=False)
        assert [hit.id for hit in index.search({"of b": 1.0})] == ["b"]


def test_a_bad_batch_of_vectors_is_named_by_its_place_among_all(vectors: Index) -> None:
    before = len(vectors)
    negative = batch_of("c", "d", rows=[{"x": 1.0}, {"x": -1.0}])
    with pytest.raises(InvalidVectorError, match="negative") as caught:
        vectors.add_vector_batches([batch_of("p", "q"), negative])
    assert caught.value.row == 3
    wrong = VectorBatch(["e"], [""], SparseVectors.from_dicts([{"x": 1.0}]), [{"n": float("nan")}])
    with pytest.raises(InvalidDocumentError, match="'n'") as refused:
        vectors.add_vector_batches([batch_of("r"), batch_of("s"), wrong])
    assert (refused.value.position, refused.value.document_id) == (2, "e")
    with pytest.raises(DuplicateIdError) as taken:
        vectors.add_vector_batches([batch_of("t"), batch_of("u", "r", "v")])
    assert (taken.value.position, taken.value.document_id) == (2, "r")
    assert [d.id for d in vectors.documents()][before:] == [*"pqrstu"]


def test_negative_weights(vectors: Index) -> None:
    rows = SparseVectors.from_dicts([{"b": 1.0}, {"b": 1.0, "c": -0.5}])
    with pytest.raises(InvalidVectorError, match=r"row 1: term 'c' has the negative weight -0\.5"):
        vectors.add_vectors(["x", "y"], rows)
    assert len(vectors) == 1


def test_zero_weights_are_as_if_they_were_not_there(vectors: Index) -> None:
    vectors.add_vectors(["z"], SparseVectors.from_dicts([{"a": 0.0, "b": -0.0, "c": 2.0}]))
    assert vectors.vectors(1).to_dicts() == [{"c": 2.0}]


@pytest.mark.parametrize(
    ("ids", "documents", "reason"),
    [
        (["x"], None, "1 ids were given for 2 vectors"),
        ("xy", None, "ids are 'xy', not a sequence"),
        (iter("xy"), None, "ids are .* not a sequence"),
        (["x", "y"], iter([{}, {}]), "documents are .* not a sequence"),
        (["x", "y"], [{}], "1 documents were given for 2 vectors"),
        (["x", 5], None, "document 1 .*must be a string, not int"),
        (["x", ""], None, "document 1: the id is empty"),
        (["x", "y"], [{}, 7], "document 1 .*must be a mapping, not int"),
        (["x", "y"], [{}, {"m": {1}}], "document 1 .*'m' has a value of type set"),
        (["x", "y"], [{}, {"text": 5}], "document 1 .*text must be a string"),
    ],
)
def test_malformed_vector_documents(vectors: Index, ids: Any, documents: Any, reason: str) -> None:
    rows = SparseVectors.from_dicts([{"b": 1.0}, {"b": 2.0}])
    with pytest.raises(InvalidInputError, match=reason):
        vectors.add_vectors(ids, rows, documents)
    assert len(vectors) == 1


def test_documents_stored_with_vectors(vectors: Index) -> None:
    rows = SparseVectors.from_dicts([{"b": 1.0}, {"b": 2.0}])
    documents = [{"id": "ignored", "title": "t", "year": 3}, {}]
    vectors.add_vectors(["x", "y"], rows, documents)
    assert [(hit.id, hit.title, hit.metadata) for hit in vectors.search({"b": 1.0})] == [
        ("y", None, {}),
        ("x", "t", {"year": 3}),
    ]


class Sloppy(Encoder):
    """An encoder that does not keep its promises, in a way that can be chosen."""

    identity = {"type": "sloppy"}  # noqa: RUF012
    vocabulary = Vocabulary()

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.vocabulary = Vocabulary(["a", "b"])

    def encode_documents(self, texts: Any) -> SparseVectors:
        if "bad" in texts and self.fault == "raises":
            raise ValueError("out of memory, or so")
        rows = [
            {"a": -1.0 if text == "bad" and self.fault == "negative" else 1.0} for text in texts
        ]
        if "bad" in texts and self.fault == "too few":
            rows.pop()
        return SparseVectors.from_dicts(rows, self.vocabulary)

    def encode_queries(self, texts: Any, statistics: Any = None) -> SparseVectors:
        return SparseVectors.from_dicts([{"a": 1.0} for _ in texts], self.vocabulary)


@pytest.mark.parametrize("fault", ["raises", "negative", "too few"])
def test_an_encoder_that_fails_loses_nothing_of_earlier_batches(tmp_path: Path, fault: str) -> None:
    config = IndexConfig(segment_documents=3)
    with Index.create(tmp_path / "index", Sloppy(fault), config) as index:
        documents = [{"id": str(i), "text": "good"} for i in range(7)]
        error = ValueError if fault == "raises" else EncoderError
        with pytest.raises(error):
            index.add([*documents, {"id": "bad", "text": "bad"}, {"id": "x", "text": "good"}])
        assert [d.id for d in index.documents()] == [str(i) for i in range(6)]
        assert len(index.search("good", k=99)) == 6
        assert index.verify() == []
    with Index.open(tmp_path / "index") as index, pytest.raises(EncoderUnavailableError):
        index.search("good")
    with Index.open(tmp_path / "index", Sloppy(fault)) as index:
        assert len(index.search("good", k=99)) == 6
    other = Sloppy(fault)
    other.vocabulary = Vocabulary(["b", "a"])
    with pytest.raises(VocabularyMismatchError):
        Index.open(tmp_path / "index", other)


class Counting(Encoder):
    """An encoder that remembers how many documents it was given at a time."""

    identity = {"type": "counting"}  # noqa: RUF012
    vocabulary = Vocabulary(["a"])

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_documents(self, texts: Any) -> SparseVectors:
        self.batches.append(len(texts))
        return SparseVectors.from_dicts([{"a": 1.0} for _ in texts], self.vocabulary)

    def encode_queries(self, texts: Any, statistics: Any = None) -> SparseVectors:
        return SparseVectors.from_dicts([{"a": 1.0} for _ in texts], self.vocabulary)


def test_a_model_gets_few_documents_at_a_time_and_is_committed_often(tmp_path: Path) -> None:
    model = Counting()
    documents = [{"id": str(i), "text": "t"} for i in range(600)]
    with Index.create(tmp_path / "model", model) as index:
        assert index.config.segment_documents == 5_000
        index.add(documents)
        index.upsert(documents)
        assert model.batches == [512, 88, 512, 88]
    with Index.create(tmp_path / "narrow", model, IndexConfig(weight_bits=8)) as index:
        assert index.config.segment_documents == 5_000
    with Index.create(tmp_path / "given", model, IndexConfig(segment_documents=9)) as index:
        assert index.config.segment_documents == 9
    with Index.create(tmp_path / "vectors", None, IndexConfig(weight_bits=8)) as index:
        assert index.config.segment_documents == 1_000_000
    with Index.create(tmp_path / "words", "bm25") as index:
        assert index.config.segment_documents == 50_000


class Learning(Counting):
    """Its vocabulary grows with what it is given, as that of BM25 does."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary = Vocabulary()

    def encode_documents(self, texts: Any) -> SparseVectors:
        rows = [{text: 1.0} for text in texts]
        return SparseVectors.from_dicts(rows, self.vocabulary, extend=True)


def test_an_encoder_that_was_given_is_not_lost_with_a_write_that_failed(tmp_path: Path) -> None:
    def interrupted() -> Iterator[dict[str, str]]:
        for number in range(600):
            yield {"id": f"lost{number}", "text": f"lost{number}"}
        raise KeyboardInterrupt

    with Index.create(tmp_path / "i", Learning(), IndexConfig(segment_documents=10_000)) as index:
        index.add([{"id": "1", "text": "a"}])
        with pytest.raises(KeyboardInterrupt):
            index.add(interrupted())
        assert [hit.id for hit in index.search("a")] == ["1"]
        index.add([{"id": "2", "text": "b"}, {"id": "3", "text": "lost7"}])
        assert index.verify() == []
        assert index.vector("3").to_dicts() == [{"lost7": 1.0}]
    with Index.open(tmp_path / "i") as again:
        assert [hit.id for hit in again.search({"b": 1.0})] == ["2"]


def test_terms_of_a_failed_write_do_not_pass_for_those_of_others(tmp_path: Path) -> None:
    def interrupted() -> Iterator[dict[str, str]]:
        yield from ({"id": f"lost{number}", "text": "lost"} for number in range(600))
        raise KeyboardInterrupt

    config = IndexConfig(segment_documents=10_000)
    with Index.create(tmp_path / "i", Learning(), config) as index:
        index.add([{"id": "1", "text": "a"}])
        with pytest.raises(KeyboardInterrupt):
            index.add(interrupted())
        assert [hit.id for hit in index.search("a")] == ["1"]
        with Index.open(tmp_path / "i", Learning()) as other:
            other.add([{"id": "2", "text": "other"}])  # as many new terms, with the same ids
        index.refresh()
        with pytest.raises(VocabularyMismatchError):
            index.search("a")


def test_explaining_a_document_without_terms(tmp_path: Path) -> None:
    """Terms of the query were once looked up in the wrong vocabulary."""
    with Index.create(tmp_path / "i", "bm25") as index:
        index.add([{"id": "a", "text": ""}])
        explained = index.explain({"cat": 1.0}, "a")
        assert (explained.score, explained.terms) == (0.0, ())


def test_vectors_are_refused_where_the_encoder_is_gone(tmp_path: Path) -> None:
    Index.create(tmp_path / "i", Counting()).close()
    vectors = SparseVectors.from_dicts([{"a": 1.0}])
    with (
        Index.open(tmp_path / "i") as index,
        pytest.raises(VocabularyMismatchError, match="makes its vectors from text"),
    ):
        index.add_vectors(["1"], vectors)


def test_whether_the_very_document_is_stored(tmp_path: Path) -> None:
    given = {"id": "a", "title": "t", "text": "x", "n": 1, "tags": ["b"]}
    with Index.create(tmp_path / "index", "bm25") as index:
        assert not index.holds(given)
        index.add([given])
        assert index.holds(given)
        for other in (
            {"id": "b"},
            {"text": "y"},
            {"n": 1.0},
            {"n": None},
            {"more": 2},
            {"tags": []},
        ):
            assert not index.holds({**given, **other})
        with pytest.raises(InvalidDocumentError):
            index.holds({"id": "a"})


def test_what_metadata_holds_can_be_given_back(tmp_path: Path) -> None:
    given = {"id": "a", "text": "x", "year": 1995, "tags": ["b"]}
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add([given])
        read = index.get("a")
        index.upsert([{"id": read.id, "text": read.text, "metadata": dict(read.metadata)}])
        assert index.get("a") == read
        assert index.search("x", filter={"year": 1995})[0].id == "a"
        index.upsert([{"id": "b", "text": "y", "metadata": "a word"}])
        assert index.get("b").metadata == {"metadata": "a word"}


@pytest.mark.parametrize("name", ["year", "id", "text"])
def test_metadata_with_the_name_of_another_field(tmp_path: Path, name: str) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        with pytest.raises(InvalidDocumentError, match=f"{name}.*rename one"):
            index.add([{"id": "a", "text": "x", "year": 1, "metadata": {name: 2}}])
        assert len(index) == 0


def test_vectors_are_gathered_for_longer_than_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsearch.index.writer.MAX_POSTINGS", 10)
    monkeypatch.setattr("sparsearch.index.writer.GATHERED_POSTINGS", 20_000)
    words = SparseVectors.from_dicts([{1: 1.0, 2: 1.0}] * 16_000)
    with Index.create(tmp_path / "vectors", None) as index:
        index.add_vectors([str(i) for i in range(len(words))], words)
        assert index.info().generation == 2
    with Index.create(tmp_path / "counts", "bm25") as index:
        index.add({"id": str(i), "text": "one two"} for i in range(9_000))
        assert index.info().generation >= 2


def test_an_encoder_without_a_vocabulary(tmp_path: Path) -> None:
    class Nameless(Counting):
        vocabulary = None  # type: ignore[assignment]

    with pytest.raises(InvalidInputError, match="vocabulary is None, not a Vocabulary"):
        Index.create(tmp_path / "index", Nameless())
