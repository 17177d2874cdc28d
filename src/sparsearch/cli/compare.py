"""``sparsearch compare``: whether one run is better than another, or was only luckier."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sparsearch.cli._arguments import JsonOutput, measure_option
from sparsearch.cli._console import write_json
from sparsearch.cli._judged import note_what_is_missing

EXAMPLES = (
    "sparsearch compare qrels/test.tsv bm25.trec splade.trec",
    "sparsearch compare qrels.txt a.trec b.trec c.trec -m AP --test randomization",
)

Test = Literal["t", "wilcoxon", "randomization"]
Correction = Literal["holm", "bonferroni", "none"]


def compare(
    qrels: Annotated[
        Path,
        typer.Argument(
            metavar="QRELS", help="Judgements, in TREC or BEIR format.", show_default=False
        ),
    ],
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Runs in TREC format, at least two; the first is the baseline.",
            show_default=False,
        ),
    ],
    measure: Annotated[list[str] | None, measure_option("nDCG@10")] = None,
    test: Annotated[Test, typer.Option(help="Paired significance test.")] = "t",
    correction: Annotated[
        Correction, typer.Option(help="Correction of p values for the number of runs.")
    ] = "holm",
    alpha: Annotated[float, typer.Option(metavar="NUMBER", help="Level of significance.")] = 0.05,
    json: JsonOutput = False,
) -> None:
    """Tell which differences between runs are significant.

    Each run is compared with the first, query by query, on each measure.
    """
    from sparsearch.evaluation import compare as compared
    from sparsearch.runs import Qrels, Run

    if len(runs) < 2:
        raise typer.BadParameter("give at least two runs", param_hint="RUN")
    names = _names(runs)
    judged = Qrels.read(qrels)
    read = {name: Run.read_trec(path, name) for name, path in zip(names, runs, strict=True)}
    result = compared(
        read,
        judged,
        measure or ["nDCG@10"],
        test=test,
        correction=correction,
        alpha=alpha,
    )
    if json:
        write_json(_finite(asdict(result)))
    else:
        print(result.table())
    for name, run in read.items():
        question = f"does it rank the documents of {qrels}?"
        note_what_is_missing(run, judged, result.missing_queries[name], question, f"{name}: ")


def _finite(value: Any) -> Any:
    """Return a value with None, which JSON has, for ends of intervals that are infinite."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _names(paths: list[Path]) -> list[str]:
    """Return what to call the runs: by file name, or by path where file names are the same."""
    stems = [path.name.removesuffix(".gz").removesuffix(".trec") for path in paths]
    if max(Counter(stems).values()) == 1:
        return stems
    names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise typer.BadParameter("the same run is given twice", param_hint="RUN")
    return names
