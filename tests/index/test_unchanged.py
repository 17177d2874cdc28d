"""A model does not read again what is stored as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="models are made with the onnx package")

import sparsearch as ss
from onnx_folders import write_folder
from sparsearch.encoders import AnalysisConfig, HybridEncoder, OnnxEncoder
from sparsearch.errors import InvalidInputError
from sparsearch.index import IndexConfig

WORDS = ("cat", "dog", "sat", "mat", "cow", "owl")
texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


class Counting(OnnxEncoder):
    """A model that remembers what it read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> ss.SparseVectors:
        self.read += texts
        return super().encode_documents(texts)

    def taken(self) -> list[str]:
        read, self.read = self.read, []
        return read


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(folder: Path) -> Counting:
    return Counting(folder)


@pytest.fixture(params=["alone", "with BM25"])
def encoder(request: pytest.FixtureRequest, model: Counting) -> ss.Encoder:
    if request.param == "alone":
        return model
    return HybridEncoder(ss.Bm25Config(analysis=AnalysisConfig(None), pair_weight=0.5), model, 0.75)


def stored(index: ss.Index) -> dict[str, Any]:
    ids = [document.id for document in index.documents()]
    return dict(zip(ids, index.vectors().to_dicts(), strict=True))


def learned(index: ss.Index) -> dict[str, Any]:
    """Without the words, whose weights depend on what else is there."""
    marked = any(term[0] == "~" for term in index.vectors().vocabulary)
    return {
        name: {term: weight for term, weight in row.items() if not marked or term[0] == "~"}
        for name, row in stored(index).items()
    }


def test_only_new_texts_are_read(encoder: ss.Encoder, model: Counting, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder) as index:
        index.add([{"id": "a", "text": "cat sat"}, {"id": "b", "title": "dog", "text": "cow owl"}])
        assert model.taken() == ["cat sat", "dog\ncow owl"]
        before = learned(index)
        index.upsert([
            {"id": "c", "text": "mat"},
            {"id": "b", "title": "dog", "text": "cow owl", "year": 2020},
            {"id": "a", "text": "cat sat", "tags": ["x"]},
        ])  # fmt: skip
        assert model.taken() == ["mat"]
        index.optimize()
        after = learned(index)
        assert list(after) == ["c", "b", "a"]
        for name, vector in before.items():
            assert after[name] == pytest.approx(vector, rel=1e-3)
        assert [hit.id for hit in index.search("cow", filter={"year": 2020})] == (
            ["b"] if isinstance(encoder, HybridEncoder) else []
        )
        index.upsert([{"id": "a", "text": "mat"}, {"id": "b", "text": "dog\ncow owl"}])
        assert model.taken() == ["mat"]  # the title of b moved into its text, which reads the same
        index.delete(["a"])
        index.add([{"id": "a", "text": "mat"}])
        assert model.taken() == ["mat"]


def test_ahead_of_a_commit_too(encoder: ss.Encoder, model: Counting, tmp_path: Path) -> None:
    documents = [{"id": "a", "text": "cat sat"}, {"id": "b", "text": "dog"}]
    with ss.Index.create(tmp_path / "index", encoder) as index:
        index.add(documents)
        before = learned(index)
        model.taken()
        changed = [documents[1], {"id": "a", "text": "owl"}, {**documents[0], "id": "c"}]
        ahead = index.encode_ahead(changed)
        assert ahead is not None
        assert model.taken() == ["owl", "cat sat"]
        index.upsert(changed, ahead=ahead)
        assert model.taken() == []
        assert learned(index)["c"] == pytest.approx(before["a"], rel=1e-3)
        assert learned(index)["b"] == pytest.approx(before["b"], rel=1e-3)


def test_passages_that_stayed_are_not_read(model: Counting, tmp_path: Path) -> None:
    first, second = (
        "cat sat on a mat and was seen by a dog.",
        "cow and owl were there as well, too.",
    )
    with ss.Index.create(tmp_path / "index", model, IndexConfig(passage_length=50)) as index:
        index.add([{"id": "a", "text": f"{first} {second}"}])
        assert model.taken() == [first, second]
        index.upsert([{"id": "a", "text": f"{first} {second} dog"}])
        assert model.taken() == [f"{second} dog"]


def test_damaged_weights_are_not_taken(model: Counting, tmp_path: Path) -> None:
    given = [{"id": str(i), "text": "cat sat mat dog"} for i in range(20)]
    with ss.Index.create(tmp_path / "index", model) as index:
        index.add(given)
        model.taken()
        segment = index._snapshot.segments[0]
        codes = segment.arrays["forward_rows"].tobytes()
    (damaged,) = (
        path
        for path in (tmp_path / "index").rglob("*")
        if path.is_file() and codes in path.read_bytes()
    )
    content = damaged.read_bytes()
    damaged.write_bytes(content.replace(codes, bytes(255 - code for code in codes)))
    with ss.Index.open(tmp_path / "index", model) as index:
        assert index.verify() != []
        assert index.encode_ahead(given[:3]) is not None
        assert model.taken() == ["cat sat mat dog"] * 3


def test_only_encoders_that_say_so_are_spared(tmp_path: Path) -> None:
    """Others may make of what they encoded ahead what they like."""

    class Scaling(ss.Encoder):
        vocabulary = ss.Vocabulary(["x"])
        identity: ClassVar[dict[str, Any]] = {"type": "scaling"}
        saturation = None

        def encode_documents(self, texts: Sequence[str]) -> ss.SparseVectors:
            return self.complete_documents(texts, self.encode_ahead(texts))

        def encode_ahead(self, texts: Sequence[str]) -> ss.SparseVectors:
            return ss.SparseVectors.from_dicts([{"x": 4.0} for _ in texts], self.vocabulary)

        def complete_documents(
            self, texts: Sequence[str], ahead: ss.SparseVectors
        ) -> ss.SparseVectors:
            return ss.SparseVectors(
                ahead.offsets, ahead.term_ids, ahead.weights / 2, ahead.vocabulary
            )

        encode_queries = encode_documents  # type: ignore[assignment]

    with ss.Index.create(tmp_path / "index", Scaling()) as index:
        for n in range(3):
            index.upsert([{"id": "a", "text": "t", "n": n}])
            assert stored(index) == {"a": {"x": 2.0}}


def test_what_was_made_ahead_of_other_documents_is_found_out(
    encoder: ss.Encoder, tmp_path: Path
) -> None:
    with ss.Index.create(tmp_path / "index", encoder) as index:
        ahead = index.encode_ahead([{"id": "a", "text": "cat"}, {"id": "b", "text": "dog"}])
        for documents in (
            [{"id": "b", "text": "dog"}],
            [{"id": "a", "text": "cat"}, {"id": "b", "text": "car"}],
            [{"id": "a", "text": "cat"}, {"id": "b", "text": "dog"}, {"id": "c", "text": "dog"}],
        ):
            last = documents[-1]["id"]
            with pytest.raises(InvalidInputError, match=f"the text of document '{last}'"):
                index.upsert(documents, ahead=ahead)
            assert len(index) == 0
        with pytest.raises(InvalidInputError, match="give what encode_ahead made"):
            index.upsert([{"id": "a", "text": "cat"}], ahead=ahead.vectors)  # type: ignore[union-attr, arg-type]
        assert index.upsert([{"id": "a", "text": "cat"}], ahead=ahead) == 1


def test_a_damaged_document_is_read_anew(model: Counting, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", model) as index:
        index.add([{"id": "a", "text": "cat sat mat dog"}])
        model.taken()
    (damaged,) = (
        path
        for path in (tmp_path / "index").rglob("*")
        if path.is_file() and b'{"text": "cat' in path.read_bytes()
    )
    damaged.write_bytes(damaged.read_bytes().replace(b'{"text": "cat', b'{"t\xffxt": "cat'))
    with ss.Index.open(tmp_path / "index", model) as index:
        assert index.encode_ahead([{"id": "a", "text": "cat sat mat dog"}]) is not None
        assert model.taken() == ["cat sat mat dog"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), texts), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_what_is_stored_is_what_the_model_makes(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, str]]],
    hybrid: bool,
) -> None:
    model: ss.Encoder = OnnxEncoder(folder)
    words = ss.Bm25Config(analysis=AnalysisConfig(None))
    made = [HybridEncoder(words, model, 0.75) if hybrid else model for _ in range(2)]
    path = tmp_path_factory.mktemp("index")
    with ss.Index.create(path / "steps", made[0]) as index:
        for batch in batches:
            index.upsert({"id": name, "text": text} for name, text in batch)
        index.optimize()
        order = [(d.id, d.text) for d in index.documents()]
        found = stored(index)
    with ss.Index.create(path / "once", made[1]) as index:
        index.add({"id": name, "text": text} for name, text in order)
        for name, vector in stored(index).items():
            # Twice rounded to a step of the term's largest weight in a segment.
            assert found[name] == pytest.approx(vector, abs=3e-3)
