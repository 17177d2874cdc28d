"""The training loop."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding
from torch import Tensor, nn

from sparsearch.errors import TrainingError
from sparsearch.training import checkpoints
from sparsearch.training.backward import Encoding, Part, backward, parts_of
from sparsearch.training.batches import Batches
from sparsearch.training.config import TrainConfig
from sparsearch.training.development import Development
from sparsearch.training.examples import Example
from sparsearch.training.objective import Objective
from sparsearch.training.processes import Processes
from sparsearch.training.run_log import RunLog, StepReport
from sparsearch.training.schedules import CollapseWatch, NnzController, learning_rate_share

__all__ = ["Progress", "Trainer"]


@dataclass
class Progress:
    """How far a run is, and how well it does.

    Attributes
    ----------
    step : int
        Steps done.
    start : float or None
        Measure on the development collection before the first step.
    best : float or None
        The best so far.
    best_step : int
        After how many steps that was.
    waited : int
        Measurements since.
    """

    step: int = 0
    start: float | None = None
    best: float | None = None
    best_step: int = 0
    waited: int = 0


class Trainer:
    """Trains a model; everything random is a function of the seed and the step.

    So a run that was interrupted and goes on from a checkpoint ends with the weights it would have
    had (on the same machine, with the same number of threads).

    Parameters
    ----------
    model : SparseEncoder
    objective : Objective
    config : TrainConfig
        With its learning rates.
    processes : Processes
        Those that train together.
    development : Development, optional
        What the model is measured on, as often as `config` says.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        config: TrainConfig,
        processes: Processes,
        development: Development | None = None,
    ) -> None:
        self.model = model
        self.objective = objective.to(model.device)
        self.config = config
        self.progress = Progress()
        self._folder = Path(config.output)
        self._processes = processes
        self._size = self._part_size()
        self._optimizer = _optimizer(model, config)
        self._encoding = Encoding(model, config.optimizer.precision, config.fused_head)
        self._watch = CollapseWatch(config.sparsity.patience)
        self._development = development
        self._saved_best = self._best

    def run(
        self, examples: Sequence[Example], report: Callable[[StepReport], None] | None = None
    ) -> Progress:
        """Train to the end, from the last checkpoint if there is one.

        The model is left as it was when it was best, or without a development collection as it is
        after the last step.

        Raises
        ------
        CollapseError, TrainingError
            When vectors become empty, or the loss not finite.
        """
        config = self.config
        size, distinct = config.optimizer.batch_size, self.objective.uses_others_documents
        self._batches = Batches(examples, size, config.seed, distinct=distinct)
        everything = nn.ModuleList([self.model, self.objective])
        self._resume(everything)
        log = self._log()
        if self.progress.step == 0:
            self.progress.start = self._measure()
            if log is not None and self.progress.start is not None:
                log.begin(self.progress.start)
        while self.progress.step < config.optimizer.steps and not self._out_of_patience():
            done = self._step(self.progress.step)
            self.progress.step += 1
            if self._due():
                done = replace(done, measure=self._measure())
            if log is not None:
                log.append(done)
                if report is not None:
                    report(done)
            if self.progress.step % config.checkpoint_every == 0:
                self._save(everything)
        if self._development is not None:
            self._processes.wait()
            checkpoints.load_weights(self._best, self.model)
        return self.progress

    def _log(self) -> RunLog | None:
        """Return the log, in the first process, which alone reports."""
        if not self._processes.is_first:
            return None
        return RunLog(self._folder / "log.jsonl", self.progress.step)

    @property
    def _best(self) -> Path:
        return self._folder / f"best-{self.progress.best_step:08d}.safetensors"

    def _step(self, step: int) -> StepReport:
        started = time.perf_counter()
        config = self.config.optimizer
        share = learning_rate_share(step, config.steps, config.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        losses, vectors = self._backward(step)
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self._optimizer.step()
        _keep_tables_positive(self.model)
        done = self._report(step, losses, vectors)
        self._watch.check(done.step, done.loss, done.query_nnz, done.document_nnz)
        self.objective.steer({"query": done.query_nnz, "document": done.document_nnz})
        rate = share * (config.learning_rate or 0.0)
        return replace(done, learning_rate=rate, seconds=time.perf_counter() - started)

    def _backward(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        batch = self._batches[step]
        scores = None
        if all(example.scores is not None for example in batch):
            rows = [example.scores for example in batch]
            scores = torch.tensor(rows, dtype=torch.float32, device=self.model.device)

        def objective(vectors: Tensor) -> dict[str, Tensor]:
            queries, *documents = vectors.split(len(batch))
            losses: dict[str, Tensor] = self.objective(queries, documents, scores, step)
            return losses

        cached = self.config.optimizer.micro_batch is not None
        parts = self._parts(batch, step)
        return backward(self._encoding, parts, objective, cached, self._processes)

    def _parts(self, batch: list[Example], step: int) -> list[Part]:
        """Return the queries, then all first documents, then all second ones, and so on."""
        columns = zip(*(example.documents for example in batch), strict=True)
        documents = list(itertools.chain.from_iterable(columns))
        seeds = _seeds(self.config.seed, step)
        queries = parts_of([example.query for example in batch], "query", self._size, seeds)
        return queries + parts_of(documents, "document", self._size, seeds)

    def _part_size(self) -> int | None:
        """Return how many texts go through a model together; every process must have some.

        Dropout is seeded by part, so runs of several numbers of processes come to the same only
        where `micro_batch` is no larger than a process's share.
        """
        optimizer, count = self.config.optimizer, self._processes.count
        if optimizer.batch_size < count:
            reason = f"optimizer.batch_size is {optimizer.batch_size}"
            raise TrainingError(f"{reason}, too few for {count} processes")
        share = None if count == 1 else -(-optimizer.batch_size // count)
        return min(filter(None, (optimizer.micro_batch, share)), default=None)

    def _report(self, step: int, losses: dict[str, Tensor], vectors: Tensor) -> StepReport:
        active = vectors != 0
        queries = active[: self.config.optimizer.batch_size]
        documents = active[self.config.optimizer.batch_size :]
        values = {name: float(loss) for name, loss in losses.items()}
        weights = self.objective.weights(step)
        return StepReport(
            step=step + 1,
            steps=self.config.optimizer.steps,
            epoch=self._batches.epoch(step + 1),
            loss=sum(values.values()),
            ranking=values["ranking"],
            query_penalty=values.get("query", 0.0),
            document_penalty=values.get("document", 0.0),
            query_weight=weights.get("query", 0.0),
            document_weight=weights.get("document", 0.0),
            query_nnz=float(queries.sum(1).float().mean()),
            document_nnz=float(documents.sum(1).float().mean()),
            flops=float(queries.float().mean(0) @ documents.float().mean(0)),
            learning_rate=0.0,
            seconds=0.0,
        )

    # ---------------------------------------------------------------------------------------------

    def _due(self) -> bool:
        """Return whether the model is to be measured after the step that was just done."""
        config, step = self.config, self.progress.step
        if config.development is None:
            return False
        return step % config.development.every == 0 or step == config.optimizer.steps

    def _measure(self) -> float | None:
        if self._development is None:
            return None
        is_first, progress = self._processes.is_first, self.progress
        value = self._development.measure(self.model) if is_first else 0.0
        value = self._processes.of_first(value)
        progress.waited += 1
        if progress.best is None or value > progress.best:
            progress.best, progress.best_step, progress.waited = value, progress.step, 0
            if is_first:
                self._save_best()
        return value

    def _save_best(self) -> None:
        """Save the weights, and keep those that a run taken up from the last checkpoint needs."""
        checkpoints.save_weights(self._best, self.model)
        for path in self._folder.glob("best-*.safetensors"):
            if path not in (self._best, self._saved_best):
                path.unlink()

    def _out_of_patience(self) -> bool:
        config = self.config.development
        patience = None if config is None else config.patience
        return patience is not None and self.progress.waited >= patience

    def _save(self, everything: nn.Module) -> None:
        if not self._processes.is_first:
            return
        controllers = {
            side: asdict(penalty.controller)
            for side, penalty in self.objective.penalties.items()
            if penalty.controller is not None
        }
        state = {
            "progress": asdict(self.progress),
            "controllers": controllers,
            "empty": self._watch.empty,
        }
        folder = self._folder / "checkpoints"
        checkpoints.save(folder, self.progress.step, everything, self._optimizer, state)
        self._saved_best = self._best

    def _resume(self, everything: nn.Module) -> None:
        path = checkpoints.latest(self._folder / "checkpoints")
        if path is None:
            return
        state = checkpoints.load(path, everything, self._optimizer)
        self.progress = Progress(**state["progress"])
        self._saved_best = self._best
        if not self._best.exists():  # an older checkpoint than the last: it is looked for anew
            self.progress.best, self.progress.waited = None, 0
        self._watch.empty = state["empty"]
        for side, values in state["controllers"].items():
            self.objective.penalties[side].controller = NnzController(**values)


def _seeds(seed: int, step: int) -> Iterator[int]:
    """Yield seeds for the parts of a step."""
    base = (seed * 1_000_003 + step) % 2**40
    return itertools.count(base * 4096)


def _optimizer(model: Any, config: TrainConfig) -> torch.optim.Optimizer:
    """Build AdamW: no decay for biases and norms; tables with a learning rate of their own."""
    settings = config.optimizer
    tables = {id(module.weight) for module in _tables(model)}
    groups: dict[str, list[Tensor]] = {"matrices": [], "vectors": [], "tables": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            name = "matrices" if parameter.ndim > 1 else "vectors"
            groups["tables" if id(parameter) in tables else name].append(parameter)
    rate = settings.learning_rate
    peaks = {"matrices": rate, "vectors": rate, "tables": settings.table_learning_rate}
    return torch.optim.AdamW(
        {
            "params": parameters,
            "peak": peaks[name],
            "weight_decay": settings.weight_decay if name == "matrices" else 0.0,
        }
        for name, parameters in groups.items()
        if parameters
    )


def _tables(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, SparseStaticEmbedding)]


@torch.no_grad()
def _keep_tables_positive(model: Any) -> None:
    """Take negative weights of query tables to 0: a term that a query has never speaks against."""
    for table in _tables(model):
        if table.weight.requires_grad:
            table.weight.clamp_(min=0)
