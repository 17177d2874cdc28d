"""Why a document has its score: the contribution of every query term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparsearch.index.search import QueryPlan
from sparsearch.index.snapshot import Snapshot
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Explanation", "TermContribution", "TermNames", "explain_document"]


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
    missing : tuple of str
        Terms of the query that the document does not have; of a text, those known to the index.
    """

    id: str
    score: float
    terms: tuple[TermContribution, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class TermNames:
    """What to call terms in an explanation.

    Parameters
    ----------
    vocabulary : Vocabulary or None
        None where the index knows no term strings.
    of_query : mapping of int to str
        Names and ids of the terms in the text of the query; none where it is a vector.
    of_text : mapping of int to str, or None
        Of the terms that the document's text itself holds; None where that is unknown.
    """

    vocabulary: Vocabulary | None
    of_query: Mapping[int, str]
    of_text: Mapping[int, str] | None

    def name(self, term_id: int) -> str:
        """Return what a term is called: in the document, else in the query, else at all."""
        for named in (self.of_text or {}, self.of_query):
            if term_id in named:
                return named[term_id]
        return str(term_id) if self.vocabulary is None else self.vocabulary.term(term_id)


def explain_document(
    snapshot: Snapshot,
    number: int,
    query: SparseVectors,
    plan: QueryPlan,
    asked: SparseVectors,
    names: TermNames,
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
    asked : SparseVectors
        The query before it was widened: which of its terms are missing is told.
    names : TermNames
    """
    segment, row = snapshot.locate(number)
    at = snapshot.segments.index(segment)
    located, multipliers = plan.located[at], plan.multipliers[at]
    unit = float(plan.units[0])
    terms = {}
    known = np.flatnonzero(located >= 0)
    codes = segment.codes(row, located[known])
    for i, code in zip(known.tolist(), codes.tolist(), strict=True):
        if code == 0:
            continue
        term_id = int(query.term_ids[i])
        terms[term_id] = TermContribution(
            names.name(term_id),
            float(query.weights[i]),
            code * float(segment.arrays["scales"][located[i]]),
            code * int(multipliers[i]) * unit,
            None if names.of_text is None else term_id in names.of_text,
        )
    ordered = sorted(terms.values(), key=lambda term: -term.contribution)
    missing = [names.name(term) for term in asked.term_ids.tolist() if term not in terms]
    score = sum(term.contribution for term in ordered)
    return Explanation(segment.id(row), score, tuple(ordered), tuple(missing))
