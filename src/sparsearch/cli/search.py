"""``sparsearch search``: the best documents for a query, or for a file of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsearch.cli._arguments import (
    Conditions,
    Distinct,
    IndexFolder,
    JsonOutput,
    QueriesFile,
    Recall,
    UseFeedback,
    VectorQuery,
)
from sparsearch.cli._console import one_line, output, write_json
from sparsearch.cli._filters import typed_filter
from sparsearch.cli._hits import HitPrinter
from sparsearch.cli._opening import open_index
from sparsearch.cli._queries import How, parse_query, search_file, typed_lines
from sparsearch.cli._writing import write_text

if TYPE_CHECKING:
    from sparsearch.index import Explanation, Index
    from sparsearch.runs import Hit

EXAMPLES = (
    "sparsearch search papers learned sparse retrieval",
    "sparsearch search papers retrieval --filter 'year>=2020' --explain",
    "sparsearch search papers --json < questions.txt",
    "sparsearch search papers --queries queries.jsonl --run bm25.trec",
    "sparsearch search manuals 'replace the battery' --distinct document",
    "sparsearch search splade --queries vectors.jsonl --recall 0.95",
)

_HITS, _HITS_OF_RUN = 10, 1000


def search(
    index: IndexFolder,
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERY",
            help="Words to search for; without any, each line of standard input is a query.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            "-k",
            metavar="NUMBER",
            min=1,
            help="Hits per query.  [default: 10, with --queries 1000]",
        ),
    ] = None,
    filter: Conditions = None,
    recall: Recall = None,
    feedback: UseFeedback = False,
    distinct: Distinct = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each term adds to the score.")
    ] = False,
    json: JsonOutput = False,
    vector: VectorQuery = False,
    queries: QueriesFile = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write the TREC run of --queries.  [default: standard output]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Search an index.

    Hits are ordered by score; documents that share no term with the query are no hits. With
    --json, each hit is one line of JSON. With --queries, all queries of a file are searched and
    the result is a run in TREC format.

    With --recall, some of the best documents may be missed and the search is faster; tune says by
    how much. Scores stay exact. An index of BM25 or the default encoder is always searched exactly.
    """
    if queries is not None and (query or json or explain or vector):
        raise typer.BadParameter(
            "goes with neither QUERY, --json, --explain nor --vector", param_hint="--queries"
        )
    if run is not None and queries is None:
        raise typer.BadParameter("needs --queries", param_hint="--run")
    condition = typed_filter(filter)
    with open_index(index) as target:
        if queries is not None:
            how = How(k or _HITS_OF_RUN, condition, recall, feedback, distinct)
            found = search_file(target, queries, how)
            write_text(run or Path("-"), found.trec_lines())
            return
        how = How(k or _HITS, condition, recall, feedback, distinct)
        session = _Session(target, how, explain, json, vector)
        if query:
            session.answer(" ".join(query))
            return
        for line in map(str.strip, typed_lines("query> ")):
            if not json and not sys.stdin.isatty():
                print(f"# {one_line(line)}")
            session.answer(line)
            sys.stdout.flush()


@dataclass(frozen=True)
class _Session:
    """Answers queries one by one."""

    index: Index
    how: How
    explain: bool
    json: bool
    vector: bool

    def answer(self, text: str) -> None:
        query = parse_query(self.index, text, self.vector)
        how = self.how
        searched = how.searched(self.index, query)
        hits = self.index.search(
            searched, how.k, how.filter, recall=how.recall, distinct=how.distinct
        )
        explained = hits if self.explain else []
        explanations = [self.index.explain(searched, hit.id) for hit in explained]
        if self.json:
            for rank, hit in enumerate(hits, start=1):
                reasons = explanations[rank - 1] if explanations else None
                write_json({"query": text, "rank": rank, **_hit_fields(hit, reasons)})
            return
        console = output()
        if hits:
            page = HitPrinter(self.index, query, console.width).render(hits, explanations)
            console.print(page, end="", soft_wrap=True)
        else:
            print("no document matches")


def _hit_fields(hit: Hit, explanation: Explanation | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": hit.id,
        "score": hit.score,
        "title": hit.title,
        "text": hit.text,
        "metadata": dict(hit.metadata),
    }
    if explanation is not None:
        fields["terms"] = {term.term: term.contribution for term in explanation.terms}
    return fields
