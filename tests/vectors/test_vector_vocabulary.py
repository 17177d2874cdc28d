from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_strategies import terms

from sparsearch.errors import InvalidInputError
from sparsearch.vectors import Vocabulary, vocabulary


@given(st.lists(terms, unique=True))
def test_ids_are_positions(given_terms: list[str]) -> None:
    words = Vocabulary(given_terms)
    assert len(words) == len(given_terms)
    assert list(words) == words.terms() == given_terms
    assert [words.get(term) for term in given_terms] == list(range(len(given_terms)))
    assert [words.term(term_id) for term_id in range(len(words))] == given_terms
    assert all(term in words for term in given_terms)


@given(st.lists(terms))
def test_growing_one_by_one_and_in_bulk_agree(tokens: list[str]) -> None:
    one_by_one, bulk, at_once = Vocabulary(["first"]), Vocabulary(["first"]), Vocabulary(["first"])
    ids = [one_by_one.add(token) for token in tokens]
    assert list(map(bulk.ids.__getitem__, tokens)) == ids
    at_once.extend(tokens)
    assert [at_once.get(token) for token in tokens] == ids
    assert one_by_one == bulk == at_once
    assert [bulk.term(term_id) for term_id in ids] == tokens
    assert bulk.terms(1) == list(dict.fromkeys(token for token in tokens if token != "first"))


def test_looking_does_not_add() -> None:
    words = Vocabulary(["a"])
    assert words.get("b") is None
    assert words.ids.get("b") is None
    assert "b" not in words
    assert 0 not in words
    assert len(words) == 1


def test_terms_is_a_copy() -> None:
    words = Vocabulary(["a", "b"])
    words.terms().clear()
    assert words.terms() == ["a", "b"]
    assert words.terms(1) == ["b"]
    assert words.terms(0, 1) == ["a"]
    assert words.terms(9) == []


def test_equality_and_copies() -> None:
    words = Vocabulary(["a", "b"])
    assert words != Vocabulary(["b", "a"])
    assert words != ["a", "b"]
    for twin in (copy.deepcopy(words), pickle.loads(pickle.dumps(words))):
        assert twin == words
        assert twin.add("c") == 2
        assert twin != words
    assert "2 terms" in repr(words)
    with pytest.raises(TypeError):
        hash(words)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (["a", "b", "a"], "terms 0 and 2 are both 'a'"),
        (["a", 5], "term 1 is 5, not a string"),
        ([None], "term 0 is None"),
        (["a", "\ud800"], "term 1.*lone surrogate"),
        ([b"a"], "not a string"),
    ],
)
def test_constructor_refuses(bad: list[str], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        Vocabulary(bad)


@pytest.mark.parametrize("bad", [5, None, b"a", ["a"], "\udfff"])
def test_add_refuses(bad: str) -> None:
    words = Vocabulary(["a"])
    with pytest.raises(InvalidInputError, match="term 1"):
        words.add(bad)
    with pytest.raises(InvalidInputError, match="term 1"):
        words.extend(["b", bad])
    assert words.terms() == ["a"]


@pytest.mark.parametrize("term_id", [-1, 1, 2**40])
def test_term_refuses_unknown_ids(term_id: int) -> None:
    with pytest.raises(InvalidInputError, match=f"no term has id {term_id}"):
        Vocabulary(["a"]).term(term_id)


def test_terms_refuses_negative_start() -> None:
    with pytest.raises(InvalidInputError, match="start at 0"):
        Vocabulary(["a"]).terms(-1)


def test_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_TERMS", 2)
    words = Vocabulary(["a", "b"])
    assert words.add("b") == 1
    with pytest.raises(InvalidInputError, match="at most 2 terms"):
        words.add("c")
    with pytest.raises(InvalidInputError, match="at most 2 terms"):
        words.extend(["b", "c"])
    with pytest.raises(InvalidInputError, match="at most 2 terms, not 3"):
        Vocabulary(["a", "b", "c"])


def test_threads_never_give_one_term_two_ids() -> None:
    words = Vocabulary()
    tokens = [f"t{number % 3000}" for number in range(30_000)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: list(map(words.ids.__getitem__, tokens)), range(8)))
    assert len(words) == 3000
    assert all(result == results[0] for result in results)
    assert [words.term(term_id) for term_id in results[0]] == tokens
