"""``sparsearch explain``: why a document has its score."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import (
    Conditions,
    IndexFolder,
    JsonOutput,
    Recall,
    UseFeedback,
    VectorQuery,
)
from sparsearch.cli._console import one_line, print_table, write_json
from sparsearch.cli._filters import typed_filter
from sparsearch.cli._opening import open_index
from sparsearch.cli._queries import parse_query

if TYPE_CHECKING:
    from rich.table import Table

    from sparsearch.index import Explanation

EXAMPLES = ('sparsearch explain papers "learned sparse retrieval" doc-17',)

_BAR_WIDTH = 24
_ORIGIN = {True: "in the text", False: "expansion", None: ""}


def explain(
    index: IndexFolder,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="The query, quoted.", show_default=False)
    ],
    id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the document.", show_default=False)
    ],
    filter: Conditions = None,
    recall: Recall = None,
    feedback: UseFeedback = False,
    json: JsonOutput = False,
    vector: VectorQuery = False,
) -> None:
    """Show what each query term adds to a document's score.

    A contribution is the weight of the term in the query times its weight in the document; the
    contributions add up to the score. With --feedback, give --filter and --recall as the search
    had them: they decide which documents widen the query.
    """
    from sparsearch.index import Feedback

    condition = typed_filter(filter)
    for option, given in (("--filter", condition), ("--recall", recall)):
        if given is not None and not feedback:
            raise typer.BadParameter("needs --feedback", param_hint=option)
    with open_index(index) as target:
        parsed = parse_query(target, query, vector)
        explanation = target.explain(
            parsed, id, condition, recall=recall, feedback=Feedback() if feedback else None
        )
    if json:
        write_json({"query": query, **asdict(explanation)})
        return
    print(f"query     {one_line(query)}")
    print(f"document  {one_line(id)}")
    print(f"score     {explanation.score:.4f}")
    if explanation.terms:
        print_table(_table(explanation))
    else:
        print("no term of the query is in the document")
    if explanation.missing:
        print(f"not in the document: {one_line(', '.join(explanation.missing))}")


def _table(explanation: Explanation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("term")
    for heading in ("query weight", "document weight", "contribution"):
        table.add_column(heading, justify="right")
    shown = any(term.in_text is False for term in explanation.terms)
    if shown:
        table.add_column("")
    table.add_column("")
    largest = max(abs(term.contribution) for term in explanation.terms) or 1.0
    mark = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    for term in explanation.terms:
        length = round(_BAR_WIDTH * abs(term.contribution) / largest)
        table.add_row(
            Text(one_line(term.term)),
            f"{term.query_weight:.4f}",
            f"{term.document_weight:.4f}",
            f"{term.contribution:.4f}",
            *([_ORIGIN[term.in_text]] if shown else []),
            Text(mark * length, style="green" if term.contribution >= 0 else "red"),
        )
    return table
