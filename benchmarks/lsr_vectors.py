"""Made-up learned-sparse vectors that behave like real ones: seeded, streamed, of any number.

Document vectors of a learned sparse model take a GPU-day and gigabytes to get; these take minutes.

A document is about a fine subject, which belongs to a topic, which belongs to a domain. Each of
these is a list of terms, strongest first, partly drawn from the list above it. The document takes
terms of its subject, of a second one, of a facet (a list that cuts across subjects, like "price" or
"symptoms"), of its topic and domain, adds terms of its own and common ones, and keeps the
strongest. A query is made from the same lists. How many terms are kept and how their weights fall
with their rank are fitted to published figures of real models (documents) and to real vectors
(queries): see ``docs/results/lsr-vectors.md``.

Nothing is stored: every list and document is a function of the seed and its own number. Any part of
a collection can be made by itself, and the memory needed does not depend on the size of the whole.

    python benchmarks/lsr_vectors.py splade 1000000 base_1M.csr --queries queries.csr
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lsr_models import MODELS, LsrModel, Rows
from sparsearch import SparseVectors
from sparsearch.vectors import write_bigann_csr

__all__ = ["MODELS", "VOCABULARY", "document_rows", "documents", "queries", "write_csr"]

Floats = NDArray[np.float64]

VOCABULARY = 30_522
USED_TERMS = 28_700
COMMON_TERMS = 400
DOMAINS = 32
FACETS = 300
DUPLICATES = 0.03
"""Share of documents that repeat another one with small changes."""

SUBJECT_SIZE, TOPIC_SIZE = 30, 1_000
"""Mean documents of each: their number grows with the collection, and their size does not."""

_SUBJECT, _SECOND, _FACET, _TOPIC, _DOMAIN, _OWN, _COMMON, _SECOND_TOPIC, _SECOND_DOMAIN = range(9)
_DOCUMENT, _QUERY = 10, 11

# Of each list: its length, the list above it, and the share of its terms that come from there.
_SLOTS = (200, 200, 100, 300, 1_000, 1, 1, 300, 1_000)
_ABOVE = (_TOPIC, _SECOND_TOPIC, 0, _DOMAIN, 0, 0, 0, _SECOND_DOMAIN, 0)
_INHERITED = (0.6, 0.6, 0.0, 0.4, 0.0, 0.0, 0.0, 0.4, 0.0)

# What a row draws from. Per term that it keeps: draws, and slots of the list drawn from. Then the
# strength of the list's first term, its fall with the logarithm of the slot, and the noise.
_DOCUMENT_RECIPE = np.array([
    (0.40, 0.4, 2.2, 0.35, 0.7),  # subject
    (0.20, 0.3, 1.7, 0.40, 0.8),  # second subject
    (0.30, 0.3, 2.2, 0.45, 0.8),  # facet
    (0.40, 0.6, 2.0, 0.40, 0.8),  # topic
    (0.20, 4.0, 0.6, 0.20, 0.8),  # domain
    (0.30, 0.0, 0.2, 0.00, 1.0),  # terms of its own
    (0.28, 0.0, -0.4, 0.00, 0.6),  # common terms
])  # fmt: skip
_QUERY_RECIPE = np.array([
    (0.50, 0.5, 2.2, 0.50, 0.6),
    (0.00, 0.0, 0.0, 0.00, 0.0),
    (0.40, 0.3, 2.4, 0.50, 0.8),
    (0.45, 0.8, 2.2, 0.45, 0.8),
    (0.20, 4.0, 0.6, 0.20, 0.8),
    (0.20, 0.0, -0.2, 0.00, 0.8),
    (0.06, 0.0, 0.0, 0.00, 1.0),
])  # fmt: skip
_PLAIN_QUERY_RECIPE = np.array([
    (0.30, 1.0, 2.2, 0.50, 0.6),
    (0.00, 0.0, 0.0, 0.00, 0.0),
    (0.20, 1.0, 2.4, 0.50, 0.8),
    (0.20, 2.0, 2.2, 0.45, 0.8),
    (0.00, 0.0, 0.0, 0.00, 0.0),
    (0.05, 0.0, 1.0, 0.00, 1.0),
    (0.65, 0.0, 0.4, 0.00, 0.9),
])  # fmt: skip

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TABLE_BITS, _COMMON_BITS = 19, 12
_LONGEST = 4
"""No row has more than this many times the mean number of terms."""


class _World(NamedTuple):
    seed: Any
    table: NDArray[np.uint16]
    common: NDArray[np.uint16]


@njit("uint64(uint64)", nogil=True, cache=True)
def _mix(bits):  # type: ignore[no-untyped-def]
    """Return a hash of 64 bits (the finalizer of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit("uint64(uint64, int64, int64)", nogil=True, cache=True)
def _key(seed, kind, number):  # type: ignore[no-untyped-def]
    return _mix(_mix(seed + np.uint64(kind) * _GOLDEN) + np.uint64(number) * _GOLDEN)


@njit("float64(uint64)", nogil=True, cache=True)
def _unit(bits):  # type: ignore[no-untyped-def]
    """Return a number in [0, 1) made of the upper bits."""
    return (bits >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _next(state):  # type: ignore[no-untyped-def]
    state[0] += _GOLDEN
    return _mix(state[0])


@njit(nogil=True, cache=True)
def _pick(state, power, size):  # type: ignore[no-untyped-def]
    """Return a number below ``size``; the higher the power, the more often a small one."""
    return int(_unit(_next(state)) ** power * size)


@njit(nogil=True, cache=True)
def _normal(state):  # type: ignore[no-untyped-def]
    """Return a nearly normal number: four uniform ones, summed and scaled."""
    bits = _next(state)
    total = np.uint64(0)
    for shift in (0, 16, 32, 48):
        total += (bits >> np.uint64(shift)) & np.uint64(0xFFFF)
    return (total / 65536.0 - 2.0) * 1.7320508


@njit(nogil=True, cache=True)
def _row_size(mean, spread, normal):  # type: ignore[no-untyped-def]
    """Return a gamma-distributed size, given a normal number (Wilson and Hilferty 1931)."""
    shape = (mean / spread) ** 2
    size = mean * (1 - 1 / (9 * shape) + normal / (3 * np.sqrt(shape))) ** 3
    return int(min(max(size + 0.5, 2.0), _LONGEST * mean))


@njit(nogil=True, cache=True)
def _listed(table, lists, source, slot):  # type: ignore[no-untyped-def]
    """Return the term in a slot of a list, which may come from the list above."""
    while True:
        bits = _mix(lists[source] + np.uint64(slot) * _GOLDEN)
        if _unit(_mix(bits)) >= _INHERITED[source]:
            return table[bits >> np.uint64(64 - _TABLE_BITS)]
        source = _ABOVE[source]
        slot = int(_unit(_mix(bits + _GOLDEN)) ** 2 * _SLOTS[source])


@njit(nogil=True, cache=True)
def _choose_lists(lists, state, seed, sizes):  # type: ignore[no-untyped-def]
    """Set the keys of a subject's lists, of a facet, and of a second subject, often a near one."""
    topics, subjects = sizes
    distance = 0.0
    for subject_list, topic_list, domain_list in (
        (_SUBJECT, _TOPIC, _DOMAIN),
        (_SECOND, _SECOND_TOPIC, _SECOND_DOMAIN),
    ):
        if distance < 0.3:
            domain = _pick(state, 1.2, DOMAINS)
        if distance < 0.6:
            topic = domain * topics + _pick(state, 1.3, topics)
        subject = topic * subjects + _pick(state, 1.7, subjects)
        lists[subject_list] = _key(seed, _SUBJECT, subject)
        lists[topic_list] = _key(seed, _TOPIC, topic)
        lists[domain_list] = _key(seed, _DOMAIN, domain)
        distance = _unit(_next(state))
    lists[_FACET] = _key(seed, _FACET, _pick(state, 2.0, FACETS))


@njit(nogil=True, cache=True)
def _gather(bag, terms, keep, state, world, lists, recipe):  # type: ignore[no-untyped-def]
    """Put candidates into the bag, each with the highest of its strengths; return how many."""
    count = 0
    for source in range(recipe.shape[0]):
        draws, slots, strength, slope, noise = recipe[source]
        size = min(max(slots * keep, 4.0), _SLOTS[source])
        for _ in range(int(draws * keep + _unit(_next(state)))):
            slot = 0
            if source == _OWN:
                term = world.table[_next(state) >> np.uint64(64 - _TABLE_BITS)]
            elif source == _COMMON:
                term = world.common[_next(state) >> np.uint64(64 - _COMMON_BITS)]
            else:
                slot = _pick(state, 2, size)
                term = _listed(world.table, lists, source, slot)
            reached = strength - slope * np.log1p(slot) + noise * _normal(state)
            if bag[term] == -np.inf:
                terms[count] = term
                count += 1
            bag[term] = max(bag[term], reached)
    return count


@njit(nogil=True, cache=True)
def _take(bag, terms, state, curve, factor, out_terms, out_weights):  # type: ignore[no-untyped-def]
    """Write the strongest terms, by rising number and weighted by rank; empty the bag."""
    strengths = np.empty(terms.size, np.float32)
    for i in range(terms.size):
        strengths[i] = -bag[terms[i]]
        bag[terms[i]] = -np.inf
    chosen = terms[np.argsort(strengths)[: out_terms.size]]
    for rank in range(chosen.size):
        place = (rank + _unit(_next(state))) / chosen.size
        bag[chosen[rank]] = max(curve[int(place * curve.size)] * factor, 1e-3)
    chosen.sort()
    for i in range(chosen.size):
        out_terms[i], out_weights[i] = chosen[i], bag[chosen[i]]
        bag[chosen[i]] = -np.inf


@njit(nogil=True, cache=True)
def _fill(kind, first, n_docs, sizes, world, recipe, shape, curve, offsets, terms, weights):  # type: ignore[no-untyped-def]
    """Write ``offsets.size - 1`` rows, from number ``first`` on."""
    mean, spread, scale = shape
    bag = np.full(VOCABULARY, -np.inf, np.float32)
    candidates = np.empty(VOCABULARY, np.int64)
    state = np.empty(1, np.uint64)
    lists = np.zeros(len(_SLOTS), np.uint64)
    for row in range(offsets.size - 1):
        own = _key(world.seed, kind, first + row)
        state[0] = own
        copied = kind == _DOCUMENT and _unit(_mix(own)) < DUPLICATES
        if copied:  # the same choices as another document, and small changes after that
            state[0] = _key(world.seed, kind, int(_unit(_mix(own + _GOLDEN)) * n_docs))
        keep = _row_size(mean, spread, _normal(state))
        _choose_lists(lists, state, world.seed, sizes)
        count = _gather(bag, candidates, keep, state, world, lists, recipe)
        factor = np.exp(scale * _normal(state))
        if copied:
            state[0] = own
            change = 0.2 * _unit(_next(state))
            for i in range(count):
                bag[candidates[i]] += change * _normal(state)
        start = offsets[row]
        stop = start + min(keep, count)
        _take(bag, candidates[:count], state, curve, factor, terms[start:stop], weights[start:stop])
        offsets[row + 1] = stop


def _popularity() -> Floats:
    """Return how often each term is drawn, by rank: a plateau, then a fall, as in real queries."""
    return 1 / (1 + (np.arange(USED_TERMS) / 350) ** 1.5) + 1e-3


def _table(rates: Floats, bits: int, terms: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Return ``2 ** bits`` slots, of which each term has the share that its rate says."""
    edges = np.cumsum(rates) / rates.sum() * (1 << bits)
    return terms[np.searchsorted(edges, np.arange(1 << bits) + 0.5)].astype(np.uint16)


def _terms(seed: int) -> NDArray[np.int64]:
    """Return the used terms, the most popular first."""
    return np.random.default_rng(seed).permutation(VOCABULARY)[:USED_TERMS]


def _sizes(n_docs: int) -> tuple[int, int]:
    """Return the number of topics in a domain and of subjects in a topic."""
    topics = max(1, round(n_docs / TOPIC_SIZE / DOMAINS))
    return topics, max(1, round(n_docs / SUBJECT_SIZE / topics / DOMAINS))


def _make(
    rows: Rows, kind: int, recipe: Floats, first: int, count: int, n_docs: int, seed: int
) -> SparseVectors:
    terms = _terms(seed)
    common = 1 / (3 + np.arange(COMMON_TERMS)) ** 1.1
    world = _World(
        np.uint64(_key(np.uint64(seed), 0, 0)),  # a plain int may be taken for a signed one
        _table(_popularity(), _TABLE_BITS, terms),
        _table(common, _COMMON_BITS, terms[:COMMON_TERMS]),
    )
    offsets = np.zeros(count + 1, np.int64)
    # The longest rows of a small batch, the mean ones and a tenth more of a large one.
    room = int(rows.nnz * (1.1 * count + 40 * _LONGEST))
    term_ids, weights = np.empty(room, np.uint32), np.empty(room, np.float32)
    shape = float(rows.nnz), float(rows.spread), rows.scale
    _fill(
        kind, first, n_docs, _sizes(n_docs), world, recipe, shape, rows.curve(),
        offsets, term_ids, weights,
    )  # fmt: skip
    kept = weights[: offsets[-1]].copy()
    if rows.step:
        kept = np.maximum(np.round(kept / rows.step), 1) * np.float32(rows.step)
    return SparseVectors(offsets, term_ids[: offsets[-1]].copy(), kept)


def document_rows(model: LsrModel, n_docs: int, seed: int, first: int, count: int) -> SparseVectors:
    """Return documents ``first`` to ``first + count - 1`` of a collection of `n_docs`."""
    return _make(model.documents, _DOCUMENT, _DOCUMENT_RECIPE, first, count, n_docs, seed)


def documents(
    model: LsrModel, n_docs: int, seed: int, chunk: int = 50_000
) -> Iterator[SparseVectors]:
    """Yield the documents of a collection, `chunk` at a time; its size does not change them."""
    for first in range(0, n_docs, chunk):
        yield document_rows(model, n_docs, seed, first, min(chunk, n_docs - first))


def queries(model: LsrModel, n_docs: int, n_queries: int, seed: int) -> SparseVectors:
    """Return queries for the collection of `n_docs` documents of the same seed."""
    recipe = _QUERY_RECIPE if model.expands else _PLAIN_QUERY_RECIPE
    vectors = _make(model.queries, _QUERY, recipe, 0, n_queries, n_docs, seed)
    if not model.idf:
        return vectors
    idf = np.zeros(VOCABULARY, np.float32)
    idf[_terms(seed)] = np.log1p(10 / _popularity())
    return SparseVectors(vectors.offsets, vectors.term_ids, idf[vectors.term_ids])


def write_csr(path: Path, batches: Iterator[SparseVectors]) -> None:
    """Write a BigANN ``.csr`` file without ever holding it all; terms and weights go to scratch."""
    sizes, folder = [np.zeros(1, np.int64)], path.resolve().parent
    with tempfile.TemporaryFile(dir=folder) as terms, tempfile.TemporaryFile(dir=folder) as weights:
        for batch in batches:
            sizes.append(np.diff(batch.offsets))
            terms.write(batch.term_ids.astype("<i4").data)
            weights.write(batch.weights.astype("<f4").data)
            print(f"\r{sum(map(len, sizes)) - 1:,} documents", end="", file=sys.stderr)
        offsets = np.cumsum(np.concatenate(sizes))
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            header = np.array([offsets.size - 1, VOCABULARY, offsets[-1]], "<i8")
            file.write(header.tobytes() + offsets.astype("<i8").tobytes())
            for scratch in (terms, weights):
                scratch.seek(0)
                shutil.copyfileobj(scratch, file, 1 << 24)
        os.replace(part, path)
    print(file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write made-up learned-sparse vectors.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("documents", type=int, help="number of documents")
    parser.add_argument("path", type=Path, help="the .csr file of the documents")
    parser.add_argument("--queries", type=Path, help="a .csr file of queries for them")
    parser.add_argument("--query-count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    model = MODELS[given.model]
    write_csr(given.path, documents(model, given.documents, given.seed))
    if given.queries:
        made = queries(model, given.documents, given.query_count, given.seed)
        write_bigann_csr(given.queries, made, columns=VOCABULARY)


if __name__ == "__main__":
    main()
