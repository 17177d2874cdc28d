"""Why a document has its score: the contribution of every query term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsearch.index.search import QueryPlan
from sparsearch.index.snapshot import Snapshot
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Explanation", "TermContribution", "explain_document"]


@dataclass(frozen=True)
class TermContribution:
    """One term of a query that stands in a document.

    Parameters
    ----------
    term : str
        The term, or its id in decimal where the index knows no term strings.
    query_weight, document_weight : float
    contribution : float
        Their product, rounded as the score is: a document's contributions add up to its score.
    in_text : bool or None
        Whether the document's text holds the term itself; if not, the encoder added it. None where
        that is unknown: for vectors from outside and some encoders.
    """

    term: str
    query_weight: float
    document_weight: float
    contribution: float
    in_text: bool | None = None


@dataclass(frozen=True)
class Explanation:
    """A document's score for a query, term by term.

    Parameters
    ----------
    id : str
    score : float
    terms : tuple of TermContribution
        Largest contribution first.
    """

    id: str
    score: float
    terms: tuple[TermContribution, ...]


def explain_document(
    snapshot: Snapshot,
    number: int,
    query: SparseVectors,
    plan: QueryPlan,
    vocabulary: Vocabulary | None,
    text_terms: frozenset[int] | None = None,
) -> Explanation:
    """Return the contributions of a query's terms to one document's score.

    Parameters
    ----------
    snapshot : Snapshot
    number : int
        The document's number.
    query : SparseVectors
        One row, without explicit zeros.
    plan : QueryPlan
        Of that query.
    vocabulary : Vocabulary or None
        Names of the terms.
    text_terms : frozenset of int, optional
        Ids of the terms that the document's text itself holds, where that is known.
    """
    segment, row = snapshot.locate(number)
    at = snapshot.segments.index(segment)
    located, multipliers = plan.located[at], plan.multipliers[at]
    unit = float(plan.units[0])
    terms = []
    for i in np.flatnonzero(located >= 0).tolist():
        code = segment.code(int(located[i]), row)
        if code == 0:
            continue
        term_id = int(query.term_ids[i])
        terms.append(
            TermContribution(
                str(term_id) if vocabulary is None else vocabulary.term(term_id),
                float(query.weights[i]),
                code * float(segment.arrays["scales"][located[i]]),
                code * int(multipliers[i]) * unit,
                None if text_terms is None else term_id in text_terms,
            )
        )
    terms.sort(key=lambda term: -term.contribution)
    return Explanation(segment.id(row), sum(term.contribution for term in terms), tuple(terms))
