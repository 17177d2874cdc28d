"""From training text to the packaged default encoder, in one command.

    python training/default/build.py --data ../shared/data/train

Dense vectors, which take long, are kept in the cache folder; the rest takes minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config import TrainingConfig
from dense import encode_cached
from directions import bags_of, untrained_directions
from groups import group_tokens
from head import Head, TrainingSet
from mixture import make_mixture
from package import write_package
from sparsearch.training.directions import fit_directions
from texts import choose_texts
from thresholds import thresholds_of, usable_tokens

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHIPPED = REPOSITORY / "src" / "sparsearch" / "encoders" / "default_model"


def main() -> None:
    """Build the default encoder as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of training data")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "default")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    given = parser.add_argument_group("settings other than config.py's")
    given.add_argument(
        "--epochs", type=int, default=argparse.SUPPRESS, help="0 for tier 0, the untrained head"
    )
    given.add_argument(
        "--seed", type=int, default=argparse.SUPPRESS, help="of texts, batches and held-out pairs"
    )
    arguments = parser.parse_args()
    changes = {name: getattr(arguments, name) for name in ("epochs", "seed") if name in arguments}
    config = replace(TrainingConfig(), **changes)
    text = choose_texts(arguments.data, config)
    passages, queries, short = (
        encode_cached(texts, arguments.cache) for texts in (text.passages, text.queries, text.short)
    )
    training = TrainingSet(text, passages, queries, short)
    order = np.random.default_rng(config.seed).permutation(len(text.answers))
    held_out = order[: config.held_out]
    head = make_head(training, held_out, config)
    mixture = make_mixture(training, head, held_out, config)
    print(mixture.measured)
    write_package(mixture, config, arguments.output)


def make_head(training: TrainingSet, held_out: NDArray[np.int64], config: TrainingConfig) -> Head:
    """Fit directions to all texts but the held-out queries, group tokens, and set thresholds."""
    queries = training.queries.rows(fitted_queries(training.text.queries, held_out))
    directions = untrained_directions(training.passages)
    if config.epochs > 0:
        bags = bags_of([training.passages, queries, training.short], config.longest)
        directions = fit_directions(directions, bags, config.fit, _show)
    used = np.bincount(queries.tokens, minlength=len(directions))
    groups, means = group_tokens(directions, usable_tokens(), used, config.similarity)
    thresholds = thresholds_of(means, training.passages, queries, groups, config)
    return Head(means, groups, thresholds)


def fitted_queries(queries: Sequence[str], held_out: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the queries to fit to: those equal to no held-out one, which sources may share."""
    texts = {queries[i] for i in held_out.tolist()}
    return np.array([i for i, query in enumerate(queries) if query not in texts], np.int64)


def _show(epoch: int, loss: float) -> None:
    print(f"epoch {epoch}: 1 - cosine {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
