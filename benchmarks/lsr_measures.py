"""What one pass over made-up vectors tells, and what is compared with real queries.

Exact scores of all documents for some queries are kept as far as they are high, and a histogram of
weights per term, from which follows where a list cut to its heaviest postings ends.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common import data_folder
from lsr_models import MODELS
from lsr_vectors import VOCABULARY, document_rows, documents, queries
from sparsearch import SparseVectors

SEED = 1
BINS = 1024
KEPT = 20_000
"""Best documents remembered of each query."""

CUTS = (3, 5, 10, 20, 1_000)
REAL = {"splade": "splade-pp-ed", "splade-v3": "splade-v3", "unicoil": "unicoil"}
RANKS = (1, 3, 5, 10, 20)
SCORE_RANKS = (2, 10, 100, 1_000)

Floats = NDArray[np.floating[Any]]


@dataclass
class Survey:
    """What one pass over a collection found."""

    name: str
    n_docs: int
    queries: SparseVectors
    histogram: NDArray[np.int64]
    bin_width: float
    nnz: NDArray[np.int64]
    scores: NDArray[np.float32]
    best: NDArray[np.int64]

    @property
    def df(self) -> NDArray[np.int64]:
        """Document frequency of each term."""
        frequencies: NDArray[np.int64] = self.histogram.sum(axis=1)
        return frequencies

    def quantile(self, share: float) -> float:
        """Return the weight that `share` of all postings do not exceed."""
        counts = self.histogram.sum(axis=0).cumsum()
        return float(np.searchsorted(counts, share * counts[-1]) + 0.5) * self.bin_width

    def mass(self) -> tuple[Floats, Floats]:
        """Return shares of postings, heaviest first, and the shares of the mass they hold."""
        counts = self.histogram.sum(axis=0)[::-1]
        mass = (counts * (np.arange(BINS)[::-1] + 0.5)).cumsum()
        return counts.cumsum() / counts.sum(), mass / mass[-1]

    def mean_weight(self) -> float:
        """Return the mean weight of a posting."""
        counts = self.histogram.sum(axis=0)
        return float(counts @ (np.arange(BINS) + 0.5) / counts.sum()) * self.bin_width


@njit(nogil=True, cache=True)
def _survey(offsets, terms, weights, query_weights, asked, bin_width, histogram, scores):  # type: ignore[no-untyped-def]
    for row in range(offsets.size - 1):
        for i in range(offsets[row], offsets[row + 1]):
            term, weight = terms[i], weights[i]
            histogram[term, min(int(weight / bin_width), histogram.shape[1] - 1)] += 1
            if asked[term]:
                for query in range(scores.shape[1]):
                    scores[row, query] += weight * query_weights[term, query]


def _taken(array: NDArray[Any], order: NDArray[np.intp]) -> NDArray[Any]:
    return np.take_along_axis(array, order, axis=0)


def survey(name: str, n_docs: int, n_queries: int) -> Survey:
    """Go through a collection once."""
    model = MODELS[name]
    asked = queries(model, n_docs, n_queries, SEED)
    dense = np.zeros((VOCABULARY, n_queries), np.float32)
    dense[asked.term_ids, np.repeat(np.arange(n_queries), np.diff(asked.offsets))] = asked.weights
    histogram = np.zeros((VOCABULARY, BINS), np.int64)
    width = float(model.documents.curve().max()) * 1.3 / BINS
    scores, best = np.zeros((0, n_queries), np.float32), np.zeros((0, n_queries), np.int64)
    sizes, first = [], 0
    for batch in documents(model, n_docs, SEED):
        new = np.zeros((len(batch), n_queries), np.float32)
        _survey(batch.offsets, batch.term_ids, batch.weights, dense, dense.any(axis=1), width,
                histogram, new)  # fmt: skip
        numbers = np.repeat(np.arange(first, first + len(batch))[:, None], n_queries, axis=1)
        scores, best = np.concatenate([scores, new]), np.concatenate([best, numbers])
        if len(scores) > KEPT:
            order = np.argpartition(-scores, KEPT, axis=0)[:KEPT]
            scores, best = _taken(scores, order), _taken(best, order)
        sizes.append(np.diff(batch.offsets))
        first += len(batch)
    order = np.argsort(-scores, axis=0)
    scores, best = _taken(scores, order), _taken(best, order)
    return Survey(name, n_docs, asked, histogram, width, np.concatenate(sizes), scores.T, best.T)


def matches(found: Survey, query: int, rank: int) -> tuple[NDArray[np.uint32], Floats, Floats]:
    """Return the terms a query shares with its hit of that rank, and both weights."""
    row = int(found.best[query, rank])
    hit = document_rows(MODELS[found.name], found.n_docs, SEED, row, 1)
    terms, weights = found.queries.row(query)
    shared, ours, theirs = np.intersect1d(terms, hit.term_ids, return_indices=True)
    return shared, weights[ours], hit.weights[theirs]


def carried(found: Survey, counts: Sequence[int] = (1, 3, 5, 10)) -> list[float]:
    """Return mean shares of the best hit's score that its best 1, 3, ... matches make up."""
    shares = []
    for query in range(len(found.queries)):
        _, ours, theirs = matches(found, query, 0)
        products = np.sort(ours * theirs)[::-1].cumsum()
        shares.append([products[min(count, products.size) - 1] / products[-1] for count in counts])
    return [float(share) for share in np.mean(shares, axis=0)]


def pruned_recall(found: Survey, length: int) -> list[float]:
    """Return the share of exact top-10 hits in sight when lists and queries are cut.

    A hit is in sight when the list of one of the query's best terms, cut to its `length` heaviest
    postings, holds it. (Bins are taken whole, so that the lists are a little shorter than that.)
    """
    above = found.histogram[:, ::-1].cumsum(axis=1)
    floor = (BINS - (above <= length).sum(axis=1)) * found.bin_width
    seen = np.zeros(len(CUTS))
    for query in range(len(found.queries)):
        terms, weights = found.queries.row(query)
        order = terms[np.argsort(-weights)]
        place = {int(term): position for position, term in enumerate(order)}
        for rank in range(10):
            shared, _, theirs = matches(found, query, rank)
            kept = shared[theirs >= floor[shared]]
            first = min((place[int(term)] for term in kept), default=VOCABULARY)
            seen += np.array([first < cut for cut in CUTS])
    return [float(share) for share in seen / (10 * len(found.queries))]


def profile(found: Survey) -> Floats:
    """Return for each query the scores of `SCORE_RANKS` as shares of the best."""
    ranks = np.array(SCORE_RANKS) - 1
    shares: Floats = found.scores[:, ranks] / found.scores[:, :1]
    return shares


@dataclass(frozen=True)
class QueryFacts:
    """What is compared between real and made-up queries."""

    nnz: Floats
    top_shares: list[float]
    by_rank: Floats
    popularity: Floats

    def cells(self) -> list[str]:
        """Return the cells of a table row."""
        quantiles = np.percentile(self.nnz, [10, 50, 90])
        ranked = [self.popularity[rank - 1] for rank in (1, 10, 100, 1_000)]
        return [
            f"{self.nnz.mean():.1f} ± {self.nnz.std():.1f}",
            " / ".join(f"{value:.0f}" for value in quantiles),
            *(f"{share:.1%}" for share in self.top_shares),
            " / ".join(f"{value:.2%}" for value in ranked),
            f"{self.popularity.size:,}",
        ]


def query_facts(rows: list[Floats], terms: Counter[Any]) -> QueryFacts:
    """Summarise queries given the falling weights of each and how many hold each term."""
    longest = 40
    by_rank = np.full((len(rows), longest), np.nan)
    for number, row in enumerate(rows):
        by_rank[number, : row.size] = row[:longest] / row[0]
    nnz = np.array([row.size for row in rows], dtype=np.float64)
    enough = np.isfinite(by_rank).sum(axis=0) > len(rows) // 20
    return QueryFacts(
        nnz,
        [float(np.mean([row[:rank].sum() / row.sum() for row in rows])) for rank in RANKS],
        np.nanmean(by_rank[:, enough], axis=0),
        np.array(sorted(terms.values(), reverse=True)) / len(rows),
    )


def real_queries(name: str) -> QueryFacts:
    """Read the development queries as a real model encodes them."""
    file = f"msmarco-passage.dev-subset.{REAL[name]}.jsonl.gz"
    rows: list[Floats] = []
    terms: Counter[str] = Counter()
    with gzip.open(data_folder() / "splade-queries" / file, "rt", encoding="utf-8") as lines:
        for line in lines:
            vector = json.loads(line)["vector"]
            rows.append(np.sort(np.array(list(vector.values()), dtype=np.float64))[::-1])
            terms.update(vector.keys())
    return query_facts(rows, terms)


def made_queries(name: str, count: int = 6_980) -> QueryFacts:
    """Make as many queries as there are real ones."""
    made = queries(MODELS[name], 8_841_823, count, SEED)
    rows: list[Floats] = [np.sort(made.row(row)[1])[::-1] for row in range(count)]
    return query_facts(rows, Counter(made.term_ids.tolist()))
