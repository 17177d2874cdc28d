"""Every number that the default encoder depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparsearch.training import FitConfig


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training.

    Parameters
    ----------
    seed : int
    pair_quotas : mapping of str to int
        Pairs taken from each source of ``pairs.jsonl.gz``, passages included. All sources named
        here and below have licences that allow a model to be shipped.
    wiki_passages : int
        Passages of Wikipedia, with their titles as queries.
    more_queries : mapping of str to int
        Further pairs whose queries alone are used.
    wiki_titles, wiki_spans, sentences : int
        Made-up queries: titles, spans of 3 to 9 words, beginnings of sentences of the passages.
    short_sources : tuple of str
        Sources all of whose queries are used besides; of ``wordnet`` definitions, too.
    held_out : int
        Pairs whose queries directions are not fitted to, and which weights are chosen on.
    epochs, batch : int
        Passes over all texts, and texts a step.
    learning_rate : float
        At the start; it falls to 0 linearly.
    decay : float
        Of what is a token's own in its direction: its mean square over a batch is multiplied by it.
    longest : int
        Distinct tokens of a text that directions are fitted to, at most.
    similarity : float
        Cosine of directions from which on tokens stand for the same term.
    terms_per_text : int
        Terms a passage would have if thresholds alone decided; the model keeps the heaviest.
    most_texts : float
        Share of all passages that may have a term.
    idf_exponent : float
        Power of the learned terms' inverse document frequencies.
    learned_weight, pair_weight : float
        What learned terms and pairs of words count beside words. Held-out queries rank alike with
        exponents from .5 to 1, weights from 8 to 15, and from .2 to .4; docs/lab-notes.md says why
        these.
    """

    seed: int = 1
    pair_quotas: dict[str, int] = field(
        default_factory=lambda: {
            "squad-du-split": 6000, "stackexchange": 3500, "stackexchange-title-body": 1500,
            "win32-docs": 2000, "powershell-docs": 1500, "scitldr": 4300, "covidqa": 1200,
            "wordnet": 3000,
        }
    )  # fmt: skip
    wiki_passages: int = 7000
    more_queries: dict[str, int] = field(
        default_factory=lambda: {
            "squad-du-split": 14000, "stackexchange": 3000, "stackexchange-title-body": 1500,
            "wordnet": 14000, "win32-docs": 3000, "powershell-docs": 2000,
        }
    )  # fmt: skip
    wiki_titles: int = 6000
    wiki_spans: int = 8000
    sentences: int = 12000
    short_sources: tuple[str, ...] = (
        "wordnet", "squad-du-split", "stackexchange", "stackexchange-title-body", "win32-docs",
        "powershell-docs", "qmsum", "covidqa",
    )  # fmt: skip
    held_out: int = 3000
    epochs: int = 3
    batch: int = 1024
    learning_rate: float = 1e-3
    decay: float = 0.003
    longest: int = 128
    similarity: float = 0.7
    terms_per_text: int = 700
    most_texts: float = 0.5
    idf_exponent: float = 0.5
    learned_weight: float = 11.0
    pair_weight: float = 0.25

    @property
    def fit(self) -> FitConfig:
        """What of this is about fitting directions."""
        return FitConfig(self.epochs, self.batch, self.learning_rate, self.decay, self.seed)
