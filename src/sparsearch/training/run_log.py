"""What a run tells of itself, step by step, while it runs and afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsearch.errors import FileFormatError, StorageUnavailableError
from sparsearch.files import write_lines

__all__ = ["RunLog", "StepReport", "read_log"]


@dataclass(frozen=True)
class StepReport:
    """A training step.

    Attributes
    ----------
    step, steps : int
        Which one, counted from 1, of how many.
    epoch : float
        How many times the examples have been gone through.
    loss, ranking : float
        The loss, and the part of it that ranks.
    query_penalty, document_penalty : float
        The parts that keep vectors sparse, weighted.
    query_weight, document_weight : float
        The weights of these.
    query_nnz, document_nnz : float
        Mean number of non-zeros.
    flops : float
        Multiplications that scoring a document takes, on average: the sum over terms of the shares
        of queries and of documents that have it.
    learning_rate : float
    seconds : float
        What the step took.
    measure : float or None
        On the development collection, when measured after this step.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    ranking: float
    query_penalty: float
    document_penalty: float
    query_weight: float
    document_weight: float
    query_nnz: float
    document_nnz: float
    flops: float
    learning_rate: float
    seconds: float
    measure: float | None = None


class RunLog:
    """``log.jsonl`` of a run, a line a step.

    Parameters
    ----------
    path : Path
    step : int
        The step a run goes on from; what the log says of later ones is dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = [report for report in _read(path) if report.step <= step] if path.exists() else []
        write_lines(path, (_line(report) for report in kept))

    def append(self, report: StepReport) -> None:
        """Add a step."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_line(report))
        except OSError as error:
            reason = f"cannot write {self._path}: {error.strerror}"
            raise StorageUnavailableError(reason) from error


def read_log(folder: Path) -> list[StepReport]:
    """Read the log of a run's folder.

    Raises
    ------
    FileFormatError
        When there is none.
    """
    path = Path(folder) / "log.jsonl"
    if not path.is_file():
        raise FileFormatError(path, None, "there is no log; is it the output of a training run?")
    return list(_read(path))


def _read(path: Path) -> Iterator[StepReport]:
    lines = path.read_text("utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # cut off when the run was killed; its step is done again
    number = 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - named by the error
            yield StepReport(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise FileFormatError(path, number, f"not a line of a run's log: {error}") from error


def _line(report: StepReport) -> str:
    return json.dumps(asdict(report)) + "\n"
