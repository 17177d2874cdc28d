"""Examples from files and records, batches, pseudo-queries, mined negatives, teachers' scores."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.errors import FileFormatError, InvalidInputError, TrainingError
from sparsearch.index import Index
from sparsearch.training import (
    RECIPES,
    Base,
    Example,
    NegativesConfig,
    ScoreCache,
    TeacherConfig,
    TeachersConfig,
    build_model,
    examples_from,
    mine_negatives,
    pseudo_queries,
    read_examples,
    score_examples,
    write_examples,
)
from sparsearch.training.batches import Batches
from sparsearch.training.teachers import combine, normalised, open_teacher

RECORDS = [
    {"query": "q", "positive": "p", "src": "somewhere"},
    {"anchor": "q", "pos": "p", "negative": "n"},
    {"question": "q", "answer": "p", "negatives": ["m", "n"]},
    {"query": "q", "positive": "p", "negative_2": "n", "negative_1": "m", "negative_10": "o"},
    {"query": "q", "documents": ["p", "n"], "scores": [2, 0.5]},
    {"query": "q", "positive": "p", "negative": ["n"], "scores": [1.0, -1.0]},
]
EXAMPLES = [
    Example("q", ("p",)),
    Example("q", ("p", "n")),
    Example("q", ("p", "m", "n")),
    Example("q", ("p", "m", "n", "o")),
    Example("q", ("p", "n"), (2.0, 0.5)),
    Example("q", ("p", "n"), (1.0, -1.0)),
]


def test_all_shapes_of_records_are_understood() -> None:
    assert list(examples_from(RECORDS)) == EXAMPLES


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q"}, "no field positive or pos or answer; its fields: 'query'"),
        ({"positive": "p"}, "no field query"),
        ({"query": 3, "positive": "p"}, "query is 3, not a string"),
        ({"query": "q", "positive": " "}, "must not be blank"),
        ({"query": "", "positive": "p"}, "must not be blank"),
        ({"query": "q", "positive": "p", "negative": 1}, "negative is 1, not a list"),
        ({"query": "q", "documents": "text"}, "documents is 'text', not a list"),
        ({"query": "q", "documents": []}, "no document"),
        ({"query": "q", "documents": ["p", None]}, "a text is None"),
        ({"query": "q", "documents": ["p"], "scores": [1, 2]}, "1 documents but 2 scores"),
        ({"query": "q", "documents": ["p"], "scores": ["high"]}, "not all finite"),
        ({"query": "q", "documents": ["p"], "scores": [float("nan")]}, "not all finite"),
        ({"query": "q", "documents": ["p"], "scores": 3}, "scores is 3, not a list"),
        (["q", "p"], "not a mapping"),
    ],
)
def test_a_malformed_record_is_named(record: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"record 2: .*{message}"):
        list(examples_from([RECORDS[0], record]))  # type: ignore[list-item]
    if "NaN" in json.dumps(record):
        message = "NaN is not JSON"
    elif not isinstance(record, dict):
        message = "not a JSON object"
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(RECORDS[0]) + "\n\n" + json.dumps(record) + "\n")
    with pytest.raises(FileFormatError, match=f"data.jsonl:3: .*{message}"):
        read_examples(path)


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_examples_survive_a_file(name: str, tmp_path: Path) -> None:
    write_examples(tmp_path / name, EXAMPLES)
    assert read_examples(tmp_path / name) == EXAMPLES


def test_parquet_and_saved_datasets_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs sparsearch[train]")
    dataset = datasets.Dataset.from_list(RECORDS[4:5] * 3)
    dataset.to_parquet(tmp_path / "data.parquet")
    dataset.save_to_disk(tmp_path / "saved")
    assert read_examples(tmp_path / "data.parquet") == EXAMPLES[4:5] * 3
    assert read_examples(tmp_path / "saved") == EXAMPLES[4:5] * 3
    splits = datasets.DatasetDict({"train": dataset, "test": dataset})
    splits.save_to_disk(tmp_path / "splits")
    with pytest.raises(FileFormatError, match=r"several splits \(train, test\)"):
        read_examples(tmp_path / "splits")


def test_files_that_hold_no_examples_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "not.parquet").write_text("not Parquet")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("empty.jsonl", "no examples"),
        ("not.parquet", "cannot be read as Parquet"),
        ("folder", "not a folder saved by datasets"),
        ("missing.jsonl", "cannot be read"),
    ):
        with pytest.raises(FileFormatError, match=message):
            read_examples(tmp_path / name)


# -------------------------------------------------------------------------------------------------


@given(
    texts=st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=4, max_size=40, unique=True
    ),
    size=st.integers(1, 3),
    seed=st.integers(0, 3),
)
def test_no_text_is_twice_in_a_batch(texts, size: int, seed: int) -> None:
    examples = [Example(f"query {q}", (f"document {d}",)) for q, d in texts]
    batches = Batches(examples, size, seed)
    pairs = itertools.combinations(texts, size)
    if not any(len({q for q, _ in p}) == len({d for _, d in p}) == size for p in pairs):
        with pytest.raises(InvalidInputError, match="cannot fill a batch"):
            batches[0]
        return
    found = [batches[step] for step in range(12)]
    for batch in found:
        assert len({e.query for e in batch}) == len({e.positive for e in batch}) == size
    # A batch depends on its number only, not on those asked for before.
    assert [Batches(examples, size, seed)[step] for step in (7, 2)] == [found[7], found[2]]


def test_an_order_that_fills_no_batch_is_not_the_end() -> None:
    """The first of these goes with none of the others, whichever is drawn first."""
    examples = [Example("q1", ("d1",)), Example("q1", ("d2",)), Example("q2", ("d1",))]
    for seed in range(20):
        batches = Batches(examples, 2, seed)
        found = [{(e.query, e.positive) for e in batches[step]} for step in range(5)]
        assert found == [{("q1", "d2"), ("q2", "d1")}] * 5
        assert batches.epoch(5) == 5.0


def test_questions_of_few_answers_fill_most_batches() -> None:
    """One after the other, examples of 46 answers that clash with none before are seldom found."""
    rng = np.random.default_rng(0)
    answers = [[n % 150, *((n + 1 + rng.choice(149, 5, replace=False)) % 150)] for n in range(1200)]
    examples = [
        Example(f"query {n}", tuple(f"document {i}" for i in numbers))
        for n, numbers in enumerate(answers)
    ]
    for seed in range(3):
        batches = Batches(examples, 46, seed)
        step = next(step for step in itertools.count() if batches.epoch(step) >= 1)
        assert step >= 20  # of 26 at most
        found = [[e.query for e in batches[number]] for number in range(step + 3)]
        assert len({query for batch in found[:step] for query in batch}) == 46 * step
        again = Batches(examples, 46, seed)
        assert [e.query for e in again[step + 2]] == found[step + 2]
        for number in range(step):
            for example in batches[number]:
                others = {t for e in batches[number] if e is not example for t in e.documents}
                assert example.positive not in others


SHARED = [Example(f"query {n}", ("of all", f"document {n}")) for n in range(40)]


def test_documents_that_are_wrong_for_several_do_not_keep_these_apart() -> None:
    examples = [Example(f"query {n}", (f"document {n}", "of all")) for n in range(40)]
    batches = Batches(examples, 8, 0)
    assert {e.query for step in range(5) for e in batches[step]} == {e.query for e in examples}


def test_the_answer_of_one_is_not_wrong_for_another_of_its_batch() -> None:
    rng = np.random.default_rng(0)
    examples = [
        Example(f"query {n}", tuple(f"document {i}" for i in (n, *rng.integers(0, 60, 3))))
        for n in range(60)
    ]
    batches = Batches(examples, 8, 0)
    for batch in (batches[step] for step in range(30)):
        for example in batch:
            others = {text for e in batch if e is not example for text in e.documents}
            assert example.positive not in others


def test_a_text_that_fills_no_batch_is_named() -> None:
    with pytest.raises(InvalidInputError, match="without a text twice: 'of all' is in 40 of them"):
        Batches(SHARED, 4, 0)[0]
    with pytest.raises(InvalidInputError, match="3 examples cannot fill a batch of 4; give more"):
        Batches(SHARED[:3], 4, 0)[0]


def test_losses_over_a_query_s_own_documents_may_share_texts() -> None:
    batches = Batches(SHARED, 4, 0, distinct=False)
    assert sorted(e.query for step in range(10) for e in batches[step]) == sorted(
        e.query for e in SHARED
    )
    alone = {name for name, recipe in RECIPES.items() if not recipe.uses_others_documents}
    assert {"deepimpact", "epic", "splade++", "l0", "deepct"} <= alone
    assert alone.isdisjoint({"splade", "sparta", "df-flops", "unicoil"})


def test_an_epoch_uses_each_example_once() -> None:
    examples = [Example(f"query {n}", (f"document {n}",)) for n in range(30)]
    batches = Batches(examples, 4, 0)
    epoch = [example.query for step in range(7) for example in batches[step]]
    assert max(Counter(epoch).values()) == 1
    assert batches.epoch(7) == 1.0
    assert batches.epoch(10) == pytest.approx(1 + 3 / 7)
    assert [e.query for step in range(7, 14) for e in batches[step]] != epoch


def test_pseudo_queries_are_taken_out_of_the_text() -> None:
    body = "words that say enough about it to be worth a training example"
    document = {
        "id": "1",
        "title": "Sparse retrieval",
        "text": f"Texts become vectors. An index holds them, {body}.\n\n"
        f"## Two parts\n\nFirst, {body}.",
    }
    found = {example.query: example.positive for example in pseudo_queries([document])}
    assert list(found) == ["Sparse retrieval", "Two parts", "Texts become vectors."]
    assert found["Sparse retrieval"] == document["text"]
    assert found["Two parts"] == f"First, {body}."
    assert found["Texts become vectors."] == f"Sparse retrieval\nAn index holds them, {body}."


def test_texts_that_say_too_little_give_no_pseudo_queries() -> None:
    documents = [
        {"title": "Title", "text": "A. B. C."},
        {"title": "", "text": ""},
        {"title": None, "text": None},
        {"title": "One two", "text": "too short"},
        {"title": "word " * 40, "text": "a text without an end of a sentence " * 3},
    ]
    assert list(pseudo_queries(documents)) == []


# -------------------------------------------------------------------------------------------------


def test_negatives_are_hits_that_are_not_positives(examples: list[Example]) -> None:
    config = NegativesConfig(count=3, depth=10, skip=2)
    mined = mine_negatives(examples, config, seed=1)
    assert mined == mine_negatives(examples, config, seed=1)
    assert mined != mine_negatives(examples, config, seed=2)
    positives: dict[str, set[str]] = {}
    for example in examples:
        positives.setdefault(example.query, set()).add(example.positive)
    for before, after in zip(examples, mined, strict=True):
        assert (after.query, after.positive) == (before.query, before.positive)
        assert len(set(after.documents)) == 4
        assert positives[after.query].isdisjoint(after.documents[1:])


def test_mined_negatives_are_from_the_ranks_asked_for(
    examples: list[Example], tmp_path: Path
) -> None:
    texts = list(dict.fromkeys(example.positive for example in examples))
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add({"id": str(n), "text": text} for n, text in enumerate(texts))
        (mined,) = mine_negatives(examples[:1], NegativesConfig(5, 8, 3), corpus=texts)
        hits = [hit.text for hit in index.search(mined.query, 20)]
    ranked = [text for text in hits if text != mined.positive][3:8]
    assert sorted(mined.documents[1:]) == sorted(ranked)


def test_a_query_is_no_negative_of_itself() -> None:
    """Neither as a hit nor where the rest is drawn by chance."""
    texts = ["tin answer", "tin", "tin can", "wood", "glass"]
    example = Example("tin", ("tin answer",))
    for count, negatives in ((1, ["tin can"]), (3, ["glass", "tin can", "wood"])):
        config = NegativesConfig(count, count)
        (mined,) = mine_negatives([example], config, corpus=texts)
        assert sorted(mined.documents[1:]) == negatives


def test_skipped_hits_do_not_come_back_by_chance() -> None:
    """Where fewer hits are left than wanted, the rest is drawn from other texts."""
    near = [f"tin {letter}" for letter in "abc"]
    texts = ["tin answer", *near, "wood", "glass", "paper"]
    for seed in range(20):
        (mined,) = mine_negatives(
            [Example("tin", ("tin answer",))], NegativesConfig(3, 10, 3), corpus=texts, seed=seed
        )
        assert sorted(mined.documents[1:]) == ["glass", "paper", "wood"]


def test_a_corpus_too_small_for_negatives_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="too few for 2 negatives"):
        mine_negatives([Example("a", ("b",)), Example("c", ("d",))], NegativesConfig(2))


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=6))
def test_scores_are_normalised(scores: list[float]) -> None:
    array = np.array(scores, dtype=np.float32)
    low_to_high, standard = normalised(array, "minmax"), normalised(array, "standard")
    assert (normalised(array, "none") == array).all()
    if np.ptp(array) == 0:
        assert not low_to_high.any()
        return
    assert (low_to_high.min(), low_to_high.max()) == (0, 1)
    if np.ptp(array) > 1e-3:
        assert standard.mean() == pytest.approx(0, abs=1e-6)
        assert standard.std() == pytest.approx(1)


def test_an_ensemble_is_a_weighted_mean() -> None:
    config = TeachersConfig((TeacherConfig("bm25"),), scale=10)
    rows = [np.array([0.0, 5.0, 10.0], np.float32), np.array([1.0, 0.9, 0.0], np.float32)]
    assert combine(rows, [1.0, 3.0], config) == pytest.approx([7.5, 8.0, 2.5])


def test_bm25_as_a_teacher_scores_as_an_index_does(examples: list[Example], tmp_path: Path) -> None:
    mined = mine_negatives(examples[:40], NegativesConfig(2, 5))
    config = TeachersConfig((TeacherConfig("bm25"),), normalise="none", scale=1.0)
    with ScoreCache(tmp_path / "scores.sqlite") as cache:
        scored = score_examples(mined, config, cache)
    texts = list(dict.fromkeys(text for example in mined for text in example.documents))
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add({"id": str(n), "text": text} for n, text in enumerate(texts))
        for example in scored:
            hits = {hit.text: hit.score for hit in index.search(example.query, len(texts))}
            expected = [hits.get(text, 0.0) for text in example.documents]
            assert example.scores == pytest.approx(expected, rel=1e-3)


class Counting:
    """A teacher that keeps count; its scores are the lengths of the documents."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def score(self, pairs) -> np.ndarray:
        self.asked.extend(pairs)
        return np.array([len(document) for _, document in pairs], dtype=np.float32)


def test_scores_are_kept_on_disk(tmp_path: Path) -> None:
    pairs = [("q", "one"), ("q", "three"), ("q", "one"), ("qo", "ne")]
    teacher = Counting()
    for _ in range(2):
        with ScoreCache(tmp_path / "cache" / "scores.sqlite") as cache:
            assert cache.scores(teacher, pairs).tolist() == [3, 5, 3, 2]
    assert teacher.asked == [("q", "one"), ("q", "three"), ("qo", "ne")]
    with ScoreCache(tmp_path / "cache" / "scores.sqlite") as cache:
        other = Counting()
        other.name = "another"
        cache.scores(other, pairs[:1])
        assert other.asked == pairs[:1]


def test_a_teacher_that_gives_no_number_is_named(tmp_path: Path) -> None:
    class Broken(Counting):
        def score(self, pairs) -> np.ndarray:
            return np.full(len(pairs), np.nan, dtype=np.float32)

    with (
        ScoreCache(tmp_path / "scores.sqlite") as cache,
        pytest.raises(TrainingError, match="teacher counting: no finite score"),
    ):
        cache.scores(Broken(), [("q", "d")])


def test_a_teacher_in_a_folder_is_known_by_its_files(tiny_bert: str, tmp_path: Path) -> None:
    """Another model that comes to lie there is not taken for it."""
    model = build_model(RECIPES["splade-max"], Base(tiny_bert, document_length=48), device="cpu")
    names = []
    for _ in range(2):
        model.save(str(tmp_path / "teacher"), create_model_card=False)
        names.append(open_teacher(TeacherConfig("sparse", str(tmp_path / "teacher")), []).name)
        with torch.no_grad():
            next(model.parameters()).add_(0.5)
    assert names[0] != names[1]
    assert all(name.startswith(f"sparse:{tmp_path / 'teacher'}@") for name in names)
