"""Every number that the default encoder depends on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training.

    Parameters
    ----------
    seed : int
    pair_quotas : mapping of str to int
        Pairs taken from each source of ``train/pairs.jsonl.gz``, passages included. All sources
        named here have licences that allow a model to be shipped.
    wiki_passages : int
        Passages of Wikipedia, with their titles as queries.
    more_queries : mapping of str to int
        Further pairs whose queries alone are used.
    wiki_titles, wiki_spans, sentences : int
        Made-up queries: titles, spans of 3 to 9 words, beginnings of sentences of the passages.
    held_out : int
        Pairs that only validate.
    steps, batch : int
        Batches of so many queries; 0 steps give tier 0, the untrained head.
    learning_rate : float
    terms_per_document : int
        Terms that the head's thresholds are steered to.
    temperature : float
        Scores of the teacher lie between 0 and about 2; they are multiplied by it.
    dense_range : float
        Cosine that counts as much as the best BM25 score of a query.
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
    held_out: int = 1500
    steps: int = 400
    batch: int = 96
    learning_rate: float = 2e-3
    terms_per_document: int = 200
    temperature: float = 10.0
    dense_range: float = 0.7
