"""``sparsearch tune``: how much faster search gets for the recall that is given up."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import Hits, IndexFolder, JsonOutput, QueriesFile
from sparsearch.cli._console import counted, note, print_table, quoted, write_json
from sparsearch.cli._opening import open_index
from sparsearch.cli._progress import steps
from sparsearch.cli._queries import example_query, read_queries
from sparsearch.errors import MissingExtraError
from sparsearch.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from sparsearch.index.tuning import Tuning

EXAMPLES = (
    "sparsearch tune splade",
    "sparsearch tune splade --queries vectors.jsonl -k 100 --plot frontier.svg",
)

_PLOTS = (".png", ".svg")
_BAR_WIDTH = 16


def tune(
    index: IndexFolder,
    queries: QueriesFile = None,
    k: Hits = 10,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw recall against time, as .png or .svg; needs the extra eval.",
            show_default=False,
        ),
    ] = None,
    json: JsonOutput = False,
) -> None:
    """Measure how much effort each recall takes on this index.

    The index remembers the result: from then on, search --recall takes the least effort that
    reached that recall here. Best with some hundred queries of those that will be asked; without
    any, heavy terms of some of the documents are the queries: 32 of each, and 8 for searches with
    at most 16. Tune again when the index has grown a lot.
    """
    if plot is not None:
        _check_plot(plot)
    with open_index(index) as target:
        asked = None if queries is None else read_queries(target, queries)
        with steps("tuning") as progress:
            tuning = target.tune(asked, k, progress=progress)
        query = example_query(target)
    if plot is not None:
        _draw(tuning, plot)
    if json:
        write_json(asdict(tuning))
        return
    measured_with = counted(tuning.queries, "query", "queries")
    print(f"{counted(tuning.documents, 'document')}, {measured_with}, k {tuning.k}\n")
    for heading, part in _parts(tuning):
        if heading:
            print(f"{heading}:\n")
        print_table(_table(part))
        print()
    if tuning.points:
        recall = _recall_to_try(tuning)
        print(f"next: sparsearch search {quoted(index)} {query} --recall {recall}")
    else:
        note("no effort is faster than exact search here; --recall will search exactly")


def _parts(tuning: Tuning) -> list[tuple[str, Tuning]]:
    """Return what was measured with queries of different lengths, and a heading for each."""
    from sparsearch.index.approximate import SHORT_QUERY

    if tuning.short is None:
        return [("", tuning)]
    return [
        (f"Queries of more than {SHORT_QUERY} terms", tuning),
        (f"Queries of at most {SHORT_QUERY} terms", tuning.short),
    ]


def _recall_to_try(tuning: Tuning) -> float:
    """Return the usual recall to ask for or, if nothing reached it, the next lower one."""
    for recall in (0.95, 0.9, 0.8):
        if tuning.effort(recall) is not None:
            return recall
    return 0.5


def _table(tuning: Tuning) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("recall", "error", "mass", "candidates", "microseconds", "speed-up"):
        table.add_column(heading, justify="right")
    table.add_column("")
    exact = tuning.exact_microseconds
    mark = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    for point in tuning.points:
        share = point.microseconds / exact
        table.add_row(
            f"{point.recall:.4f}",
            f"{point.error:.4f}",
            f"{point.effort.mass:g}",
            f"{point.effort.candidates:,}",
            f"{point.microseconds:,.0f}",
            f"{1 / share:.1f}",
            mark * max(round(_BAR_WIDTH * share), 1),
        )
    table.add_row("exact", "", "", "", f"{exact:,.0f}", "1.0", mark * _BAR_WIDTH)
    return table


def _check_plot(path: Path) -> None:
    """Refuse before the measurement what would fail after it."""
    if path.suffix.lower() not in _PLOTS:
        raise typer.BadParameter(f"name it {' or '.join(_PLOTS)}", param_hint="--plot")
    _figure()


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "eval") from error
    return Figure(figsize=(7, 4.5), layout="constrained")


def _draw(tuning: Tuning, path: Path) -> None:
    figure = _figure()
    axes = figure.subplots()
    for heading, part in _parts(tuning):
        line = axes.errorbar(
            [point.microseconds for point in part.points],
            [point.recall for point in part.points],
            [point.error for point in part.points],
            marker="o",
            label=heading or "approximate",
        )
        color = line[0].get_color()
        axes.plot(part.exact_microseconds, 1, marker="s", color=color, linestyle="", label="exact")
    axes.set_xscale("log")
    axes.set_xlabel("microseconds a query, one thread")
    axes.set_ylabel(f"recall of the exact best {tuning.k}")
    axes.set_title(f"{tuning.documents:,} documents, {tuning.queries:,} queries")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right")
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.lower()[1:], dpi=150)
