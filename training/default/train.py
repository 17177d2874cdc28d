"""Training the head: a direction and a threshold for each token, by distillation.

The score that is trained is the one the index computes: BM25 plus the learned weights of the
query's tokens. So the head learns what BM25 lacks. The backbone stays as it is, which is why an
hour of two processor cores is enough.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
import torch
from base_model import BASE_FOLDER
from config import TrainingConfig
from dense import DenseTexts, encode_vocabulary
from head import Head
from numpy.typing import NDArray
from teacher import Teacher
from texts import TrainingText
from tokenizers import Tokenizer

_USABLE = re.compile(r"(##)?[a-z0-9]+")
_SAMPLED_TERMS, _RANDOM_PASSAGES = 256, 200
_CONTROL = 0.0005


@dataclass(frozen=True)
class TrainingSet:
    """All that a step may look at.

    Parameters
    ----------
    text : TrainingText
    passages, queries : DenseTexts
    teacher : Teacher
    """

    text: TrainingText
    passages: DenseTexts
    queries: DenseTexts
    teacher: Teacher


class HeadModule(torch.nn.Module):
    """Directions and thresholds as parameters, with a map and a scale that all terms share.

    The map lets terms that no training query holds move with the others.

    Parameters
    ----------
    directions : ndarray of float32 [vocabulary, width]
    thresholds : ndarray of float32 [vocabulary]
    """

    def __init__(self, directions: NDArray[np.float32], thresholds: NDArray[np.float32]) -> None:
        super().__init__()
        embed = torch.nn.Embedding.from_pretrained
        self.directions = embed(torch.from_numpy(directions), freeze=False, sparse=True)
        self.thresholds = embed(torch.from_numpy(thresholds)[:, None], freeze=False, sparse=True)
        self.shared = torch.nn.Parameter(torch.eye(directions.shape[1]))
        self.log_scale = torch.nn.Parameter(torch.tensor(0.5).log())

    def logits(self, terms: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Return what ReLU turns into weights: ``[terms, texts]``."""
        moved = self.directions(terms) @ self.shared
        return (moved @ states.T - self.thresholds(terms)) * self.log_scale.exp()

    @torch.no_grad()
    def to_head(self, terms: NDArray[np.int64]) -> Head:
        """Return what was learned, in plain arrays."""
        scale = self.log_scale.exp()
        directions = (self.directions.weight @ self.shared * scale).numpy()
        thresholds = (self.thresholds.weight[:, 0] * scale).numpy()
        query_weights = np.zeros(len(thresholds), np.float32)
        query_weights[terms] = 1.0
        return Head(directions, thresholds, terms, query_weights)


def usable_terms() -> NDArray[np.int64]:
    """Return the tokens that documents may have: letters a to z and digits."""
    tokenizer = Tokenizer.from_file(str(BASE_FOLDER / "tokenizer.json"))
    tokens = [str(tokenizer.id_to_token(i)) for i in range(tokenizer.get_vocab_size())]
    return np.array([i for i, token in enumerate(tokens) if _USABLE.fullmatch(token)])


def start_of(training: TrainingSet, config: TrainingConfig) -> HeadModule:
    """Return the untrained head: each token's own dense vector, centred, times its idf."""
    own = encode_vocabulary()
    own -= own.mean(axis=0)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    passages = training.passages
    holders = [passages.distinct(row) for row in range(len(passages.vectors))]
    frequencies = np.bincount(np.concatenate(holders), minlength=len(own))
    others = len(holders) - frequencies
    idf = np.log1p((others + 0.5) / (frequencies + 0.5)).astype(np.float32)
    sample = passages.vectors[:300] @ own.T
    threshold = np.quantile(sample, 1 - config.terms_per_document / len(own))
    return HeadModule(own * idf[:, None], threshold.astype(np.float32) * idf)


def train(training: TrainingSet, config: TrainingConfig, pool: NDArray[np.int64]) -> HeadModule:
    """Train a head.

    Parameters
    ----------
    training : TrainingSet
    config : TrainingConfig
    pool : ndarray of int64
        Queries to train on.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    module = start_of(training, config)
    rate = config.learning_rate
    optimizers = [
        torch.optim.SparseAdam(module.directions.parameters(), lr=rate),
        torch.optim.SparseAdam(module.thresholds.parameters(), lr=2 * rate),
        torch.optim.Adam(
            [{"params": [module.shared], "lr": 0.3 * rate},
             {"params": [module.log_scale], "lr": 3 * rate}]
        ),
    ]  # fmt: skip
    terms = usable_terms()
    penalty, active, started = 0.0, 0.0, time.perf_counter()
    for step in range(config.steps):
        chosen = rng.choice(pool, config.batch, replace=False)
        sampled = torch.from_numpy(rng.choice(terms, _SAMPLED_TERMS))
        loss, logits = _losses(module, training, config, chosen, sampled, rng)
        with torch.no_grad():
            now = float((logits > 0).float().mean()) * len(terms)
        if now == 0.0:
            raise SystemExit(f"step {step}: no document has any term left; training collapsed")
        active = 0.95 * active + 0.05 * now if step else now
        # A controller instead of a fixed weight: more penalty while there are too many terms.
        penalty = max(0.0, penalty + _CONTROL * float(np.log(active / config.terms_per_document)))
        total = loss + penalty * torch.relu(logits).mean() * len(terms)
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()
        for optimizer in optimizers:
            optimizer.step()
        if (step + 1) % 100 == 0:
            seconds = time.perf_counter() - started
            print(f"step {step + 1}: KL {loss.item():.4f}, {active:.0f} terms, {seconds:.0f} s")
    return module


def _losses(
    module: HeadModule,
    training: TrainingSet,
    config: TrainingConfig,
    chosen: NDArray[np.int64],
    sampled: torch.Tensor,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the divergence from the teacher over a batch, and the sampled terms' logits."""
    teacher = training.teacher
    n_passages = len(training.passages.vectors)
    others = rng.integers(0, n_passages, _RANDOM_PASSAGES)
    passages = np.unique(np.concatenate([teacher.candidates[chosen].ravel(), others]))
    states = torch.from_numpy(training.passages.vectors[passages])
    tokens = [training.queries.distinct(row) for row in chosen.tolist()]
    terms, places = np.unique(np.concatenate(tokens), return_inverse=True)
    holds = torch.zeros(len(chosen), len(terms))
    holds[np.repeat(np.arange(len(chosen)), [len(row) for row in tokens]), places] = 1.0
    both = torch.cat([torch.from_numpy(terms.astype(np.int64)), sampled])
    logits = module.logits(both, states)
    learned = holds @ torch.relu(logits[: len(terms)])
    bm25 = teacher.bm25
    lexical = torch.from_numpy((bm25.queries[chosen] @ bm25.passages[passages].T).toarray())
    best = torch.from_numpy(teacher.best[chosen])[:, None]
    queries = torch.from_numpy(training.queries.vectors[chosen])
    taught = lexical / best + queries @ states.T / config.dense_range
    scored = (lexical + learned) / best
    divergence = torch.nn.functional.kl_div(
        torch.log_softmax(config.temperature * scored, dim=1),
        torch.log_softmax(config.temperature * taught, dim=1),
        log_target=True,
        reduction="batchmean",
    )
    return divergence, logits[len(terms) :]
