"""From training text to the packaged default encoder, in one command.

    python training/default/build.py --data ../shared/data/train

Everything that takes long is kept in the cache folder, so a build that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from choose import choose_mixture
from config import TrainingConfig
from dense import encode_cached
from head import Head
from numpy.typing import NDArray
from package import write_package
from teacher import make_teacher
from texts import choose_texts
from train import TrainingSet, train, usable_terms

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHIPPED = REPOSITORY / "src" / "sparsearch" / "encoders" / "default_model"


def main() -> None:
    """Build the default encoder as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of training data")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "default")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    parser.add_argument("--steps", type=int, help="0 for tier 0, the untrained head")
    arguments = parser.parse_args()
    config = TrainingConfig()
    if arguments.steps is not None:
        config = replace(config, steps=arguments.steps)
    text = choose_texts(arguments.data, config)
    passages = encode_cached(text.passages, arguments.cache)
    queries = encode_cached(text.queries, arguments.cache)
    teacher = make_teacher(text, passages, queries, config, arguments.cache)
    training = TrainingSet(text, passages, queries, teacher)
    order = np.random.default_rng(config.seed).permutation(len(text.answers))
    held_out = order[: config.held_out]
    pool = np.setdiff1d(np.arange(len(text.queries)), held_out)
    head = _trained(training, config, pool, arguments.cache)
    mixture = choose_mixture(training, head, held_out)
    print({name: round(value, 4) for name, value in mixture.measured.items()})
    write_package(mixture, config, arguments.output)


def _trained(
    training: TrainingSet, config: TrainingConfig, pool: NDArray[np.int64], cache: Path
) -> Head:
    """Train a head, or read it from the cache."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()
    path = cache / f"head-{digest[:16]}.npz"
    if not path.is_file():
        head = train(training, config, pool).to_head(usable_terms())
        np.savez(path, **vars(head))
    with np.load(path) as stored:
        return Head(**{name: stored[name] for name in stored.files})


if __name__ == "__main__":
    main()
