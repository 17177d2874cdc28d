"""`TrainConfig`: everything that decides what a training run does. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any, TextIO

from sparsearch.errors import FileFormatError, InvalidInputError, MissingExtraError, shorten
from sparsearch.training.recipes import recipe_named
from sparsearch.training.settings import check_types, from_mapping

__all__ = [
    "DevelopmentConfig",
    "FitConfig",
    "NegativesConfig",
    "OptimizerConfig",
    "SparsityConfig",
    "TeacherConfig",
    "TeachersConfig",
    "TrainConfig",
    "read_config",
]

_SHORTEST = 3
_SEEDS = 2**63
TEACHERS = ("bm25", "cross-encoder", "dense", "sparse")
NORMALISATIONS = ("minmax", "standard", "none")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights move (AdamW, linear warm-up, linear decay to 0).

    Parameters
    ----------
    steps : int
        Number of weight updates.
    batch_size : int
        Queries a step; each comes with its documents.
    micro_batch : int, optional
        Texts that go through a model at once. With it, gradients are cached: a batch needs the
        memory of this many texts, and about a third more time.
    learning_rate : float, optional
        At its peak; by default that of the recipe.
    table_learning_rate : float, optional
        That of a learned table of query weights, for recipes with one; by default 1e-3.
    warmup : float
        Share of the steps over which the learning rate grows.
    weight_decay, clip : float
        Weight decay; largest norm of the gradient.
    precision : str
        ``fp32``, or ``bf16``: matrix products in bfloat16, weights in float32.
    """

    steps: int = 1000
    batch_size: int = 32
    micro_batch: int | None = None
    learning_rate: float | None = None
    table_learning_rate: float | None = None
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        check_types(self, "optimizer")
        _positive("optimizer", self, "steps", "batch_size", "micro_batch", "learning_rate")
        _positive("optimizer", self, "table_learning_rate", "clip")
        _share("optimizer.warmup", self.warmup)
        _not_negative("optimizer", self, "weight_decay")
        _among("optimizer.precision", self.precision, PRECISIONS)


@dataclass(frozen=True)
class SparsityConfig:
    """How sparse vectors become.

    Parameters
    ----------
    query_weight, document_weight : float, optional
        Weights of the regularisers, in place of those of the recipe.
    query_target, document_target : float, optional
        Non-zeros to steer to, by moving the regularisers' weights after each step.
    top_k : int, optional
        Non-zeros kept of each vector; by default as the recipe says.
    patience : int
        Steps in a row with fewer than one non-zero a vector that count as a collapse.
    """

    query_weight: float | None = None
    document_weight: float | None = None
    query_target: float | None = None
    document_target: float | None = None
    top_k: int | None = None
    patience: int = 20

    def __post_init__(self) -> None:
        check_types(self, "sparsity")
        _positive("sparsity", self, "query_target", "document_target", "top_k", "patience")
        _not_negative("sparsity", self, "query_weight", "document_weight")


@dataclass(frozen=True)
class NegativesConfig:
    """Mining of documents that look relevant but are not judged so, with an index of ours.

    Parameters
    ----------
    count : int
        Negatives a query.
    depth : int
        They are drawn from that many hits,
    skip : int
        after leaving out this many of the best, which are the likeliest to be relevant after all.
    """

    count: int = 1
    depth: int = 50
    skip: int = 0

    def __post_init__(self) -> None:
        check_types(self, "negatives")
        _positive("negatives", self, "count", "depth")
        if self.skip < 0 or self.depth - self.skip < self.count:
            raise InvalidInputError(
                f"negatives: {self.count} cannot be drawn from hits {self.skip} to {self.depth}"
            )


@dataclass(frozen=True)
class TeacherConfig:
    """A teacher: kind (``bm25``, ``cross-encoder``, ``dense`` or ``sparse``), model, weight."""

    kind: str
    model: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_types(self, "teachers")
        _among("teachers.kind", self.kind, TEACHERS)
        _positive("teachers", self, "weight")
        if (self.kind == "bm25") != (self.model is None):
            needed = "takes no model" if self.kind == "bm25" else "needs a model"
            raise InvalidInputError(f"teachers: a {self.kind} teacher {needed}")


@dataclass(frozen=True)
class TeachersConfig:
    """Who scores the documents of each query.

    Parameters
    ----------
    models : tuple of TeacherConfig
    normalise : str
        What makes the scores of different teachers comparable, for each query: ``minmax`` (from 0
        to 1), ``standard`` (mean 0, deviation 1) or ``none``.
    scale : float
        What the mean of the normalised scores is multiplied with.
    """

    models: tuple[TeacherConfig, ...]
    normalise: str = "minmax"
    scale: float = 10.0

    def __post_init__(self) -> None:
        check_types(self, "teachers")
        if not self.models:
            raise InvalidInputError("teachers.models is empty")
        _among("teachers.normalise", self.normalise, NORMALISATIONS)
        _positive("teachers", self, "scale")


@dataclass(frozen=True)
class DevelopmentConfig:
    """A test collection that says which state of the model is the best.

    Parameters
    ----------
    path : str
        Folder in BEIR layout or id of ir_datasets.
    split : str
    measure : str
        As ir-measures writes it.
    every : int
        Steps between two measurements.
    patience : int, optional
        Measurements without a new best after which training stops.
    """

    path: str
    split: str = "dev"
    measure: str = "nDCG@10"
    every: int = 200
    patience: int | None = None

    def __post_init__(self) -> None:
        check_types(self, "development")
        _positive("development", self, "every", "patience")


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Parameters
    ----------
    recipe : str
        Name of a recipe, see `sparsearch.training.RECIPES`.
    model : str
        Folder or hub name of the checkpoint to start from.
    data : str
        Pairs, triplets or scored lists: a JSONL file (may be gzip), a Parquet file, or a folder
        that `datasets` saved.
    output : str
        Folder for the model, checkpoints, log and caches. A run that was interrupted goes on when
        it is started again.
    query_model : str, optional
        Another checkpoint for queries (recipes with two separate models).
    query_length, document_length : int
        Longest text, in tokens.
    optimizer, sparsity, negatives, teachers, development
        Settings of these parts; mining, teachers and measuring happen only if given.
    fused_head : bool
        Whether the vocabulary head and max-pooling run as one, without logits for all tokens.
    checkpoint_every : int
        Steps between two checkpoints.
    seed : int
    device : str, optional
        Where to train; by default a GPU if there is one.
    """

    recipe: str
    model: str
    data: str
    output: str
    query_model: str | None = None
    query_length: int = 32
    document_length: int = 256
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)
    negatives: NegativesConfig | None = None
    teachers: TeachersConfig | None = None
    development: DevelopmentConfig | None = None
    fused_head: bool = True
    checkpoint_every: int = 500
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        recipe = recipe_named(self.recipe)
        if self.query_model is not None and not recipe.has_query_model:
            reason = f"query_model is {shorten(self.query_model)}, but recipe {self.recipe} has no"
            raise InvalidInputError(f"{reason} model of its own for queries; leave it out")
        _positive("", self, "checkpoint_every")
        for name in ("query_length", "document_length"):
            if getattr(self, name) < _SHORTEST:
                reason = f"it must be at least {_SHORTEST}: special tokens take two"
                raise InvalidInputError(f"{name} is {getattr(self, name)}; {reason}")
        _check_seed(self.seed)

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> TrainConfig:
        """Build it from nested mappings, as a configuration file gives them.

        Raises
        ------
        InvalidInputError
            For an unknown, missing or malformed setting; names it.
        """
        return from_mapping(cls, value)

    def to_mapping(self) -> dict[str, Any]:
        """Return it as nested mappings of JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class FitConfig:
    """How directions are fitted.

    Parameters
    ----------
    epochs, batch : int
        Passes over all bags, and bags a step.
    learning_rate : float
        Of Adam, at the start; it falls to 0 linearly.
    decay : float
        Of what is a token's own in its direction: its mean square over a batch is multiplied by it.
    seed : int
    """

    epochs: int = 6
    batch: int = 256
    learning_rate: float = 1e-3
    decay: float = 0.003
    seed: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        _positive("", self, "epochs", "batch", "learning_rate")
        _not_negative("", self, "decay")
        _check_seed(self.seed)


def read_config(path: str | PathLike[str]) -> TrainConfig:
    """Read a configuration from a YAML file.

    Raises
    ------
    FileFormatError
        When the file cannot be read, is not YAML, or a setting in it is wrong.
    MissingExtraError
        When PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train") from error
    try:
        with open(path, encoding="utf-8") as file:
            value = _load_yaml(yaml, file)
        if value is None:
            raise InvalidInputError("holds no settings; docs/training.md tells which there are")
        return TrainConfig.from_mapping(value)
    except OSError as error:
        raise FileFormatError(path, None, f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        reason = getattr(error, "problem", None) or str(error)
        raise FileFormatError(path, line, f"not YAML: {reason}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise FileFormatError(path, None, f"not YAML: {error}") from error
    except InvalidInputError as error:
        raise FileFormatError(path, None, str(error)) from error


def _load_yaml(yaml: Any, file: TextIO) -> Any:
    """Return what a YAML file says; a name given twice is refused, which PyYAML does not do."""

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in names:
                    problem = f"{shorten(key.value)} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                names.add(key.value)
            return super().construct_mapping(node, deep)

    return yaml.load(file, Loader)


def _positive(section: str, settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InvalidInputError(f"{_path(section, name)} is {value}; it must be above 0")


def _not_negative(section: str, settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InvalidInputError(f"{_path(section, name)} is {value}; it must be 0 or above")


def _path(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _check_seed(seed: int) -> None:
    if not 0 <= seed < _SEEDS:
        raise InvalidInputError(f"seed is {seed}; it must be at least 0 and below 2**63")


def _share(path: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InvalidInputError(f"{path} is {value}; it must be between 0 and 1")


def _among(path: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInputError(f"{path} is {shorten(value)}; it may be {', '.join(allowed)}")
