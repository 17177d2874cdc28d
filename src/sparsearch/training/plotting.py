"""A run at a glance: loss, non-zeros, cost and effectiveness over its steps."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from sparsearch.errors import MissingExtraError
from sparsearch.training.run_log import StepReport, read_log, read_start

__all__ = ["plot_run"]


def plot_run(folder: str | PathLike[str], path: str | PathLike[str] | None = None) -> Path:
    """Plot the log of a run.

    Parameters
    ----------
    folder : str or PathLike
        The run's output.
    path : str or PathLike, optional
        Where to write the picture; its ending says in which format. By default ``run.png`` in the
        folder.

    Returns
    -------
    Path
        Of the picture.

    Raises
    ------
    FileFormatError
        When the folder has no log.
    MissingExtraError
        When matplotlib is not installed.
    """
    try:
        # Not pyplot: nothing is to be shown, and no global state is to be changed.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "eval") from error
    reports = read_log(Path(folder))
    target = Path(path) if path is not None else Path(folder) / "run.png"
    figure = Figure(figsize=(10, 7), layout="constrained")
    loss, nnz, flops, measure = figure.subplots(2, 2).flat
    _lines(loss, reports, ["ranking", "query_penalty", "document_penalty"], "loss", log=True)
    _lines(nnz, reports, ["query_nnz", "document_nnz"], "non-zeros", log=True)
    _lines(flops, reports, ["flops"], "FLOPS", log=True)
    _measures(measure, read_start(Path(folder)), reports)
    figure.savefig(target, dpi=120)
    return target


def _lines(axes: Any, reports: list[StepReport], names: list[str], title: str, log: bool) -> None:
    steps = [report.step for report in reports]
    for name in names:
        values = [getattr(report, name) for report in reports]
        if any(values):
            axes.plot(steps, values, label=name.replace("_", " "))
    if log and axes.lines:
        axes.set_yscale("log", nonpositive="mask")
    if len(axes.lines) > 1:
        axes.legend()
    axes.set_title(title)
    axes.set_xlabel("step")


def _measures(axes: Any, start: float | None, reports: list[StepReport]) -> None:
    """Draw what was measured, from before the first step on, and a line at the start."""
    points = [] if start is None else [(0, start)]
    points += [(report.step, report.measure) for report in reports if report.measure is not None]
    if points:
        axes.plot(*zip(*points, strict=True), marker=".", label="measure")
    if start is not None:
        axes.axhline(start, linestyle=":", color="grey", label="start")
        axes.legend()
    axes.set_title("development measure")
    axes.set_xlabel("step")
