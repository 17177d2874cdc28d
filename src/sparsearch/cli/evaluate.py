"""``sparsearch evaluate``: how good the rankings of an index are on a test collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import (
    Hits,
    IndexFolder,
    JsonOutput,
    QueriesFile,
    Recall,
    UseFeedback,
    measure_option,
)
from sparsearch.cli._console import note, working, write_json
from sparsearch.cli._judged import note_identical, note_what_is_missing
from sparsearch.cli._opening import open_index
from sparsearch.cli._queries import How, search_file
from sparsearch.cli._writing import check_writable, write_text
from sparsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from sparsearch.evaluation import Dataset, Judgements
    from sparsearch.index import Index
    from sparsearch.runs import Run

EXAMPLES = (
    "sparsearch evaluate cranfield-index data/cranfield",
    "sparsearch evaluate index beir/scifact/test --measure nDCG@10 --measure R@100",
    "sparsearch evaluate index data/cranfield --run bm25.trec --per-query bm25.tsv",
)

_CUTOFF = re.compile(r"@([0-9]{1,9})")


def evaluate(
    index: IndexFolder,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="Folder in BEIR layout, or an id of ir_datasets.",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="Which judgements to use.")] = "test",
    measure: Annotated[
        list[str] | None, measure_option("nDCG@10, RR@10, R@100, R@1000, AP, Judged@10")
    ] = None,
    k: Hits = 1000,
    recall: Recall = None,
    feedback: UseFeedback = False,
    queries: QueriesFile = None,
    ignore_identical: Annotated[
        bool,
        typer.Option(
            "--ignore-identical",
            help="Leave out of each ranking the document that has the id of the query.",
        ),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the run in TREC format; - is standard output.",
            show_default=False,
        ),
    ] = None,
    per_query: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a table of measures per query; - is standard output.",
            show_default=False,
        ),
    ] = None,
    json: JsonOutput = False,
) -> None:
    """Measure the rankings of an index on a test collection.

    The judged queries of the collection are searched, and each counts. The index
    must hold the documents of the collection: make it with sparsearch index. Where it holds
    passages (--passage-length), each document counts as its best passage.

    Give --ignore-identical where the queries are documents of the collection, as in ArguAna and
    Quora of BEIR: nothing is the answer to itself.
    """
    from sparsearch.evaluation import DEFAULT_MEASURES, check_measures
    from sparsearch.evaluation import evaluate as measured

    if run is not None and run == per_query:
        raise InvalidInputError(f"--run and --per-query both name {run}; give each its own file")
    measures = measure or list(DEFAULT_MEASURES)
    check_measures(measures)
    check_writable(run, per_query)
    _check_depth(measures, k)
    with open_index(index) as target:
        collection, asked = _judged(dataset, split, queries)
        how = How(k + ignore_identical, recall=recall, feedback=feedback)
        found = _rankings_of_documents(target, asked, how)
    if queries is not None and found.keys().isdisjoint(collection.qrels.keys()):
        raise InvalidInputError(f"{queries} holds no query that is judged in {collection.name}")
    if ignore_identical:
        found = found.without_identical(k)
    else:
        note_identical(found)
    if run is not None:
        write_text(run, found.trec_lines("sparsearch"))
    found.name = "mean"
    result = measured(found, collection.qrels, measures)
    if per_query is not None:
        write_text(per_query, result.tsv_lines())
    judged = len(collection.qrels)
    if json:
        counts = {"queries": judged, "missing_queries": result.missing_queries}
        write_json({"dataset": collection.name, **counts, "k": k, **result.mean})
    else:
        print(f"{collection.name}: {judged:,} judged queries\n\n{result.table()}")
    question = f"does {index} hold the documents of {collection.name}?"
    note_what_is_missing(found, collection.qrels, result.missing_queries, question)


def _judged(
    dataset: str, split: str, queries: Path | None
) -> tuple[Dataset | Judgements, Mapping[str, str] | Path]:
    """Return the collection, of which judgements will do for a file of queries; and the queries."""
    from sparsearch.evaluation import load_dataset, load_judgements

    if queries is not None:
        return load_judgements(dataset, split), queries
    collection = load_dataset(dataset, split)
    return collection, collection.judged_queries()


def _rankings_of_documents(index: Index, queries: Mapping[str, str] | Path, how: How) -> Run:
    """Search queries, or those of a file; a document counts as its best passage."""
    from sparsearch.index.passages import DOCUMENT_FIELD

    in_passages = index.config.passage_length is not None
    if in_passages:
        how = replace(how, distinct=DOCUMENT_FIELD)
    with working("searching"):
        if isinstance(queries, Path):
            found = search_file(index, queries, how)
        else:
            found = how.run(index, queries)
    return found.max_passage() if in_passages else found


def _check_depth(measures: list[str], k: int) -> None:
    for name in measures:
        cutoff = _CUTOFF.search(name)
        if cutoff and int(cutoff[1]) > k:
            note(f"{name} looks deeper than the {k} hits of each query; give a larger --k")
