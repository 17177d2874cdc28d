"""BM25 through an index equals BM25 computed from the texts, one document at a time."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sparsearch import Bm25Config, Bm25Encoder, Index, IndexConfig

K1, B = 1.2, 0.75


def texts(seed: int, count: int, words: int = 60) -> list[str]:
    """Texts of words that the analyzer leaves as they are, some of them empty."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 30, count)
    return [" ".join(f"w{int(words * u**2)}x" for u in rng.random(size)) for size in sizes.tolist()]


def naive_scores(
    corpus: dict[str, str], query: str, counted: int | None = None, pairs: bool = False
) -> dict[str, float]:
    """Lucene's BM25 over live documents, of words or of pairs of neighbours.

    `counted` documents if deleted ones still count.
    """
    lengths = {document_id: len(text.split()) for document_id, text in corpus.items()}
    counts = {
        document_id: Counter(pairwise(text.split()) if pairs else text.split())
        for document_id, text in corpus.items()
    }
    average = sum(lengths.values()) / max(len(lengths), 1)
    scores: dict[str, float] = {}
    for term in pairwise(query.split()) if pairs else query.split():
        frequency = sum(term in count for count in counts.values())
        others = (counted or len(corpus)) - frequency
        idf = math.log(1 + (others + 0.5) / (frequency + 0.5))
        for document_id, count in counts.items():
            if count[term]:
                norm = K1 * (1 - B + B * lengths[document_id] / average)
                tf = count[term] / (count[term] + norm)
                scores[document_id] = scores.get(document_id, 0.0) + idf * tf
    return scores


QUERIES = ["w0x", "w1x w5x", "w3x w3x w50x w59x", "w2x w7x w11x w13x w17x absent", "absent", ""]


def assert_scores(index: Index, corpus: dict[str, str], tolerance: float) -> None:
    for query in QUERIES:
        expected = naive_scores(corpus, query)
        hits = index.search(query, k=len(corpus) + 1)
        assert {hit.id for hit in hits} == expected.keys()
        # A term-frequency part is at most 1: an error of `tolerance` a term, times its idf.
        for hit in hits:
            assert hit.score == pytest.approx(expected[hit.id], rel=tolerance, abs=tolerance)


def documents(corpus: dict[str, str]) -> list[dict[str, str]]:
    return [{"id": document_id, "text": text} for document_id, text in corpus.items()]


@pytest.mark.parametrize(("weight_bits", "tolerance"), [(8, 0.03), (12, 0.002)])
def test_equals_bm25_of_the_texts(tmp_path: Path, weight_bits: int, tolerance: float) -> None:
    corpus = {f"d{i}": text for i, text in enumerate(texts(1, 400))}
    config = IndexConfig(weight_bits=weight_bits)
    with Index.create(tmp_path / "index", "bm25", config=config) as index:
        index.add(documents(corpus))
        assert_scores(index, corpus, tolerance)


def test_pairs_of_neighbours_are_scored_as_words_are(tmp_path: Path) -> None:
    corpus = {f"d{i}": text for i, text in enumerate(texts(6, 300, words=20))}
    encoder = Bm25Encoder(Bm25Config(pair_weight=0.5))
    with Index.create(tmp_path / "index", encoder, IndexConfig(segment_documents=64)) as index:
        index.add(documents(corpus))
        index.delete([f"d{i}" for i in range(0, 300, 7)])
        index.optimize()
    left = {name: text for name, text in corpus.items() if int(name[1:]) % 7}
    with Index.open(tmp_path / "index") as index:
        assert index.verify() == []
        for query in ["w0x w1x", "w1x w0x", "w3x w0x w0x w2x w9x", "w5x absent w1x", "w4x", ""]:
            words, pairs = (naive_scores(left, query, pairs=of) for of in (False, True))
            found = {hit.id: hit.score for hit in index.search(query, k=300)}
            expected = {name: words[name] + 0.5 * pairs.get(name, 0.0) for name in words}
            assert found == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_the_settings_of_the_encoder_are_kept(tmp_path: Path) -> None:
    encoder = Bm25Encoder(Bm25Config(k1=0.0, b=0.0))
    with Index.create(tmp_path / "index", encoder) as index:
        index.add([{"id": "a", "text": "w w w"}, {"id": "b", "text": "w " * 50}])
        first = index.search("w")
    with Index.open(tmp_path / "index") as index:
        assert index.search("w") == first
        assert first[0].score == first[1].score == pytest.approx(math.log(1.2))


def test_documents_added_later_count_as_if_added_at_once(tmp_path: Path) -> None:
    """Within the drift of the average length at first, exactly after `optimize`."""
    corpus = {f"d{i}": text for i, text in enumerate(texts(2, 500))}
    longer = {f"e{i}": f"{text} {text} w1x" for i, text in enumerate(texts(3, 300))}
    both = {**corpus, **longer}
    with Index.create(tmp_path / "once", "bm25") as once:
        once.add(documents(both))
        expected = [once.search(query, k=1000) for query in QUERIES]
    config = IndexConfig(segment_documents=150)
    with Index.create(tmp_path / "later", "bm25", config=config) as later:
        for part in (corpus, longer):
            later.add(documents(part))
        assert later.info().segments > 1
        assert_scores(later, both, 0.004)
        later.optimize()
        assert [later.search(query, k=1000) for query in QUERIES] == expected


def test_deleted_documents_do_not_count_after_optimize(tmp_path: Path) -> None:
    corpus = {f"d{i}": text for i, text in enumerate(texts(4, 300))}
    with Index.create(tmp_path / "index", "bm25", IndexConfig(segment_documents=64)) as index:
        index.add(documents(corpus))
        index.upsert(documents({f"d{i}": text for i, text in enumerate(texts(5, 40))}))
        index.delete([f"d{i}" for i in range(100, 150)])
        assert {hit.id for hit in index.search("w0x w1x w2x", k=1000)} == naive_scores(
            {d.id: d.text or "" for d in index.documents()}, "w0x w1x w2x"
        ).keys()
        index.optimize()
        left = {document.id: document.text or "" for document in index.documents()}
        assert len(left) == 250
        assert_scores(index, left, 0.002)
        once = Index.create(tmp_path / "once", "bm25")
        once.add(documents(left))
        for query in QUERIES:
            assert index.search(query, k=1000) == once.search(query, k=1000)
        once.close()


def test_a_term_of_deleted_documents_only(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add([{"id": str(i), "text": "common rare" if i == 3 else "common"} for i in range(9)])
        index.delete(["3"])
        assert index.search("rare") == []
        index.optimize()
        assert index.search("rare") == []
        assert len(index.search("rare common")) == 8


def test_explain_adds_up(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25", IndexConfig(segment_documents=50)) as index:
        index.add(documents({f"d{i}": text for i, text in enumerate(texts(6, 200))}))
        query = "w1x w2x w3x w50x absent"
        for hit in index.search(query, k=1000):
            explanation = index.explain(query, hit.id)
            assert explanation.id == hit.id
            assert explanation.score == hit.score
            contributions = [term.contribution for term in explanation.terms]
            assert sum(contributions) == hit.score
            assert contributions == sorted(contributions, reverse=True)
            assert {term.term for term in explanation.terms} <= set(query.split())
            for term in explanation.terms:
                product = term.query_weight * term.document_weight
                assert term.contribution == pytest.approx(product, rel=1e-3)


def test_encode_queries_gives_the_vectors_that_search_uses(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", "bm25") as index:
        index.add(documents({f"d{i}": text for i, text in enumerate(texts(7, 100))}))
        vectors = index.encode_queries(QUERIES)
        runs = index.search_batch(dict(zip("abcdef", QUERIES, strict=True)), k=20)
        assert list(runs) == list("abcdef")
        by_vector = index.search_batch(vectors, k=20)
        assert [by_vector[name] for name in by_vector] == [runs[name] for name in runs]
        assert index.search_batch(QUERIES, k=20) == by_vector
