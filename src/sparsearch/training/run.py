"""`train`: from a configuration to a model on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsearch.errors import (
    InvalidInputError,
    MissingExtraError,
    TrainingError,
    shorten,
)
from sparsearch.training.checks import check_batches, check_examples, check_use
from sparsearch.training.config import TrainConfig
from sparsearch.training.examples import Example, read_examples, write_examples
from sparsearch.training.output import MINED, claim, read_json, write_json
from sparsearch.training.recipe import Recipe
from sparsearch.training.recipes import recipe_named
from sparsearch.training.run_log import StepReport

if TYPE_CHECKING:
    from sparsearch.training.development import Development
    from sparsearch.training.loop import Progress, Trainer
    from sparsearch.training.processes import Processes

__all__ = ["TrainResult", "train"]

_TABLE_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class TrainResult:
    """What became of a run.

    Attributes
    ----------
    model : Path
        Folder of the model, in the format of sentence-transformers.
    steps : int
        Steps done.
    start, best : float or None
        Measure on the development collection before training, and of the model that was saved.
    best_step : int
        After how many steps the model was saved as it is.
    """

    model: Path
    steps: int
    start: float | None
    best: float | None
    best_step: int


def train(
    config: TrainConfig,
    *,
    recipe: Recipe | None = None,
    examples: Iterable[Example] | None = None,
    report: Callable[[StepReport], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a sparse encoder.

    Parameters
    ----------
    config : TrainConfig
    recipe : Recipe, optional
        A method of one's own, in place of ``config.recipe``.
    examples : iterable of Example, optional
        In place of those of ``config.data``, which is then only a name for them.
    report : callable, optional
        Called with each step.
    note : callable, optional
        Called with a line on what is being done besides.

    Returns
    -------
    TrainResult
        A run that was finished before is not done again.

    Raises
    ------
    MissingExtraError
        When torch or sentence-transformers is not installed.
    InvalidInputError
        When `config` is no `TrainConfig`, or a setting does not fit the recipe, the data or the
        development collection.
    NotFoundError
        When there is no such development collection.
    FileFormatError
        When the data cannot be read.
    TrainingError
        When the recipe cannot be trained on this data or from this checkpoint, the output folder
        holds a run with other settings, or the loss is not finite.
    CollapseError
        When the vectors have become empty.
    SourceChangedError
        When the data, or the files of a model, teacher or development collection in a folder,
        changed since a run that is taken up again.
    """
    if not isinstance(config, TrainConfig):
        advice = "TrainConfig.from_mapping makes one of a mapping, read_config of a YAML file"
        raise InvalidInputError(f"config is {shorten(config)}, not a TrainConfig; {advice}")
    try:
        import torch
        from sentence_transformers import SparseEncoder  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("sentence-transformers", "train") from error
    from sparsearch.training.processes import Processes

    processes = Processes(config.device)
    say = note if note is not None and processes.is_first else (lambda line: None)
    recipe = recipe or recipe_named(config.recipe)
    check_use(config, recipe)
    config = replace(_completed(config, recipe), device=processes.device)
    output = Path(config.output)
    _check_device(config.device)
    given = read_examples(config.data) if examples is None else list(examples)
    with processes.one_by_one():
        claim(output, config, recipe, given)
        finished = _finished(output)
    if finished is not None:
        return finished
    # Mining and scoring may take hours, so all that can be refused is refused before.
    check_examples(given, config, recipe)
    development = _development(config)
    torch.manual_seed(config.seed)
    say(f"building {recipe.name} from {config.model}")
    model = _build(recipe, config, given)
    trainer = _trainer(model, recipe, config, processes, development)
    with processes.one_by_one():
        prepared = _prepared(given, config, output, say)
    check_batches(prepared, config, recipe)
    progress = _measured(model, development) if trainer is None else trainer.run(prepared, report)
    result = _result(output, progress)
    if processes.is_first:
        _save(model, result)
    processes.wait()
    return result


def _completed(config: TrainConfig, recipe: Recipe) -> TrainConfig:
    """Return the configuration with the learning rates that it needs and does not have."""
    optimizer = config.optimizer
    if optimizer.learning_rate is None:
        optimizer = replace(optimizer, learning_rate=recipe.learning_rate)
    if optimizer.table_learning_rate is None and recipe.has_table:
        optimizer = replace(optimizer, table_learning_rate=_TABLE_LEARNING_RATE)
    return replace(config, optimizer=optimizer)


def _build(recipe: Recipe, config: TrainConfig, examples: list[Example]) -> Any:
    from sparsearch.training.building import Base, build_model
    from sparsearch.training.lora import add_adapters

    base = Base(config.model, config.query_model, config.query_length, config.document_length)
    if config.sparsity.top_k is not None:
        recipe = replace(recipe, top_k=config.sparsity.top_k)
    texts = dict.fromkeys(text for example in examples for text in example.documents)
    model = build_model(recipe, base, texts, config.device)
    if recipe.lora_rank is not None:
        add_adapters(model, recipe.lora_rank)
    return model


def _development(config: TrainConfig) -> Development | None:
    from sparsearch.training.development import Development

    if config.development is None:
        return None
    precision, fused = config.optimizer.precision, config.fused_head
    return Development(config.development, precision, fused=fused)


def _trainer(
    model: Any,
    recipe: Recipe,
    config: TrainConfig,
    processes: Processes,
    development: Development | None,
) -> Trainer | None:
    """Return what trains the model, if the recipe is one that is trained."""
    from sparsearch.training.loop import Trainer
    from sparsearch.training.objective import Objective

    if not recipe.losses:
        return None
    terms = len(model.tokenizer)
    objective = Objective(recipe, config.sparsity, terms, config.optimizer.steps)
    return Trainer(model, objective, config, processes, development)


def _measured(model: Any, development: Development | None) -> Progress:
    """Return how well a model does that is not trained."""
    from sparsearch.training.loop import Progress

    value = None if development is None else development.measure(model)
    return Progress(start=value, best=value)


def _result(output: Path, progress: Progress) -> TrainResult:
    best_step = progress.step if progress.best is None else progress.best_step
    folder = output / "model"
    return TrainResult(folder, progress.step, progress.start, progress.best, best_step)


def _save(model: Any, result: TrainResult) -> None:
    from sparsearch.training.lora import merge_adapters

    merge_adapters(model)
    model.save(str(result.model), create_model_card=False)
    write_json(result.model.parent / "result.json", {**asdict(result), "model": "model"})


def _check_device(device: str | None) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the device {shorten(device)} cannot be used: {reason}") from error


def _finished(output: Path) -> TrainResult | None:
    path = output / "result.json"
    if not path.is_file():
        return None
    try:
        result = TrainResult(**{**read_json(path), "model": output / "model"})
    except TypeError as error:
        reason = f"{path} is damaged ({error}); remove it to finish the run again"
        raise TrainingError(reason) from error
    if not result.model.is_dir():
        reason = f"{path} says that the run is finished, but {result.model} is gone"
        raise TrainingError(f"{reason}; remove {path} to finish the run again")
    return result


def _prepared(
    examples: list[Example], config: TrainConfig, output: Path, say: Callable[[str], None]
) -> list[Example]:
    """Return the examples with mined negatives and teachers' scores."""
    from sparsearch.training.mining import mine_negatives
    from sparsearch.training.teachers import ScoreCache, score_examples

    if config.negatives is not None:
        path = output / MINED
        if not path.is_file():
            say(f"mining negatives for {len(examples):,} queries with BM25")
            write_examples(path, mine_negatives(examples, config.negatives, seed=config.seed))
        examples = read_examples(path)
    if config.teachers is not None:
        names = ", ".join(model.model or model.kind for model in config.teachers.models)
        say(f"scoring with {names}")
        with ScoreCache(output / "scores.sqlite") as cache:
            examples = score_examples(examples, config.teachers, cache, _in_tenths(say))
    return examples


def _in_tenths(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what tells of progress whenever another tenth is done."""
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenths = 10 * done // total
        if tenths != told:
            told = tenths
            say(f"scored {done:,} of {total:,} queries")

    return tell
