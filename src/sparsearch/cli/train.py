"""``sparsearch train``: a sparse encoder from a configuration file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import JsonOutput
from sparsearch.cli._console import note, quoted, write_json
from sparsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from sparsearch.training import DevelopmentConfig, Recipe, StepReport, TrainResult

EXAMPLES = (
    "sparsearch train splade.yaml",
    "sparsearch train splade.yaml --output runs/second --plot",
    "sparsearch train --recipes",
)

_EVERY = 50
"""Steps between two lines where there is no terminal."""


def train(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG", help="YAML file; see docs/training.md.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Another output folder.", show_default=False),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw run.png in the output.")] = False,
    recipes: Annotated[bool, typer.Option("--recipes", help="List the recipes and stop.")] = False,
    json: JsonOutput = False,
) -> None:
    """Train a sparse encoder.

    The file says which recipe, data and checkpoint; the model is written in the
    format of sentence-transformers. A run that was stopped goes on when the
    command is given again.
    """
    if recipes:
        _list_recipes(json)
        return
    if config is None:
        raise typer.BadParameter("give a configuration file, or --recipes", param_hint="CONFIG")
    from dataclasses import replace

    from sparsearch.training import RECIPES, plot_run, read_config
    from sparsearch.training import train as run

    settings = read_config(config)
    if plot:
        _check_plot(RECIPES[settings.recipe])
    if output is not None:
        settings = replace(settings, output=str(output))
    with _shown() if _is_first() else nullcontext() as report:
        result = run(settings, report=report, note=note)
    if not _is_first():
        return
    if plot:
        note(f"drawn in {plot_run(settings.output)}")
    if json:
        measures = {"start": result.start, "best": result.best, "best_step": result.best_step}
        write_json({"model": str(result.model), "steps": result.steps, **measures})
    else:
        _print_result(result, settings.development)


def _check_plot(recipe: Recipe) -> None:
    """Refuse before the training what would fail after it."""
    if not recipe.losses:
        reason = f"recipe {recipe.name} is not trained, so there is no run to draw"
        raise typer.BadParameter(reason, param_hint="--plot")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "eval")


def _is_first() -> bool:
    """Return whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _list_recipes(json: bool) -> None:
    from sparsearch.training import RECIPES

    if json:
        write_json({r.name: {"title": r.title, "paper": r.paper} for r in RECIPES.values()})
        return
    width = max(map(len, RECIPES))
    for recipe in RECIPES.values():
        print(f"{recipe.name:{width}}  {recipe.title}. {recipe.url}")


def _print_result(result: TrainResult, development: DevelopmentConfig | None) -> None:
    print(f"{result.steps:,} steps done; the model is in {quoted(result.model)}")
    if development is not None and result.best is not None:
        change = f"{result.start:.4f} before, {result.best:.4f} after {result.best_step:,} steps"
        print(f"{development.measure} on {development.path}: {change}")
        if result.steps and not result.best_step:
            print("no step was better than the start; that state was saved")
    print(f"next: sparsearch index my-index papers.jsonl --encoder {quoted(result.model)}")


@contextmanager
def _shown() -> Iterator[Callable[[StepReport], None]]:
    """Yield what shows steps: one line that changes on a terminal, else now and then a line."""
    if not sys.stderr.isatty():
        yield _note_now_and_then
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[line]}"),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("training", total=None, line="")
    with bar:
        yield lambda report: bar.update(
            task, completed=report.step, total=report.steps, line=_line(report)
        )


def _note_now_and_then(report: StepReport) -> None:
    if report.step % _EVERY == 0 or report.measure is not None or report.step == report.steps:
        note(f"step {report.step:,}/{report.steps:,}: {_line(report)}")


def _line(report: StepReport) -> str:
    measured = "" if report.measure is None else f", measure {report.measure:.4f}"
    nnz = f"{report.query_nnz:.0f} and {report.document_nnz:.0f}"
    return f"loss {report.loss:.4g}, non-zeros {nnz}, FLOPS {report.flops:.3g}{measured}"
