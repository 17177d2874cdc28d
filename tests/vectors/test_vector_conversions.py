from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_strategies import batches, rows

from sparsearch.errors import InvalidInputError, InvalidVectorError, MissingExtraError
from sparsearch.vectors import SparseVectors, Vocabulary


@given(rows(2**32 - 1))
def test_integer_dicts(dicts: list[dict[int, float]]) -> None:
    vectors = SparseVectors.from_dicts(dicts)
    assert vectors.vocabulary is None
    assert vectors.to_dicts() == dicts


@given(batches())
def test_dicts_of_either_kind(vectors: SparseVectors) -> None:
    assert SparseVectors.from_dicts(vectors.to_dicts(), vectors.vocabulary) == vectors


def test_strings_make_a_vocabulary_in_order_of_appearance() -> None:
    vectors = SparseVectors.from_dicts([{"b": 1, "a": 2}, {}, {"c": 3, "b": np.float32(4)}])
    assert vectors.vocabulary == Vocabulary(["b", "a", "c"])
    assert vectors.to_dicts() == [{"b": 1, "a": 2}, {}, {"b": 4, "c": 3}]


def test_other_number_types() -> None:
    vectors = SparseVectors.from_dicts([{np.int64(3): Fraction(1, 2), 1: np.int8(2)}])
    assert vectors.to_dicts() == [{1: 2.0, 3: 0.5}]


def test_a_given_vocabulary_is_extended_only_on_request() -> None:
    words = Vocabulary(["a"])
    with pytest.raises(InvalidVectorError, match="row 1: term 'b' is not in the vocabulary"):
        SparseVectors.from_dicts([{"a": 1}, {"b": 1}], words)
    assert words.terms() == ["a"]
    vectors = SparseVectors.from_dicts([{"a": 1}, {"b": 1}], words, extend=True)
    assert vectors.vocabulary is words
    assert words.terms() == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "row", "reason"),
    [
        ([{}, [1, 2]], 1, "[1, 2] is not a mapping"),
        ({"a": 1}, 0, "'a' is not a mapping"),
        ([{}, {"a": 1, 2: 1}], 1, "strings and integers are mixed"),
        ([{3: 1}, {}, {"a": 1}], 2, "strings and integers are mixed"),
        ([{1.0: 1}], 0, "term 1.0 is neither a string nor an integer"),
        ([{True: 1}], 0, "term True is neither"),
        ([{None: 1}], 0, "term None is neither"),
        ([{}, {"a": "1"}], 1, "weight '1' of term 'a' is not a number"),
        ([{"a": None}], 0, "weight None"),
        ([{"a": True}], 0, "weight True"),
        ([{"a": np.True_}], 0, "of term 'a' is not a number"),
        ([{"a": 1j}], 0, "weight 1j"),
        ([{"a": [1]}], 0, "weight [1]"),
        ([{"a": float("nan")}], 0, "NaN weight for term 'a'"),
        ([{"a": 1, "b": -float("inf")}], 0, "infinite weight for term 'b'"),
        ([{"a": 1e39}], 0, "weight 1e+39 of term 'a' is too large"),
        ([{}, {"a": 10**5000}], 1, "weight of term 'a' is too large"),
        ([{-1: 1}], 0, "term id -1 is not"),
        ([{2**32: 1}], 0, "term id 4294967296 is not"),
        ([{5: 1}, {10**5000: 1}], 1, "a term id is not an integer from 0"),
        ([{"a": 1}, {"\ud800": 1}], 1, "lone surrogate"),
    ],
)
def test_bad_dicts(bad: Any, row: int, reason: str) -> None:
    with pytest.raises(InvalidVectorError) as caught:
        SparseVectors.from_dicts(bad)
    assert caught.value.row == row
    assert reason in caught.value.reason


def test_integer_keys_are_checked_against_the_vocabulary() -> None:
    words = Vocabulary(["a", "b"])
    assert SparseVectors.from_dicts([{1: 2.0}], words).to_dicts() == [{"b": 2.0}]
    with pytest.raises(InvalidVectorError, match="the vocabulary has 2 terms"):
        SparseVectors.from_dicts([{2: 2.0}], words)


FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr"]


@settings(max_examples=50)
@given(batches(max_id=300), st.sampled_from(FORMATS))
def test_scipy_round_trip(vectors: SparseVectors, kind: str) -> None:
    matrix = vectors.to_scipy(columns=max(1, vectors.dimension))
    assert matrix.shape == (len(vectors), max(1, vectors.dimension))
    assert SparseVectors.from_scipy(matrix, vectors.vocabulary) == vectors
    assert SparseVectors.from_scipy(scipy.sparse.csr_matrix(matrix), vectors.vocabulary) == vectors
    if len(vectors):
        other = SparseVectors.from_scipy(matrix.asformat(kind), vectors.vocabulary)
        assert other.drop_zeros() == vectors.drop_zeros()


def test_scipy_sorts_rows_without_touching_the_matrix() -> None:
    arrays = np.array([1.0, 2.0, 3.0]), np.array([5, 2, 0]), np.array([0, 2, 3])
    matrix = scipy.sparse.csr_array(arrays, shape=(2, 6))
    assert SparseVectors.from_scipy(matrix).to_dicts() == [{2: 2, 5: 1}, {0: 3}]
    assert matrix.indices.tolist() == [5, 2, 0]


def test_scipy_wide_and_empty() -> None:
    wide = SparseVectors([0, 1], [2**32 - 1], [1.0])
    assert wide.to_scipy().shape == (1, 2**32)
    assert SparseVectors.from_scipy(wide.to_scipy()) == wide
    assert len(SparseVectors.from_scipy(scipy.sparse.csr_array((0, 5)))) == 0
    with pytest.raises(InvalidInputError, match="7 columns do not hold term id 4294967295"):
        wide.to_scipy(columns=7)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_scipy_duplicates_are_refused_not_summed(kind: str) -> None:
    coordinates = np.array([0, 1, 1]), np.array([4, 3, 3])
    coo = scipy.sparse.coo_array((np.ones(3), coordinates), shape=(2, 5))
    indices = {"csr": ([4, 3, 3], [0, 1, 3]), "csc": ([1, 1, 0], [0, 0, 0, 0, 2, 3])}
    matrix: Any = coo
    if kind != "coo":
        make = getattr(scipy.sparse, f"{kind}_array")
        matrix = make((np.ones(3), *indices[kind]), shape=(2, 5))
    with pytest.raises(InvalidVectorError, match="row 1: duplicate term 3"):
        SparseVectors.from_scipy(matrix)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.eye(2), "ndarray is not a scipy sparse matrix"),
        (scipy.sparse.csr_array(np.eye(2) * 1j), "dtype complex128"),
        (scipy.sparse.csr_array(np.eye(2) * np.nan), "NaN weight for term 'a'"),
        (scipy.sparse.coo_array(np.eye(3)), "row 2: term id 2 is not"),
    ],
)
def test_bad_scipy(bad: Any, reason: str) -> None:
    with pytest.raises(InvalidVectorError, match=reason):
        SparseVectors.from_scipy(bad, Vocabulary(["a", "b"]))


def test_one_dimensional_scipy() -> None:
    vector = scipy.sparse.coo_array(np.ones(3))
    if vector.ndim == 2:
        pytest.skip("this scipy has no one-dimensional arrays")
    with pytest.raises(InvalidVectorError, match="has 1 dimensions, not 2"):
        SparseVectors.from_scipy(vector)


def test_altered_scipy_matrices_are_refused() -> None:
    matrix = scipy.sparse.csr_array(np.eye(3))
    matrix.indptr[1] = 3
    with pytest.raises(InvalidVectorError, match="row 1: offsets decrease"):
        SparseVectors.from_scipy(matrix)
    coo = scipy.sparse.coo_array(np.eye(3))
    coo.row[1] = -1
    with pytest.raises(InvalidVectorError, match="row numbers"):
        SparseVectors.from_scipy(coo)


@pytest.mark.parametrize("package", ["scipy", "torch"])
def test_missing_extras(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.sparse", None)
    vectors = SparseVectors.from_dicts([{1: 1.0}])
    with pytest.raises(MissingExtraError, match=package):
        getattr(vectors, f"to_{package}")()
    with pytest.raises(MissingExtraError, match=package):
        getattr(SparseVectors, f"from_{package}")(vectors)


def test_a_weight_too_small_for_float32_is_not_lost() -> None:
    vectors = SparseVectors.from_dicts([{"a": 1e-50, "b": 0.0, "c": -1e-300, "d": 1.0}])
    assert (vectors.weights[[0, 2]] * [1, -1] > 0).all()
    assert vectors.drop_zeros().nnz == 3
