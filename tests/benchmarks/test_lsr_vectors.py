"""The made-up vectors of the benchmarks: what they promise about seeds, chunks and statistics."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sparsearch import SparseVectors
from sparsearch.vectors import read_bigann_csr

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import lsr_vectors as lsr

SPLADE = lsr.MODELS["splade"]


def joined(batches: list[SparseVectors]) -> SparseVectors:
    sizes = np.concatenate([np.diff(batch.offsets) for batch in batches])
    return SparseVectors(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([batch.term_ids for batch in batches]),
        np.concatenate([batch.weights for batch in batches]),
    )


def same(one: SparseVectors, other: SparseVectors) -> bool:
    pairs = (
        (one.offsets, other.offsets),
        (one.term_ids, other.term_ids),
        (one.weights, other.weights),
    )
    return all(np.array_equal(left, right) for left, right in pairs)


def scores(documents: SparseVectors, queries: SparseVectors) -> np.ndarray:
    dense = np.zeros((lsr.VOCABULARY, len(queries)), np.float32)
    dense[queries.term_ids, np.repeat(np.arange(len(queries)), np.diff(queries.offsets))] = (
        queries.weights
    )
    products = dense[documents.term_ids] * documents.weights[:, None]
    return np.add.reduceat(products, documents.offsets[:-1])


@pytest.fixture(scope="module")
def collection() -> SparseVectors:
    return joined(list(lsr.documents(SPLADE, 3_000, seed=7)))


def test_a_seed_gives_the_same_vectors_and_another_seed_others(collection: SparseVectors) -> None:
    assert same(collection, joined(list(lsr.documents(SPLADE, 3_000, seed=7))))
    assert not same(collection, joined(list(lsr.documents(SPLADE, 3_000, seed=8))))
    assert same(lsr.queries(SPLADE, 3_000, 20, seed=7), lsr.queries(SPLADE, 3_000, 20, seed=7))


@pytest.mark.parametrize("chunk", [999, 1_024, 50_000])
def test_chunks_do_not_change_the_documents(collection: SparseVectors, chunk: int) -> None:
    batches = list(lsr.documents(SPLADE, 3_000, seed=7, chunk=chunk))
    assert {len(batch) for batch in batches[:-1]} <= {chunk}
    assert same(collection, joined(batches))


def test_any_part_can_be_made_by_itself(collection: SparseVectors) -> None:
    assert same(collection[1_234:1_300], lsr.document_rows(SPLADE, 3_000, 7, 1_234, 66))


def test_more_queries_begin_with_the_same_ones() -> None:
    assert same(lsr.queries(SPLADE, 500, 30, 1)[:10], lsr.queries(SPLADE, 500, 10, 1))


@pytest.mark.parametrize("name", lsr.MODELS)
def test_the_shape_of_every_model(name: str) -> None:
    model = lsr.MODELS[name]
    documents = lsr.document_rows(model, 100_000, 1, 0, 800)
    queries = lsr.queries(model, 100_000, 800, 1)
    for vectors, rows in ((documents, model.documents), (queries, model.queries)):
        sizes = np.diff(vectors.offsets)
        assert sizes.mean() == pytest.approx(rows.nnz, rel=0.06)
        assert sizes.std() == pytest.approx(rows.spread, rel=0.15)
        assert sizes.min() >= 1
        assert vectors.weights.min() > 0
        assert vectors.dimension <= lsr.VOCABULARY


def test_document_weights_follow_the_published_quantiles(collection: SparseVectors) -> None:
    quantiles = np.quantile(collection.weights, [0.5, 0.9, 0.99])
    assert quantiles == pytest.approx([0.28, 1.08, 2.0], rel=0.03)
    falling = np.sort(collection.weights)[::-1].cumsum(dtype=np.float64)
    half = np.searchsorted(falling, falling[-1] / 2) / collection.nnz
    assert half == pytest.approx(0.188, abs=0.015)


def test_unicoil_weights_are_whole_numbers() -> None:
    weights = lsr.document_rows(lsr.MODELS["unicoil"], 1_000, 1, 0, 200).weights
    assert np.array_equal(weights, np.round(weights))
    assert weights.min() >= 1


def test_inference_free_queries_weigh_a_term_the_same_everywhere() -> None:
    queries = lsr.queries(lsr.MODELS["doc-only"], 1_000, 300, 1)
    order = np.argsort(queries.term_ids, kind="stable")
    terms, weights = queries.term_ids[order], queries.weights[order]
    again = terms[1:] == terms[:-1]
    assert again.sum() > 100
    assert np.array_equal(weights[1:][again], weights[:-1][again])


def test_statistics_of_a_document_do_not_depend_on_the_size_of_the_collection() -> None:
    small, large = (lsr.document_rows(SPLADE, size, 1, 0, 1_000) for size in (1_000, 10_000_000))
    assert small.nnz == pytest.approx(large.nnz, rel=0.03)
    assert small.weights.mean() == pytest.approx(large.weights.mean(), rel=0.03)


def test_document_frequency_has_a_few_frequent_terms_and_many_rare_ones(
    collection: SparseVectors,
) -> None:
    counts = np.bincount(collection.term_ids, minlength=lsr.VOCABULARY)
    df = np.sort(counts)[::-1] / len(collection)
    assert 0.4 < df[0] < 0.8
    assert 0.08 < df[100] < 0.2
    assert df[5_000] < 0.01
    common = collection.weights[np.isin(collection.term_ids, np.argsort(counts)[-10:])]
    assert common.mean() < 0.7 * collection.weights.mean()


def test_scores_fall_off_gradually(collection: SparseVectors) -> None:
    found = scores(collection, lsr.queries(SPLADE, 3_000, 40, seed=7))
    falling = -np.sort(-found, axis=0)
    shares = (falling / falling[0]).mean(axis=1)
    assert 0.65 < shares[9] < 0.9
    assert 0.15 < shares[99] < 0.65


def test_some_documents_nearly_repeat_another() -> None:
    documents = lsr.document_rows(SPLADE, 600, 3, 0, 600)
    dense = np.zeros((600, lsr.VOCABULARY), np.float32)
    dense[np.repeat(np.arange(600), np.diff(documents.offsets)), documents.term_ids] = (
        documents.weights
    )
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    cosines = dense @ dense.T
    np.fill_diagonal(cosines, 0)
    pairs = (cosines.max(axis=1) > 0.9).mean()  # both of a pair count
    assert 0.03 < pairs < 0.09


def test_the_csr_file_holds_the_collection(tmp_path: Path, collection: SparseVectors) -> None:
    path = tmp_path / "base.csr"
    lsr.write_csr(path, lsr.documents(SPLADE, 3_000, seed=7, chunk=1_000))
    assert same(collection, read_bigann_csr(path))
    assert [file.name for file in tmp_path.iterdir()] == ["base.csr"]
