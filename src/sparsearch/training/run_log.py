"""What a run tells of itself, step by step, while it runs and afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparsearch.errors import FileFormatError, StorageUnavailableError
from sparsearch.files import write_lines

__all__ = ["RunLog", "StepReport", "read_log", "read_start"]


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
    """``log.jsonl`` of a run, a line a step; one of step 0 before them, if it was measured.

    Parameters
    ----------
    path : Path
    step : int
        The step a run goes on from; what the log says of later ones is dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = list(_read(path)) if path.exists() else []
        # Step 0 is measured anew by a run that begins with it.
        write_lines(path, (_line(record) for record in kept if record["step"] <= step and step))

    def begin(self, measure: float) -> None:
        """Add the measure before the first step."""
        self._write({"step": 0, "measure": measure})

    def append(self, report: StepReport) -> None:
        """Add a step."""
        self._write(asdict(report))

    def _write(self, record: dict[str, Any]) -> None:
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            reason = f"cannot write {self._path}: {error.strerror}"
            raise StorageUnavailableError(reason) from error


def read_log(folder: Path) -> list[StepReport]:
    """Read the steps in the log of a run's folder.

    Raises
    ------
    FileFormatError
        When there is no log.
    """
    return [StepReport(**record) for record in _read(_path(folder)) if record["step"]]


def read_start(folder: Path) -> float | None:
    """Read the measure before the first step in the log of a run's folder, if it was measured.

    Raises
    ------
    FileFormatError
        When there is no log.
    """
    return next((record["measure"] for record in _read(_path(folder)) if not record["step"]), None)


def _path(folder: Path) -> Path:
    path = Path(folder) / "log.jsonl"
    if not path.is_file():
        raise FileFormatError(path, None, "there is no log; is it the output of a training run?")
    return path


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a log, which have the fields of a report, or are the one of step 0."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # cut off when the run was killed; its step is done again
    number = 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - named by the error
            record = json.loads(line)
            if record["step"] or record.keys() != {"step", "measure"}:
                StepReport(**record)
            yield record
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(path, number, f"not a line of a run's log: {error}") from error


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
