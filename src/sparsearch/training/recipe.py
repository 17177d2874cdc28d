"""What a method is made of. Nothing here needs torch.

A `Recipe` says what encodes queries and documents, what is learned from, and what keeps the vectors
sparse.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsearch.encoders.checkpoint_parts import ACTIVATIONS, POOLINGS
from sparsearch.errors import InvalidInputError, shorten

__all__ = [
    "ENCODERS",
    "LOSSES",
    "REGULARISERS",
    "EncoderPart",
    "LossPart",
    "Recipe",
    "RegulariserPart",
]

ENCODERS = (
    "binary",  # 1 for each term of the text
    "idf",  # its inverse document frequency
    "table",  # a learned weight a term
    "term_weights",  # a learned weight for each token of the text, from its hidden state
    "masked_lm",  # the masked-language-model head: weights for all terms of the vocabulary
    "tied",  # the same without the head's transform: hidden states against input embeddings
    "epic",  # EPIC's gated head
    "echo",  # a decoder that reads the text twice; the second copy goes through a tied head
    "prompt_reps",  # a decoder asked for one word; its logits for the words of the text
)
LOSSES = ("infonce", "candidates", "margin_mse", "kl", "term_recall", "anti_zero")
REGULARISERS = ("flops", "l1", "df_flops")


@dataclass(frozen=True)
class EncoderPart:
    """What turns queries, or documents, into vectors.

    Parameters
    ----------
    kind : str
        One of `ENCODERS`.
    pooling : str
        From weights a token to weights a text: one of `POOLINGS`. Only for heads over the whole
        vocabulary; the others take the largest weight of a term's occurrences.
    activation : str
        One of `sparsearch.encoders.checkpoint_parts.ACTIVATIONS`.
    """

    kind: str
    pooling: str = "max"
    activation: str = "log1p"

    def __post_init__(self) -> None:
        _one_of("encoder", self.kind, ENCODERS)
        _one_of("pooling", self.pooling, POOLINGS)
        _one_of("activation", self.activation, ACTIVATIONS)

    @property
    def inference_free(self) -> bool:
        """Whether encoding takes a tokenizer and a table only."""
        return self.kind in ("binary", "idf", "table")


@dataclass(frozen=True)
class LossPart:
    """One term of the ranking loss: its kind, one of `LOSSES`, and its weight."""

    kind: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _one_of("loss", self.kind, LOSSES)


@dataclass(frozen=True)
class RegulariserPart:
    """What keeps vectors sparse.

    Parameters
    ----------
    kind : str
        One of `REGULARISERS`.
    weight : float
        Its weight in the loss, reached at the end of the ramp.
    ramp : float
        Share of all steps over which the weight grows, quadratically, from 0.
    threshold : int, optional
        The l0 mask: vectors with no more non-zeros than that are left alone (``flops`` only).
    """

    kind: str
    weight: float
    ramp: float = 1 / 3
    threshold: int | None = None

    def __post_init__(self) -> None:
        _one_of("regulariser", self.kind, REGULARISERS)


@dataclass(frozen=True)
class Recipe:
    """A method: encoders, losses, regularisers, and the settings its paper gives.

    Parameters
    ----------
    name : str
    title, paper, url : str
        What it is called in print, who published it where, and a link.
    query, document : EncoderPart
    losses : tuple of LossPart
        Empty for a method that is not trained.
    query_regulariser, document_regulariser : RegulariserPart, optional
    shared : bool
        Whether queries and documents go through one and the same model.
    top_k : int, optional
        Non-zeros kept of each vector.
    learning_rate : float
        Peak learning rate.
    lora_rank : int, optional
        Rank of low-rank adapters, in place of training all weights.
    note : str
        Where the recipe departs from the paper.
    """

    name: str
    title: str
    paper: str
    url: str
    query: EncoderPart
    document: EncoderPart
    losses: tuple[LossPart, ...]
    query_regulariser: RegulariserPart | None = None
    document_regulariser: RegulariserPart | None = None
    shared: bool = False
    top_k: int | None = None
    learning_rate: float = 2e-5
    lora_rank: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.shared and self.query != self.document:
            reason = "a shared model encodes queries and documents alike"
            raise InvalidInputError(f"recipe {shorten(self.name)}: {reason}; make the parts equal")

    @property
    def needs_scores(self) -> bool:
        """Whether it learns from the scores of a teacher."""
        return any(loss.kind in ("margin_mse", "kl") for loss in self.losses)

    @property
    def needs_negatives(self) -> bool:
        """Whether each query must come with documents that do not answer it."""
        return self.needs_scores or any(loss.kind == "candidates" for loss in self.losses)

    @property
    def uses_negatives(self) -> bool:
        """Whether it learns anything from documents that do not answer a query."""
        return self.needs_negatives or self.uses_others_documents

    @property
    def has_query_model(self) -> bool:
        """Whether queries have a model of their own."""
        return not self.shared and not self.query.inference_free

    @property
    def has_table(self) -> bool:
        """Whether a weight for each term of queries is learned, in place of a model for them."""
        return self.query.kind == "table"

    @property
    def uses_others_documents(self) -> bool:
        """Whether documents of other queries in the batch count as wrong answers to a query."""
        return any(loss.kind == "infonce" for loss in self.losses)


def _one_of(what: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInputError(f"no {what} {shorten(value)}; there are: {', '.join(allowed)}")
