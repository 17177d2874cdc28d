"""How close the made-up vectors of ``lsr_vectors`` come to those of real models: a page and plots.

Documents are compared with published figures, queries with real query vectors, and search with what
is known of engines that search such vectors.
"""

from __future__ import annotations

import argparse

import matplotlib as mpl
import numpy as np

from common import RESULTS, machine, markdown_table, write_results
from lsr_measures import (
    BINS,
    CUTS,
    KEPT,
    RANKS,
    REAL,
    SCORE_RANKS,
    QueryFacts,
    Survey,
    carried,
    made_queries,
    matches,
    profile,
    pruned_recall,
    real_queries,
    survey,
)
from lsr_models import MODELS
from lsr_vectors import COMMON_TERMS, DOMAINS, DUPLICATES, FACETS, SUBJECT_SIZE, TOPIC_SIZE

mpl.use("Agg")
from matplotlib import pyplot as plt

LENGTHS = (200, 500, 1_000, 1_500, 4_000, 10_000)
LISTS = {100_000: 400, 1_000_000: 1_500, 8_841_823: 4_000}
"""Postings kept per list in collections of this size; of the last there are published figures."""
PUBLISHED = {"splade": (120, 59), "splade-v3": (168, 53), "unicoil": (68, 5_032),
             "doc-only": (180, None)}  # fmt: skip
DF_RANKS = (1, 10, 100, 1_000, 10_000)


def plot_documents(found: Survey) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(17, 3.8), layout="constrained")
    df = np.sort(found.df)[::-1] / found.n_docs
    axes[0].loglog(np.arange(1, df.size + 1), np.maximum(df, 1 / found.n_docs))
    axes[0].set(title="Document frequency", xlabel="rank of term", ylabel="share of documents")
    counts = found.histogram.sum(axis=0)
    weights = (np.arange(BINS) + 0.5) * found.bin_width
    axes[1].semilogy(weights, np.maximum(1 - counts.cumsum() / counts.sum(), 1e-6), label="made")
    axes[1].plot([0.28, 1.08, 2.0], [0.5, 0.1, 0.01], "o", label="published")
    axes[1].set(title="Document weights", xlabel="weight", ylabel="share above", ylim=(1e-4, 1))
    axes[1].legend()
    axes[2].plot(*found.mass(), label="made")
    axes[2].plot([0.188], [0.5], "o", label="published")
    axes[2].set(title="Mass kept", xlabel="share of postings", ylabel="share of mass")
    axes[2].legend()
    axes[3].hist(found.nnz, bins=60, density=True)
    axes[3].set(title="Terms of a document", xlabel="terms")
    figure.savefig(RESULTS / "lsr-vectors-documents.png", dpi=90)


def plot_queries(facts: dict[str, tuple[QueryFacts, QueryFacts]]) -> None:
    figure, axes = plt.subplots(3, len(facts), figsize=(15, 10), layout="constrained")
    for column, (name, pair) in enumerate(facts.items()):
        for label, side in zip(("real", "made"), pair, strict=True):
            axes[0, column].plot(np.arange(1, side.by_rank.size + 1), side.by_rank, label=label)
            top = int(np.percentile(pair[0].nnz, 99.5))
            axes[1, column].hist(side.nnz, bins=range(1, top + 2, max(1, top // 40)), density=True,
                                 histtype="step", label=label)  # fmt: skip
            axes[2, column].loglog(np.arange(1, side.popularity.size + 1), side.popularity,
                                   label=label)  # fmt: skip
        axes[0, column].set(title=f"{name}: weight by rank", xlabel="rank", ylabel="of the first")
        axes[1, column].set(title="terms of a query", xlabel="terms")
        axes[2, column].set(title="popularity of terms", xlabel="rank", ylabel="share of queries")
        axes[0, column].legend()
    figure.savefig(RESULTS / "lsr-vectors-queries.png", dpi=80)


def plot_search(surveys: list[Survey], recalls: dict[int, list[list[float]]]) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    for found in surveys:
        curve = (found.scores / found.scores[:, :1]).mean(axis=0)
        axes[0].semilogx(np.arange(1, curve.size + 1), curve, label=f"{found.n_docs:,} documents")
    for rank, low, high in ((10, 0.80, 0.88), (100, 0.62, 0.72), (1_000, 0.45, 0.55)):
        axes[0].plot([rank, rank], [low, high], "k", lw=4, alpha=0.3)
    axes[0].set(title="Score by rank (bars: expected)", xlabel="rank", ylabel="of the first score")
    axes[0].legend()
    size = surveys[-1].n_docs
    for position, cut in enumerate(CUTS):
        label = f"{cut} terms" if cut < CUTS[-1] else "all terms"
        axes[1].semilogx(LENGTHS, [row[position] for row in recalls[size]], "o-", label=label)
    axes[1].set(title=f"Cut lists and queries, {size:,} documents", xlabel="postings kept per list",
                ylabel="top 10 in sight")  # fmt: skip
    axes[1].legend()
    figure.savefig(RESULTS / "lsr-vectors-search.png", dpi=90)


def document_table(surveys: list[Survey]) -> str:
    """Compare documents with published figures."""
    rows = []
    for found in surveys:
        nnz, l1 = PUBLISHED[found.name]
        shares, mass = found.mass()
        df = np.sort(found.df)[::-1] / found.n_docs
        decimals = 0 if MODELS[found.name].documents.step else 2
        quantiles = (f"{found.quantile(share):.{decimals}f}" for share in (0.5, 0.9, 0.99))
        rows.append([
            f"{found.name}, {found.n_docs:,}", f"{found.nnz.mean():.1f} ({nnz})",
            f"{found.nnz.mean() * found.mean_weight():,.1f} ({l1 or 'not known'})",
            " / ".join(quantiles), f"{np.interp(0.5, mass, shares):.1%}",
            f"{(df > 0).sum():,}", " / ".join(f"{df[rank - 1]:.2%}" for rank in DF_RANKS),
        ])  # fmt: skip
    header = ["model, documents", "terms (published)", "L1 (published)", "weight p50 / p90 / p99",
              "postings of half the mass", "terms used",
              "df of term 1 / 10 / 100 / 1,000 / 10,000"]  # fmt: skip
    return markdown_table(header, rows)


def query_table(facts: dict[str, tuple[QueryFacts, QueryFacts]]) -> str:
    """Compare queries with real ones."""
    header = ["queries", "terms", "p10 / p50 / p90", *(f"top {rank}" for rank in RANKS),
              "popularity of term 1 / 10 / 100 / 1,000", "terms used"]  # fmt: skip
    rows = [
        [f"{name}, {label}", *side.cells()]
        for name, pair in facts.items()
        for label, side in zip(("real", "made"), pair, strict=True)
    ]
    return markdown_table(header, rows)


def search_table(surveys: list[Survey]) -> str:
    """Tell how scores fall off, and what carries them."""
    rows = []
    for found in surveys:
        shares, half = profile(found), (found.scores > found.scores[:, :1] / 2).sum(axis=1)
        matched = [matches(found, query, 0)[0].size for query in range(len(found.queries))]
        rows.append([
            f"{found.name}, {found.n_docs:,}",
            *(f"{column.mean():.2f} ({np.percentile(column, 10):.2f}-"
              f"{np.percentile(column, 90):.2f})" for column in shares.T),
            f"{np.median(half):,.0f}", " / ".join(f"{share:.0%}" for share in carried(found)),
            f"{np.mean(matched):.1f}",
            f"{found.df[found.queries.term_ids].sum() / len(found.queries) / found.n_docs:.2f}",
        ])  # fmt: skip
    header = ["model, documents", *(f"rank {rank:,}" for rank in SCORE_RANKS),
              "documents above half (median)", "carried by best 1 / 3 / 5 / 10 matches",
              "terms matched", "postings of a query's lists, per document"]  # fmt: skip
    return markdown_table(header, rows)


def pruning_table(surveys: list[Survey]) -> str:
    """Tell how many of the best hits are in sight when lists and queries are cut."""
    rows = [
        [f"{found.name}, {found.n_docs:,}", f"{LISTS[found.n_docs]:,}",
         *(f"{share:.1%}" for share in pruned_recall(found, LISTS[found.n_docs]))]
        for found in surveys
    ]  # fmt: skip
    cuts = [f"{cut} terms" if cut < CUTS[-1] else "all terms" for cut in CUTS]
    return markdown_table(["model, documents", "postings kept per list", *cuts], rows)


BODY = """Documents beside published figures of the models they stand for.

{documents}

![documents](lsr-vectors-documents.png)

## Queries

Beside 6,980 real queries (MS MARCO, development set). "Top 3" is the mean share of a query's L1
that its three heaviest terms hold; popularity is the share of queries that hold a term.

{queries}

![queries](lsr-vectors-queries.png)

## Searching

Exact search with {n_queries} queries. Scores are shares of the best one, mean (10th-90th percentile
of queries). The generator aimed at 0.80-0.88 at rank 10, 0.62-0.72 at rank 100 and 0.45-0.55 at
rank 1,000 for splade at 8.8 million documents; no source gives these for real SPLADE. "Documents
above half" counts those that score more than half of the best score, {kept:,} at most.

{search}

Top 10 in sight when only the heaviest terms of a query are used, and each list is cut to its
heaviest postings. Seismic on the 8.8 million passages has been reported to reach .977 with 5 terms
(query cut 5; CIKM 2026, a study across engines). It does not cut lists quite like this, so that is
an anchor and no target. The spread over terms and models is what comes out, not something fitted.

{pruning}

![search](lsr-vectors-search.png)

## How they are made

A subject has {subject} documents on average, a topic {topic:,}, both of power-law sizes, so their
numbers grow with the collection (a small one has at least one topic in each domain); {domains}
domains and {facets} facets stay. What a document looks like by itself does not depend on the size
of the collection. {duplicates:.0%} of the documents repeat another one with changes from none to
slight.

## What is not known

- Published figures give means and a few quantiles of document vectors. How much the number of terms
  varies between documents, how df falls beyond the first terms, and how weights go together within
  a document are guesses: terms were taken to be as popular in documents as in real queries, but for
  {common} common ones.
- A mean L1 of 59 over 120 terms would be a mean weight of 0.49; the published quantiles are those
  of a mean of 0.44. We keep to the quantiles. Of splade-v3 only the means are published; its
  weights are those of splade, scaled to its L1.
- Weights are a function of a term's rank in its document, so documents vary less than real ones in
  how heavy their heaviest terms are.
- The largest collection seems harder than the real one: scores fall off more slowly than aimed at
  from rank 100 on, and cut lists see less of the top 10 than the .977 reported for Seismic. A
  million documents come nearer to both. Recall of approximate search on the 8.8 million is thus
  more likely to be understated than overstated.
- There is no relevance: a query is *about* a subject, but nobody judged it. Use these vectors for
  speed, memory and recall against exact search, never for quality.
- Order is random; real passages of one page may stand together, which helps compression.
- The real queries of splade are those of SPLADE++ ED (mean 43.9 terms, of which the top 10 hold
  67 % of L1); 43 terms and 75 % have been published.
- There are no real queries of doc-only here: their number of terms is published, their words are
  made like those of unicoil, and their weights are the logarithm of how rare a word is.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--largest", type=int, default=max(LISTS), choices=sorted(LISTS))
    given = parser.parse_args()
    surveys = [
        survey("splade", size, given.queries) for size in sorted(LISTS) if size <= given.largest
    ]
    others = [survey(name, 100_000, given.queries) for name in MODELS if name != "splade"]
    facts = {name: (real_queries(name), made_queries(name)) for name in REAL}
    recalls = {
        found.n_docs: [pruned_recall(found, length) for length in LENGTHS] for found in surveys
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    plot_documents(surveys[-1])
    plot_queries(facts)
    plot_search(surveys, recalls)
    body = BODY.format(
        documents=document_table(surveys + others), queries=query_table(facts),
        search=search_table(surveys + others), pruning=pruning_table(surveys + others),
        n_queries=given.queries, kept=KEPT, subject=SUBJECT_SIZE, topic=TOPIC_SIZE,
        domains=DOMAINS, facets=FACETS, duplicates=DUPLICATES, common=COMMON_TERMS,
    )  # fmt: skip
    figures = {
        "score profiles": {found.n_docs: profile(found).mean(axis=0).tolist() for found in surveys},
        "recall by list length": {"lengths": LENGTHS, "query cuts": CUTS, "recall": recalls},
        "queries": {
            name: [{"nnz": float(side.nnz.mean()), "top shares": side.top_shares} for side in pair]
            for name, pair in facts.items()
        },
    }
    facts_here = machine(["sparsearch", "numba", "numpy", "matplotlib"])
    title = "Made-up learned-sparse vectors"
    write_results("lsr-vectors", title, body, facts_here, figures, script="lsr_fit")


if __name__ == "__main__":
    main()
