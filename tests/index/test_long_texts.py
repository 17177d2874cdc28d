"""Texts cut into passages: where they are cut, and how documents stay whole in the index."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from naive_filter import values_of

from sparsearch import Bm25Encoder, Index, IndexConfig, SparseVectors
from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
)
from sparsearch.index.documents import check_documents
from sparsearch.index.gathering import batches
from sparsearch.index.passages import cut

LENGTH = 50
texts = st.lists(
    st.one_of(
        st.text("ab", min_size=1, max_size=12),
        st.sampled_from(
            [" ", " ", ". ", "! ", '." ', "\n", "\n\n", "\n \n", " " * 9, "。", "é", "🦊"]
        ),
    ),
    max_size=120,
).map("".join)


@given(texts, st.integers(10, 60))
def test_passages_cover_a_text_in_order(text: str, length: int) -> None:
    spans = list(cut(text, length))
    inside = {place for start, stop in spans for place in range(start, stop)}
    assert all(place in inside for place, sign in enumerate(text) if not sign.isspace())
    for start, stop in spans:
        assert text[start:stop] == text[start:stop].strip()
        assert stop - start <= length
        assert stop > start or not text.strip()
    for (start, stop), (next_start, next_stop) in pairwise(spans):
        assert start < next_start
        assert stop < next_stop
        assert next_start >= stop - length // 5
    if len(text.strip()) <= length:
        assert len(spans) == 1


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("", [""]),
        (" \n", [""]),
        ("short", ["short"]),
        (
            "One sentence stands right here. Another one follows it now. And a third.",
            ["One sentence stands right here.", "Another one follows it now. And a third."],
        ),
        (
            "A first paragraph, with words. More.\n\nA second paragraph. It is longer.",
            ["A first paragraph, with words. More.", "More.\n\nA second paragraph. It is longer."],
        ),
        ("x" * 120, ["x" * 50, "x" * 50, "x" * 20]),
        ("e\u0301" * 60, ["e\u0301" * 25, "e\u0301" * 25, "e\u0301" * 10]),
        ("x" + "e\u0301" * 60, ["x" + "e\u0301" * 24, "e\u0301" * 25, "e\u0301" * 11]),
        ("👩\u200d👩\u200d👧" * 11, ["👩\u200d👩\u200d👧" * 10, "👩\u200d👩\u200d👧"]),
        ("word " * 12, ["word " * 9 + "word", "word " * 3 + "word"]),
        ("一二三四五六七八九十" * 3 + "。" + "甲乙丙丁" * 9, None),
    ],
)
def test_where_texts_are_cut(text: str, passages: list[str] | None) -> None:
    found = [text[start:stop] for start, stop in cut(text, LENGTH)]
    if passages is None:
        assert found[0].endswith("。")
    else:
        assert found == passages


def test_no_passage_lies_in_the_one_before() -> None:
    text = (
        "The lamp is on. " + "x" * 24 + " end" + " " * 20 + "\n\n" + " " * 4 + "y" * 40 + " zz" * 9
    )
    found = [text[start:stop] for start, stop in cut(text, LENGTH)]
    assert [part[:8] for part in found] == ["The lamp", "yyyyyyyy", "zz zz zz"]


@pytest.mark.parametrize("text", ["x" * 500_000, " x" * 250_000, "\n \t" * 200_000 + "x"])
def test_a_long_text_of_one_kind_is_cut_to_its_end(text: str) -> None:
    *_, (start, stop) = cut(text, LENGTH)
    assert (start < stop, stop) == (True, len(text))


def passages_of(document_id: str, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plain reading: what is to be stored of a document."""
    others = {name: value for name, value in document.items() if name != "text"}
    for number, (start, stop) in enumerate(cut(document["text"], LENGTH), start=1):
        yield {
            **others,
            "id": f"{document_id}#{number}",
            "text": document["text"][start:stop],
            "document": document_id,
            "passage": number,
            "passage_start": start,
        }


def stored(index: Index) -> list[dict[str, Any]]:
    return [{"id": d.id, "text": d.text, **d.metadata} for d in index.documents()]


ids = st.sampled_from(["a", "b", "c", "a#1", "#", "a#1#2"])
documents = st.lists(
    st.tuples(ids, st.fixed_dictionaries({"text": texts}, optional={"n": st.integers(0, 2)})),
    min_size=1,
    max_size=3,
)


class LifeOfPassages(RuleBasedStateMachine):
    """An index of passages does what a dictionary of whole documents does."""

    @initialize(per_segment=st.sampled_from([1, 5, 1000]))
    def create(self, per_segment: int) -> None:
        self.folder = Path(mkdtemp())
        config = IndexConfig(segment_documents=per_segment, passage_length=LENGTH)
        self.index = Index.create(self.folder / "index", "bm25", config)
        self.model: dict[str, dict[str, Any]] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.index.close()
            shutil.rmtree(self.folder)

    def _store(self, given: list[tuple[str, dict[str, Any]]]) -> None:
        for document_id, document in given:
            self.model.pop(document_id, None)
            self.model[document_id] = document

    @rule(given=documents)
    def upsert(self, given: list[tuple[str, dict[str, Any]]]) -> None:
        assert self.index.upsert({"id": i, **d} for i, d in given) == len(given)
        self._store(given)

    @rule(given=documents)
    def add(self, given: list[tuple[str, dict[str, Any]]]) -> None:
        taken = set(self.model)
        fresh = []
        for document_id, document in given:
            if document_id in taken:
                break
            taken.add(document_id)
            fresh.append((document_id, document))
        if len(fresh) == len(given):
            assert self.index.add({"id": i, **d} for i, d in given) == len(given)
        else:
            with pytest.raises(DuplicateIdError, match=f"document {len(fresh)} "):
                self.index.add({"id": i, **d} for i, d in given)
        self._store(fresh)

    @rule(chosen=st.sets(ids, max_size=3))
    def delete(self, chosen: set[str]) -> None:
        known = chosen & self.model.keys()
        if known != chosen:
            with pytest.raises(DocumentNotFoundError):
                self.index.delete(chosen)
        assert self.index.delete(chosen, missing_ok=True) == len(known)
        for document_id in known:
            del self.model[document_id]

    @rule(n=st.integers(0, 2), second_passages=st.booleans())
    def delete_matching(self, n: int, second_passages: bool) -> None:
        if second_passages:
            meant = {i for i, d in self.model.items() if len(list(cut(d["text"], LENGTH))) > 1}
        else:
            meant = {i for i, d in self.model.items() if d.get("n") == n}
        try:
            deleted = self.index.delete_matching({"passage": 2} if second_passages else {"n": n})
        except FilterError:
            deleted = 0
        assert deleted == len(meant)
        for document_id in meant:
            del self.model[document_id]

    @rule(asked=documents)
    def holds(self, asked: list[tuple[str, dict[str, Any]]]) -> None:
        for document_id, document in asked:
            same = self.model.get(document_id) == document
            assert self.index.holds({"id": document_id, **document}) == same
        for document_id, document in self.model.items():
            assert self.index.holds({"id": document_id, **document})

    @rule()
    def optimize(self) -> None:
        self.index.optimize()

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.folder / "index")

    @invariant()
    def holds_the_passages_of_its_documents(self) -> None:
        if not hasattr(self, "index"):
            return
        wanted = [p for i, document in self.model.items() for p in passages_of(i, document)]
        assert stored(self.index) == wanted
        assert len(self.index) == len(wanted)
        passage_ids = {passage["id"] for passage in wanted}
        for asked in ("a", "b", "a#1", "a#1#1", "a#1#2", "#"):
            assert self.index.has_document(asked) == (asked in self.model)
            assert (asked in self.index) == (asked in self.model or asked in passage_ids)


TestLifeOfPassages = LifeOfPassages.TestCase
TestLifeOfPassages.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)


def create(folder: Path, length: int = LENGTH, **config: Any) -> Index:
    return Index.create(folder, "bm25", IndexConfig(passage_length=length, **config))


STORY = {
    "id": "story",
    "title": "A story",
    "text": "A whale swims in the sea. The whale meets a ship. The ship sails on, far from home. "
    "At home, a lamp burns. A whale knows nothing of lamps.",
    "year": 1851,
}


def test_passages_are_hits_and_the_best_stands_for_its_document(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        assert (
            index.add([STORY, {"id": "note", "text": "Lamps."}, {"id": "t", "title": "Lamp"}]) == 3
        )
        hits = index.search("lamp")
        assert {hit.metadata["document"] for hit in hits} == {"story", "note", "t"}
        assert len(hits) > 3
        best = index.search("lamp", distinct="document")
        assert [hit.metadata["document"] for hit in best] == ["note", "t", "story"]
        for hit in index.search("whale", filter={"year": 1851}):
            start = hit.metadata["passage_start"]
            assert STORY["text"][start:].startswith(hit.text or "nothing")
            assert hit.title == "A story"
        run = index.search_batch({"q": "lamp"}, distinct="document").max_passage()
        assert run.ids("q") == ("note", "t", "story")
        assert index.count({"document": "story"}) == len(list(cut(str(STORY["text"]), LENGTH)))


def test_a_model_reads_passages_ahead(tmp_path: Path) -> None:
    config = IndexConfig(passage_length=LENGTH)
    short = {"id": "note", "text": "Lamps."}
    with (
        Index.create(tmp_path / "a", config=config) as one,
        Index.create(tmp_path / "b", config=config) as other,
    ):
        ahead = one.encode_ahead([short, STORY])
        assert ahead is not None
        assert one.upsert([short, STORY], ahead=ahead) == 2
        assert other.add([short, STORY]) == 2
        assert stored(one) == stored(other)
        assert len(one) == len(ahead.texts)
        assert one.search("lamp") == other.search("lamp")


def test_what_was_interrupted_goes_on_after_the_last_whole_document(tmp_path: Path) -> None:
    many = [{"id": f"d{i}", "text": f"number {i} " * (5 * i)} for i in range(30)]

    def broken() -> Iterator[dict[str, Any]]:
        yield from many[:17]
        raise OSError("unplugged")

    with create(tmp_path / "a", segment_documents=7) as index:
        with pytest.raises(OSError, match="unplugged"):
            index.add(broken(), source="many")
        progress = index.source_progress("many")
        assert progress is not None
        assert (progress.consumed, progress.last_id) == (17, "d16")
        assert index.add(many[17:], source="many") == 13
        found = stored(index)
    with create(tmp_path / "b") as unbroken:
        unbroken.add(many)
        assert stored(unbroken) == found


@pytest.mark.parametrize("name", ["document", "passage", "passage_start"])
def test_fields_that_passages_have_are_refused(tmp_path: Path, name: str) -> None:
    with create(tmp_path / "index") as index:
        with pytest.raises(InvalidDocumentError, match=f"document 1 .*'b'.* field '{name}'"):
            index.add([{"id": "a", "text": "a"}, {"id": "b", "text": "b", name: 1}])
        assert [d.id for d in index.documents()] == ["a#1"]


def test_a_passage_is_not_deleted_by_itself(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.add([STORY])
        with pytest.raises(
            DocumentNotFoundError, match="'story#2': that is a passage; give 'story'"
        ):
            index.delete(["story#2"])
        assert not index.has_document(5)
        assert 5 not in index


def test_fields_that_would_be_stored_thousands_of_times_are_refused(tmp_path: Path) -> None:
    bomb = {"id": "a", "text": "word " * 20_000, "note": "x" * 100_000}
    with create(tmp_path / "index") as index:
        with pytest.raises(InvalidDocumentError, match=r"stored 2,\d+ times"):
            index.add([bomb])
        with pytest.raises(InvalidDocumentError, match=r"stored 2,\d+ times"):
            index.add([{"id": "j" * 100_000, "text": "word " * 20_000}])
        assert index.add([{**bomb, "note": "x"}]) == 1


def test_batches_end_where_enough_bytes_are_held() -> None:
    documents = [{"id": str(i), "text": "word " * 40} for i in range(10)]
    whole = list(check_documents(documents))
    size = len(whole[0].payload)
    assert [len(batch) for batch, _ in batches(whole, 4, 10**9)] == [4, 4, 2]
    assert [len(batch) for batch, _ in batches(whole, 100, 3 * size)] == [3, 3, 3, 1]
    in_passages = list(check_documents(documents, passage_length=100))
    assert [len(batch) for batch, _ in batches(in_passages, 4, 10**9)] == [2, 2, 2, 2, 2]
    assert [len(batch) for batch, _ in batches(in_passages, 100, 1)] == [1] * 10


@pytest.mark.parametrize("length", [49, 0, -1, True, 60.0, "60"])
def test_a_length_that_is_none_is_refused(length: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"passage_length is .* at least 50"):
        IndexConfig(passage_length=length)


def test_vectors_cannot_be_cut(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="passage_length"):
        Index.create(tmp_path / "index", None, IndexConfig(passage_length=100))
    assert not (tmp_path / "index").exists()
    with create(tmp_path / "index") as index:
        vectors = Bm25Encoder().encode_documents(["a text"])
        with pytest.raises(InvalidInputError, match="without passages"):
            index.add_vectors(["a"], vectors)


def test_an_index_of_whole_texts_is_what_it_was_before_there_were_passages(tmp_path: Path) -> None:
    assert "passage_length" not in IndexConfig().to_settings()
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add([{"id": "a#1", "text": "a", "document": "x", "passage": 3}])
        assert index.has_document("a#1")
        assert not index.has_document("a")
        assert index.delete(["a#1"]) == 1


# ---- hits that are distinct by a field

values = st.sampled_from(
    ["x", "y", "z", 1, 1.0, True, False, 2.5, None, "missing", [], ["x"], ["x", "y"], ["y", None]]
)
rows = st.lists(st.tuples(values, st.sampled_from([0.0, 0.5, 1.0, 2.0])), min_size=1, max_size=40)


@given(
    rows,
    st.sampled_from([0, 1, 2, 3, 10, 100]),
    st.sampled_from([1, 4, 1000]),
    st.sets(st.integers(0, 39), max_size=10),
    st.sampled_from([None, {"n": {"<": 20}}, {"n": {">=": 1000}}]),
)
@settings(max_examples=80, deadline=None)
def test_distinct_hits_are_what_going_through_the_whole_ranking_leaves(
    rows: list[tuple[Any, float]], k: int, per_segment: int, gone: set[int], filter: Any
) -> None:
    folder = Path(mkdtemp())
    try:
        with Index.create(folder / "i", None, IndexConfig(segment_documents=per_segment)) as index:
            given_fields = [
                {"n": n, **({} if value == "missing" else {"f": value})}
                for n, (value, _) in enumerate(rows)
            ]
            vectors = SparseVectors.from_dicts([{0: weight + 0.25} for _, weight in rows])
            index.add_vectors([str(n) for n in range(len(rows))], vectors, given_fields)
            index.delete([str(n) for n in gone], missing_ok=True)
            try:
                found = index.search({0: 1.0}, k, filter, distinct="f")
            except FilterError:  # none has the field any more
                live = (value for n, (value, _) in enumerate(rows) if n not in gone)
                assert all(value in (None, "missing", []) for value in live)
                return
            assert found == list(islice(_distinct(index.search({0: 1.0}, 100, filter)), k))
            queries = SparseVectors.from_dicts([{0: 1.0}, {1: 1.0}, {0: 1.0}])
            run = index.search_batch(queries, k, filter, distinct="f")
            pairs = [(hit.id, hit.score) for hit in found]
            assert [run["0"], run["1"], run["2"]] == [pairs, [], pairs]
    finally:
        shutil.rmtree(folder)


def _distinct(hits: list[Any]) -> Iterator[Any]:
    seen = set()
    for hit in hits:
        values = {(type(v), v) for v in values_of(hit.metadata, "f")}
        value = values.pop()[1] if len(values) == 1 else None
        kind = bool if isinstance(value, bool) else str if isinstance(value, str) else float
        if value is None or (kind, value) not in seen:
            seen.add((kind, value))
            yield hit


def test_one_value_that_all_documents_have_leaves_one_hit(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", None, IndexConfig(segment_documents=2)) as index:
        vectors = SparseVectors.from_dicts([{0: 1.0}] * 50)
        index.add_vectors([str(i) for i in range(50)], vectors, [{"f": "x"}] * 49 + [{"f": "y"}])
        assert [hit.id for hit in index.search({0: 1.0}, 10, distinct="f")] == ["0", "49"]


def test_approximate_distinct_hits_are_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [
        dict(zip(rng.choice(200, 10, replace=False).tolist(), rng.random(10).tolist(), strict=True))
        for _ in range(3000)
    ]
    with Index.create(tmp_path / "index", None) as index:
        vectors = SparseVectors.from_dicts(rows)
        fields = [{"g": min(n % 60, 8)} for n in range(3000)]
        index.add_vectors([str(n) for n in range(3000)], vectors, fields)
        queries = vectors[rng.choice(3000, 60, replace=False)]
        run = index.search_batch(queries, 9, recall=0.9, distinct="g")
        for number in range(len(queries)):
            hits = index.search(queries[number : number + 1], 9, recall=0.9, distinct="g")
            assert len(hits) == 9
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert run[str(number)] == [(hit.id, hit.score) for hit in hits]


def test_more_hits_than_there_are_documents(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        index.add([STORY, {"id": "b", "text": "whale"}])
        shape = (1, len(index))
        for k in (10**6, 10**15, 10**30):
            assert len(index.search("whale", k, distinct="document")) == 2
            assert index.top_k(["whale"], k, distinct="document").numbers.shape == shape


def test_distinct_by_what_cannot_be(tmp_path: Path) -> None:
    with create(tmp_path / "index") as index:
        assert index.search("whale", distinct="anything") == []
        index.add([STORY, {"id": "b", "text": "whale", "tags": ["x", "y"]}])
        with pytest.raises(FilterError, match="no document has a field 'author'"):
            index.search("whale", distinct="author")
        assert len(index.search("whale", distinct="tags")) == len(index.search("whale"))
        assert len(index.search("whale", distinct="year")) == 2
