"""Training of learned sparse encoders: one framework for the methods of the literature.

Names are resolved on first use; torch is imported only by those that need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsearch.training.adapting import AdaptingStep, adapt_default
    from sparsearch.training.building import Base, build_model
    from sparsearch.training.config import (
        DevelopmentConfig,
        FitConfig,
        NegativesConfig,
        OptimizerConfig,
        SparsityConfig,
        TeacherConfig,
        TeachersConfig,
        TrainConfig,
        read_config,
    )
    from sparsearch.training.examples import Example, examples_from, read_examples, write_examples
    from sparsearch.training.live import LiveEncoder
    from sparsearch.training.mining import mine_negatives
    from sparsearch.training.plotting import plot_run
    from sparsearch.training.pseudo import pseudo_queries
    from sparsearch.training.recipe import EncoderPart, LossPart, Recipe, RegulariserPart
    from sparsearch.training.recipes import RECIPES
    from sparsearch.training.run import TrainResult, train
    from sparsearch.training.run_log import StepReport
    from sparsearch.training.teachers import ScoreCache, score_examples

_EXPORTS = {
    "AdaptingStep": "adapting",
    "Base": "building",
    "DevelopmentConfig": "config",
    "EncoderPart": "recipe",
    "Example": "examples",
    "FitConfig": "config",
    "LiveEncoder": "live",
    "LossPart": "recipe",
    "NegativesConfig": "config",
    "OptimizerConfig": "config",
    "RECIPES": "recipes",
    "Recipe": "recipe",
    "RegulariserPart": "recipe",
    "ScoreCache": "teachers",
    "SparsityConfig": "config",
    "StepReport": "run_log",
    "TeacherConfig": "config",
    "TeachersConfig": "config",
    "TrainConfig": "config",
    "TrainResult": "run",
    "adapt_default": "adapting",
    "build_model": "building",
    "examples_from": "examples",
    "mine_negatives": "mining",
    "plot_run": "plotting",
    "pseudo_queries": "pseudo",
    "read_config": "config",
    "read_examples": "examples",
    "score_examples": "teachers",
    "train": "run",
    "write_examples": "examples",
}

__all__ = [
    "RECIPES",
    "AdaptingStep",
    "Base",
    "DevelopmentConfig",
    "EncoderPart",
    "Example",
    "FitConfig",
    "LiveEncoder",
    "LossPart",
    "NegativesConfig",
    "OptimizerConfig",
    "Recipe",
    "RegulariserPart",
    "ScoreCache",
    "SparsityConfig",
    "StepReport",
    "TeacherConfig",
    "TeachersConfig",
    "TrainConfig",
    "TrainResult",
    "adapt_default",
    "build_model",
    "examples_from",
    "mine_negatives",
    "plot_run",
    "pseudo_queries",
    "read_config",
    "read_examples",
    "score_examples",
    "train",
    "write_examples",
]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sparsearch.training' has no attribute {name!r}")
    value = getattr(import_module(f"sparsearch.training.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
