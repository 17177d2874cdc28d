"""What can be refused before anything that takes long."""

from __future__ import annotations

from collections.abc import Sequence

from sparsearch.errors import InvalidInputError, TrainingError, shorten
from sparsearch.training.batches import Batches
from sparsearch.training.config import TrainConfig
from sparsearch.training.examples import Example
from sparsearch.training.recipe import Recipe

__all__ = ["check_batches", "check_examples", "check_use"]


def check_use(config: TrainConfig, recipe: Recipe) -> None:
    """Make sure that a recipe has a use for the settings that only some recipes have.

    Raises
    ------
    InvalidInputError
        For the first that it would pass over.
    """
    if config.teachers is not None and not recipe.needs_scores:
        reason = f"recipe {recipe.name} learns from no scores, so teachers would score for nothing"
        raise InvalidInputError(f"teachers: {reason}; leave them out, or take another recipe")
    if config.negatives is not None and not recipe.uses_negatives:
        reason = f"recipe {recipe.name} learns from none, so they would be mined for nothing"
        raise InvalidInputError(f"negatives: {reason}; leave them out, or take another recipe")
    if config.query_model is not None and not recipe.has_query_model:
        reason = f"recipe {recipe.name} has no model of its own for queries"
        raise InvalidInputError(f"query_model: {reason}; leave it out")
    rate = config.optimizer.table_learning_rate
    if rate is not None and not recipe.has_table:
        reason = f"recipe {recipe.name} has no learned table of query weights"
        raise InvalidInputError(
            f"optimizer.table_learning_rate is {rate}, but {reason}; leave it out"
        )


def check_examples(examples: Sequence[Example], config: TrainConfig, recipe: Recipe) -> None:
    """Make sure that a recipe can learn from examples, with what is mined and scored for them.

    Raises
    ------
    TrainingError
        When they have too few documents, not all as many, or no scores.
    InvalidInputError
        When they fill no batch, or have negatives or scores that mining would replace.
    """
    if not examples:
        raise TrainingError("there are no examples to train on")
    if config.negatives is None:
        _check_counts(examples, recipe)
    else:
        _check_plain_pairs(examples)
    _check_scores(examples, config, recipe)
    check_batches(examples, config, recipe)


def check_batches(examples: Sequence[Example], config: TrainConfig, recipe: Recipe) -> None:
    """Make sure that examples fill a batch; with their mined negatives they may not any more.

    Raises
    ------
    InvalidInputError
        When they fill none.
    """
    if recipe.losses:
        size, distinct = config.optimizer.batch_size, recipe.uses_others_documents
        _ = Batches(examples, size, config.seed, distinct=distinct)[0]


def _check_counts(examples: Sequence[Example], recipe: Recipe) -> None:
    counts = {len(example.documents) for example in examples}
    if len(counts) > 1:
        reason = f"queries have between {min(counts)} and {max(counts)} documents"
        raise TrainingError(
            f"{reason}; give each as many, or none but the positive and let `negatives` be mined"
        )
    if recipe.needs_negatives and counts == {1}:
        reason = f"recipe {recipe.name} learns from documents that do not answer the query"
        raise TrainingError(f"{reason}: give some in the data, or let `negatives` be mined")


def _check_scores(examples: Sequence[Example], config: TrainConfig, recipe: Recipe) -> None:
    scored = sum(example.scores is not None for example in examples)
    share = f"{scored:,} of the {len(examples):,} examples have"
    if config.teachers is not None and scored > 0:
        reason = f"`teachers` are to score, but {share} scores of their own"
        raise InvalidInputError(f"{reason}; leave `teachers` out, or the scores")
    if recipe.needs_scores and config.teachers is None and scored < len(examples):
        reason = f"recipe {recipe.name} learns from a teacher's scores"
        found = f", which {share}" if scored else ""
        raise TrainingError(f"{reason}{found}: give `scores` in the data, or `teachers`")


def _check_plain_pairs(examples: Sequence[Example]) -> None:
    """Make sure that mining throws away nothing that somebody gave on purpose."""
    for example in examples:
        if len(example.documents) > 1 or example.scores is not None:
            what = "negatives" if len(example.documents) > 1 else "scores"
            reason = f"`negatives` are to be mined, but the data has {what} of its own"
            where = f"the first for the query {shorten(example.query)}"
            raise InvalidInputError(
                f"{reason}, {where}; leave `negatives` out, or give pairs of query and positive"
            )
