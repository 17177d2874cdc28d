"""Queries widened by their best documents, against plain arithmetic."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sparsearch as ss
from sparsearch.errors import InvalidInputError, InvalidQueryError, SparsearchError
from sparsearch.index import Feedback

Row = dict[str, float]

LETTERS = "abcdefgh"
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 2.0])
ROWS = st.dictionaries(st.sampled_from(LETTERS), WEIGHTS, max_size=6)
SETTINGS = st.builds(
    Feedback, st.integers(1, 4), st.integers(1, 6), st.sampled_from([0.1, 0.3, 2.0])
)


def plainly(index: ss.Index, query: Row, feedback: Feedback) -> Row:
    """Widen a query as the formula says, from what the index tells about its documents."""
    hits = index.search(query, feedback.documents)
    scores = [hit.score for hit in hits]
    spread = float(np.std(scores)) if scores else 0.0
    powers = [math.exp((score - scores[0]) / spread) if spread else 1.0 for score in scores]
    said: dict[str, float] = defaultdict(float)
    for hit, power in zip(hits, powers, strict=True):
        for term, weight in index.vector(hit.id).to_dicts()[0].items():
            said[str(term)] += power / sum(powers) * weight
    every = [set(row) for row in index.vectors().to_dicts()]
    for term in said:
        frequency = sum(term in row for row in every)
        said[term] *= math.log1p((len(every) - frequency + 0.5) / (frequency + 0.5))
    assert index.vocabulary is not None
    number = index.vocabulary.ids
    best = sorted(said, key=lambda term: (-said[term], number[term]))[: feedback.terms]
    if len(said) > len(best):  # rounding must not decide which terms stay
        last, after = sorted(said.values(), reverse=True)[len(best) - 1 : len(best) + 1]
        assume(last == after or last > after * (1 + 1e-9))
    norm = math.sqrt(sum(said[term] ** 2 for term in best))
    known = {term: weight for term, weight in query.items() if term in number}
    scale = feedback.weight * math.sqrt(sum(w * w for w in known.values())) / norm if norm else 0.0
    widened = defaultdict(float, known)
    for term in best:
        widened[term] += scale * said[term]
    return dict(widened)


@settings(max_examples=60)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=12),
    queries=st.lists(ROWS, max_size=4),
    feedback=SETTINGS,
    together=st.booleans(),
)
def test_it_is_the_formula(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    queries: list[Row],
    feedback: Feedback,
    together: bool,
) -> None:
    folder = tmp_path_factory.mktemp("feedback") / "index"
    config = ss.IndexConfig(segment_documents=12 if together else 5)
    with ss.Index.create(folder, None, config) as index:
        index.add_vectors([str(i) for i in range(len(rows))], ss.SparseVectors.from_dicts(rows))
        widened = index.expand(ss.SparseVectors.from_dicts(queries), feedback=feedback)
        if index.vocabulary is None or not len(index.vocabulary):
            return  # nothing but documents without terms
        assert len(widened) == len(queries)
        for found, query in zip(widened.to_dicts(), queries, strict=True):
            expected = plainly(index, query, feedback)
            assert found.keys() == expected.keys()
            for term, weight in expected.items():
                assert math.isclose(found[term], weight, rel_tol=1e-5)


def test_words_and_learned_terms_are_chosen_each_by_themselves(tmp_path: Path) -> None:
    texts = {
        "a": "A kitten sleeps on the sofa of the house.",
        "b": "The car was repaired in a garage near the station.",
        "c": "A cat and a dog play in the garden.",
    }
    with ss.Index.create(tmp_path / "index") as index:
        index.add({"id": name, "text": text} for name, text in texts.items())
        (plain,) = index.encode_queries(["sleeping cat"]).to_dicts()
        (widened,) = index.expand(["sleeping cat"], feedback=Feedback(1, 4, 0.5)).to_dicts()
        learned = {term for term in widened if str(term).startswith("~")}
        added = widened.keys() - plain.keys()
        assert 0 < len(added & learned) <= 4
        assert 0 < len(added - learned) <= 4
        for kind in (learned, widened.keys() - learned):
            difference = [widened[term] - plain.get(term, 0.0) for term in kind]
            norm = np.linalg.norm([plain.get(term, 0.0) for term in kind])
            assert math.isclose(np.linalg.norm(difference), 0.5 * norm, rel_tol=1e-4)
        # An expanded query is a query: contributions add up to the score.
        query = index.expand(["sleeping cat"])
        hits = index.search("sleeping cat", feedback=Feedback())
        assert hits == index.search(query)
        for hit in hits:
            explained = index.explain("sleeping cat", hit.id, feedback=Feedback())
            assert explained.score == pytest.approx(hit.score)
            assert explained.terms == index.explain(query, hit.id).terms
            assert set(explained.missing) < plain.keys()
        run = index.search_batch({"q": "sleeping cat"}, feedback=Feedback())
        assert list(run.ids("q")) == [hit.id for hit in hits]


def test_a_filter_holds_for_the_documents_that_are_believed(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", "bm25") as index:
        index.add(
            [
                {"id": "a", "text": "apple pie", "year": 1999},
                {"id": "b", "text": "apple tree", "year": 2020},
                {"id": "c", "text": "train station", "year": 2020},
            ]
        )
        (all_of_them,) = index.expand(["apple"]).to_dicts()
        (recent,) = index.expand(["apple"], {"year": {">=": 2000}}).to_dicts()
        assert set(all_of_them) == {"appl", "pie", "tree"}
        assert set(recent) == {"appl", "tree"}
        index.delete(["b"])
        assert set(index.expand(["apple"]).to_dicts()[0]) == {"appl", "pie"}


def test_nothing_found_adds_nothing(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", "bm25") as index:
        assert len(index.expand(["apple"])) == 1
        index.add([{"id": "a", "text": "apple"}])
        assert index.expand([]).nnz == 0
        assert (
            index.expand(["pear", ""]).to_dicts() == index.encode_queries(["pear", ""]).to_dicts()
        )


def test_many_queries_are_widened_as_one_by_one(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(60)]
    rng = np.random.default_rng(3)
    with ss.Index.create(tmp_path / "index", "bm25") as index:
        index.add({"id": str(i), "text": " ".join(rng.choice(words, 12))} for i in range(300))
        queries = [" ".join(rng.choice(words, 3)) for _ in range(1500)]
        together = index.expand(queries).to_dicts()
        for number in (0, 1, 1023, 1024, 1499):
            assert together[number] == index.expand([queries[number]]).to_dicts()[0]


@pytest.mark.parametrize(
    "values",
    [
        {"documents": 0},
        {"documents": 1.5},
        {"terms": -1},
        {"terms": True},
        {"weight": 0},
        {"weight": math.nan},
        {"weight": math.inf},
        {"weight": "1"},
    ],
)
def test_settings_outside_their_range(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(values))):
        Feedback(**values)  # type: ignore[arg-type]


def test_the_largest_weights_stay_numbers(tmp_path: Path) -> None:
    rows = [{"a": 1e30, "b": 1.0}, {"b": 1.0, "c": 3e38}]
    with ss.Index.create(tmp_path / "index", None) as index:
        index.add_vectors(["x", "y"], ss.SparseVectors.from_dicts(rows))
        query = {"a": 3e38, "b": 3e38}
        for feedback in (None, Feedback(), Feedback(1, 1, 100)):
            assert {hit.id for hit in index.search(query, feedback=feedback)} == {"x", "y"}
            if feedback is not None:
                widened = index.expand(ss.SparseVectors.from_dicts([query]), feedback=feedback)
                assert np.isfinite(widened.weights).all()


def test_what_is_no_query_is_refused(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", "bm25") as index:
        index.add([{"id": "a", "text": "apple"}])
        with pytest.raises(InvalidQueryError):
            index.expand("apple")
        with pytest.raises(SparsearchError):
            index.expand([1])  # type: ignore[list-item]
        with pytest.raises(InvalidQueryError, match=r"feedback is True; give Feedback\(\)"):
            index.search("apple", feedback=True)  # type: ignore[arg-type]
