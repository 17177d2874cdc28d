"""Hard negatives: documents that look relevant and are not known to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sparsearch.encoders import Encoder
from sparsearch.errors import InvalidInputError
from sparsearch.index import Index
from sparsearch.training.config import NegativesConfig
from sparsearch.training.examples import Example

__all__ = ["mine_negatives"]

_PORTION = 4096


def mine_negatives(
    examples: Sequence[Example],
    config: NegativesConfig,
    *,
    encoder: Encoder | str = "bm25",
    corpus: Iterable[str] | None = None,
    seed: int = 0,
) -> list[Example]:
    """Give each example negatives: hits of its query that are neither its positives nor itself.

    Parameters
    ----------
    examples : sequence of Example
        What negatives they have, and scores, are replaced.
    config : NegativesConfig
    encoder : Encoder or "bm25"
        What the index is made with; BM25 first, later the model in training.
    corpus : iterable of str, optional
        Texts to search; by default the positives of all examples.
    seed : int
        For the drawing among the hits.

    Returns
    -------
    list of Example
        In the same order, each with ``config.count`` negatives. Where too few documents match a
        query, the rest is drawn from the whole corpus, but for the hits that ``config.skip`` names.

    Raises
    ------
    InvalidInputError
        When the corpus has too few texts that are neither positives of a query, nor the query
        itself, nor skipped.
    """
    texts = list(dict.fromkeys(corpus if corpus is not None else (e.positive for e in examples)))
    own = _own_texts(examples)
    random = np.random.default_rng(seed)
    with TemporaryDirectory(prefix="sparsearch-") as folder:
        index = Index.create(Path(folder) / "index", encoder=encoder)
        with index:
            index.add({"id": str(number), "text": text} for number, text in enumerate(texts))
            mined = []
            for start in range(0, len(examples), _PORTION):
                portion = examples[start : start + _PORTION]
                # A query's own text and positives are among its hits and do not count.
                depth = config.depth + max(len(own[example.query]) for example in portion)
                run = index.search_batch([example.query for example in portion], depth)
                for number, example in enumerate(portion):
                    found = run.ids(str(number)) if str(number) in run else ()
                    known = own[example.query]
                    hits = [text for text in (texts[int(i)] for i in found) if text not in known]
                    skipped, near = hits[: config.skip], hits[config.skip : config.depth]
                    unwanted = known.union(skipped)
                    negatives = _draw(near, texts, unwanted, config.count, random)
                    documents = (example.positive, *negatives)
                    mined.append(replace(example, documents=documents, scores=None))
    return mined


def _own_texts(examples: Sequence[Example]) -> dict[str, set[str]]:
    """Return each query with its positives, over all examples that have it.

    A text that is a query and a document besides, such as a question asked twice, is none of the
    documents that do not answer it.
    """
    own: dict[str, set[str]] = {}
    for example in examples:
        own.setdefault(example.query, {example.query}).add(example.positive)
    return own


def _draw(
    candidates: list[str],
    texts: list[str],
    unwanted: set[str],
    count: int,
    random: np.random.Generator,
) -> list[str]:
    if len(candidates) >= count:
        chosen = random.choice(len(candidates), count, replace=False)
        return [candidates[i] for i in sorted(chosen.tolist())]
    used = {*candidates, *unwanted}
    missing = count - len(candidates)
    others = [text for text in texts if text not in used]
    if len(others) < missing:
        raise InvalidInputError(
            f"the corpus has {len(texts)} texts, too few for {count} negatives of each query that "
            "are neither the query nor its positives nor hits that `skip` leaves out"
        )
    return candidates + [others[i] for i in random.choice(len(others), missing, replace=False)]
