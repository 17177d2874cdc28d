from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_strategies import batches

from sparsearch.errors import (
    InvalidInputError,
    InvalidVectorError,
    SparsearchError,
    VocabularyMismatchError,
)
from sparsearch.vectors import SparseVectors, Vocabulary, _checks

WORDS = Vocabulary(["zero", "one", "two", "three"])


def example(vocabulary: Vocabulary | None = None) -> SparseVectors:
    return SparseVectors([0, 2, 2, 3], [1, 3, 0], [0.5, -2.0, 0.0], vocabulary)


def test_attributes() -> None:
    vectors = example(WORDS)
    assert len(vectors) == 3
    assert vectors.nnz == 3
    assert vectors.dimension == 4
    assert example().dimension == 4
    assert vectors.vocabulary is WORDS
    assert (vectors.offsets.dtype, vectors.term_ids.dtype, vectors.weights.dtype) == (
        np.int64,
        np.uint32,
        np.float32,
    )
    assert repr(vectors) == "SparseVectors(3 rows, 3 entries, Vocabulary(4 terms))"
    assert repr(example()) == "SparseVectors(3 rows, 3 entries, no vocabulary)"


def test_empty_batch() -> None:
    vectors = SparseVectors([0], [], [])
    assert len(vectors) == vectors.nnz == vectors.dimension == 0
    assert vectors.to_dicts() == []
    assert vectors[:] == vectors[[]] == vectors.drop_zeros() == vectors


def test_arrays_are_shared_but_read_only() -> None:
    offsets = np.array([0, 1])
    term_ids, weights = np.array([7], dtype=np.uint32), np.array([1], dtype=np.float32)
    vectors = SparseVectors(offsets, term_ids, weights)
    mine = (offsets, term_ids, weights)
    kept = (vectors.offsets, vectors.term_ids, vectors.weights)
    for given_array, array in zip(mine, kept, strict=True):
        assert np.shares_memory(given_array, array)
        assert given_array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        vectors.weights = weights


def test_int32_ids_are_not_copied() -> None:
    term_ids = np.array([1, 3, 0], dtype=np.int32)
    assert np.shares_memory(SparseVectors([0, 2, 2, 3], term_ids, [1, 1, 1]).term_ids, term_ids)


def test_read_only_memory_maps(tmp_path: Path) -> None:
    vectors = example()
    maps = []
    for number, array in enumerate((vectors.offsets, vectors.term_ids, vectors.weights)):
        np.save(tmp_path / f"{number}.npy", array)
        maps.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    mapped = SparseVectors(*maps)
    assert mapped == vectors
    assert np.shares_memory(mapped.weights, maps[2])


@pytest.mark.parametrize("kind", ["i1", "u1", ">i2", ">u4", "i8", "u8", "f4", "f8"])
def test_ids_of_any_number_type(kind: str) -> None:
    vectors = SparseVectors([0, 2, 2, 3], np.array([1, 3, 0], dtype=kind), [0.5, -2.0, 0.0])
    assert vectors == example()


def test_strided_and_swapped_arrays_become_contiguous() -> None:
    weights = np.array([0.5, 9, -2, 9, 0, 9], dtype=">f8")[::2]
    vectors = SparseVectors(np.array([0, 2, 2, 3], dtype=">u2"), [1, 3, 0], weights)
    assert vectors == example()
    assert vectors.weights.flags.c_contiguous


GOOD: dict[str, Any] = {"offsets": [0, 2, 3], "term_ids": [1, 3, 0], "weights": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("changes", "row", "reason"),
    [
        ({"offsets": []}, None, "must start with 0"),
        ({"offsets": [1, 3]}, None, "must start with 0"),
        ({"offsets": [-1, 3]}, None, "must start with 0"),
        ({"offsets": [0, 3, 2, 3]}, 1, "offsets decrease from 3 to 2"),
        ({"offsets": [0, 2, 4]}, None, "offsets end at 4, but there are 3 term ids"),
        ({"offsets": [0, 2]}, None, "offsets end at 2"),
        ({"offsets": [0.0, 3.0]}, None, "offsets have dtype float64"),
        ({"offsets": np.array([0, 2**63 + 3, 3], dtype=np.uint64)}, 0, "offsets decrease"),
        ({"offsets": [[0, 3]]}, None, "offsets have 2 dimensions"),
        ({"offsets": 0}, None, "offsets have 0 dimensions"),
        ({"term_ids": [1, 3]}, None, "2 term ids but 3 weights"),
        ({"weights": [1.0]}, None, "3 term ids but 1 weights"),
        ({"term_ids": [3, 1, 0]}, 0, "not sorted: 1 follows 3"),
        ({"term_ids": [3, 3, 0]}, 0, "duplicate term 3"),
        ({"term_ids": [-1, 3, 0]}, 0, "term id -1 is not an integer from 0 to 4294967295"),
        ({"term_ids": [1, 3, 2**32]}, 1, "term id 4294967296 is not"),
        ({"term_ids": [1, 3, 2**63]}, 1, "is not an integer from 0"),
        ({"term_ids": [1, 2**64, 0]}, None, "term ids have dtype object"),
        ({"term_ids": [1, 2.5, 0]}, 0, "term id 2.5 is not an integer"),
        ({"term_ids": [1, np.nan, 0]}, 0, "term id nan is not"),
        ({"term_ids": [1, 3, np.inf]}, 1, "term id inf is not"),
        ({"term_ids": np.array([-1, 3, 0], dtype=np.int32)}, 0, "term id -1 is not"),
        ({"term_ids": ["1", "3", "0"]}, None, "term ids have dtype <U1"),
        ({"term_ids": [True, True, False]}, None, "term ids have dtype bool"),
        ({"term_ids": [[1], [3, 0]]}, None, "term ids cannot be read"),
        ({"weights": [1.0, np.nan, 3.0]}, 0, "NaN weight for term 3"),
        ({"weights": [1.0, 2.0, -np.inf]}, 1, "infinite weight for term 0"),
        ({"weights": [1.0, 1e39, 3.0]}, 0, "weight 1e+39 of term 3 is too large for float32"),
        ({"weights": [1j, 2, 3]}, None, "weights have dtype complex128"),
        ({"weights": [True, False, True]}, None, "weights have dtype bool"),
        ({"weights": [1.0, None, 3.0]}, None, "weights have dtype object"),
        ({"weights": {1.0, 2.0, 3.0}}, None, "weights have 0 dimensions"),
    ],
)
def test_refusals(changes: dict[str, Any], row: int | None, reason: str) -> None:
    with pytest.raises(InvalidVectorError) as caught:
        SparseVectors(**{**GOOD, **changes})
    assert caught.value.row == row
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"term_ids": [1, 4, 0]}, "term id 4 is not an integer from 0 to 3 (the vocabulary has 4"),
        ({"term_ids": [3, 3, 0]}, "duplicate term 'three'"),
        ({"weights": [1.0, np.nan, 3.0]}, "NaN weight for term 'three'"),
    ],
)
def test_refusals_name_the_term(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidVectorError) as caught:
        SparseVectors(**{**GOOD, **changes}, vocabulary=WORDS)
    assert caught.value.row == 0
    assert reason in caught.value.reason


@pytest.mark.parametrize("part", [1, 2, 3])
def test_order_is_checked_across_the_parts_of_a_scan(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checks, "_PART", part)
    offsets, good = [0, 0, 3, 3, 5, 6, 6], [0, 4, 5, 2, 3, 0]
    SparseVectors(offsets, good, np.ones(6))
    for position, row in ((1, 1), (2, 1), (4, 3)):
        bad = good.copy()
        bad[position] = bad[position - 1]
        with pytest.raises(InvalidVectorError, match="duplicate") as caught:
            SparseVectors(offsets, bad, np.ones(6))
        assert caught.value.row == row


@given(
    st.lists(st.integers(-2, 6), max_size=5),
    st.lists(st.integers(-2, 6) | st.just(2**32), max_size=6),
    st.lists(st.floats() | st.floats(width=32), max_size=6),
)
def test_any_arrays_are_refused_or_kept_exactly(
    offsets: list[int], term_ids: list[int], weights: list[float]
) -> None:
    try:
        vectors = SparseVectors(offsets, term_ids, weights)
    except InvalidVectorError:
        return
    assert vectors.offsets.tolist() == offsets
    assert vectors.term_ids.tolist() == term_ids
    np.testing.assert_array_equal(vectors.weights, np.array(weights, dtype=np.float32))
    for row in range(len(vectors)):
        ids = vectors.row(row)[0].tolist()
        assert ids == sorted(set(ids))


@given(batches(), st.data())
def test_rows_slices_and_choices_agree(vectors: SparseVectors, data: st.DataObject) -> None:
    dicts = vectors.to_dicts()
    bound = st.none() | st.integers(-10, 10)
    step = st.none() | st.integers(-3, 3).filter(bool)
    chosen = data.draw(st.builds(slice, bound, bound, step))
    assert vectors[chosen].to_dicts() == dicts[chosen]
    assert vectors[chosen].vocabulary is vectors.vocabulary
    if dicts:
        numbers = data.draw(st.lists(st.integers(0, len(dicts) - 1)))
        picked = vectors[np.array(numbers, dtype=np.int32)]
        assert picked.to_dicts() == [dicts[number] for number in numbers]
        assert SparseVectors(picked.offsets, picked.term_ids, picked.weights).nnz == picked.nnz


def test_slices_share_memory() -> None:
    vectors = example()
    assert np.shares_memory(vectors[:2].weights, vectors.weights)
    term_ids, weights = vectors.row(0)
    assert np.shares_memory(weights, vectors.weights)
    assert term_ids.tolist() == [1, 3]


@pytest.mark.parametrize(
    "rows", [1, -1, 1.5, None, "ab", [3], [-1], [0.5], [True, False, True], [[0]], [[0], [1, 2]]]
)
def test_bad_choices_of_rows(rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="row"):
        example()[rows]


@pytest.mark.parametrize("row", [-1, 3, 2**70])
def test_bad_row(row: int) -> None:
    with pytest.raises(InvalidInputError, match="no row"):
        example().row(row)


@given(batches(), st.data())
def test_concatenating_slices_gives_the_whole(vectors: SparseVectors, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(vectors)), max_size=3)))
    bounds = [0, *cuts, len(vectors)]
    parts = [vectors[a:b] for a, b in pairwise(bounds)]
    assert SparseVectors.concatenate(parts) == vectors


def test_concatenate_needs_one_vocabulary() -> None:
    twin = Vocabulary(WORDS.terms())
    assert len(SparseVectors.concatenate([example(WORDS), example(twin)])) == 6
    for other in (None, Vocabulary(["other", *WORDS.terms()])):
        with pytest.raises(VocabularyMismatchError, match="batch 1 has another vocabulary"):
            SparseVectors.concatenate([example(WORDS), example(other)])
    with pytest.raises(InvalidInputError, match="nothing to concatenate"):
        SparseVectors.concatenate([])


@given(batches())
def test_drop_zeros(vectors: SparseVectors) -> None:
    expected = [{term: w for term, w in row.items() if w} for row in vectors.to_dicts()]
    assert vectors.drop_zeros().to_dicts() == expected


@given(batches())
def test_pickle(vectors: SparseVectors) -> None:
    twin = pickle.loads(pickle.dumps(vectors))
    assert twin == vectors
    assert not twin.weights.flags.writeable


def test_equality() -> None:
    assert example() == example()
    assert example() != example(WORDS)
    assert example() != example()[:2]
    assert example() != SparseVectors([0, 2, 2, 3], [1, 3, 0], [0.5, -2.0, 1.0])
    assert example() != "vectors"
    with pytest.raises(TypeError):
        hash(example())


def test_every_refusal_is_in_the_tree() -> None:
    with pytest.raises(SparsearchError):
        SparseVectors([0, 1], [0], [np.nan])
    with pytest.raises(ValueError, match="row 0: NaN"):
        SparseVectors([0, 1], [0], [np.nan])
