"""Searching one committed state of an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsearch.checks import is_whole
from sparsearch.encoders import Encoder
from sparsearch.errors import DocumentNotFoundError, InvalidQueryError, shorten
from sparsearch.index.allowed import Allowed
from sparsearch.index.approximate import EXACT
from sparsearch.index.config import IndexConfig
from sparsearch.index.distinct import Distinct
from sparsearch.index.documents import Document
from sparsearch.index.explain import Explanation, TermNames, explain_document
from sparsearch.index.feedback import Feedback, expanded
from sparsearch.index.passages import passage_id
from sparsearch.index.search import (
    SearchOptions,
    plan_queries,
    search_snapshot,
    without_zeros,
)
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.terms import Terms
from sparsearch.index.topk import TopK
from sparsearch.index.tuning import TUNING, StoredTuning, Tuning, sample_queries
from sparsearch.runs import Hit, Run
from sparsearch.storage import Catalog, SegmentFiles
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Searcher"]


class Searcher:
    """What `Index` does to search.

    Parameters
    ----------
    path : Path
        The index folder.
    catalog : Catalog
        Of the index.
    encoder : Encoder, optional
        The index's encoder, if the caller has it at hand.
    """

    def __init__(self, path: Path, catalog: Catalog, encoder: Encoder | None = None) -> None:
        self.path = path
        self.config = IndexConfig.from_settings(catalog.settings["config"])
        self._catalog = catalog
        self._files = SegmentFiles(path / "segments")
        self._snapshot = Snapshot.open(catalog, self._files)
        self._terms = Terms(catalog, encoder)
        self._stored_tuning = StoredTuning()

    @property
    def generation(self) -> int:
        """Number of the commit that this `Index` searches."""
        return self._snapshot.generation

    @property
    def can_approximate(self) -> bool:
        """Whether `recall` makes a difference; in an index of words, as BM25 makes, it does not."""
        return self._snapshot.has_forward_index

    @property
    def reads_with_model(self) -> bool:
        """Whether a model reads the documents to be added, which takes long; see `encode_ahead`.

        Raises
        ------
        EncoderUnavailableError
            If the encoder cannot be loaded.
        """
        return self._terms.reads_with_model

    @property
    def splits_words(self) -> bool:
        """Whether its encoder takes text apart into words itself; see `Encoder.splits_words`.

        Raises
        ------
        EncoderUnavailableError
            If the encoder cannot be loaded.
        """
        return self._terms.splits_words

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Strings of the terms; None if the index knows only term ids, or nothing yet."""
        return self._terms.vocabulary

    @property
    def has_term_ids(self) -> bool:
        """Whether it holds vectors whose terms are ids without strings."""
        snapshot = self._snapshot
        without_encoder = self._catalog.settings["encoder"] is None
        return without_encoder and snapshot.vocabulary_size == 0 and snapshot.n_postings > 0

    def search(
        self,
        query: str | Mapping[Any, float] | SparseVectors,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
    ) -> list[Hit]:
        """Return the best documents for a query.

        Parameters
        ----------
        query : str, mapping of term to weight, or SparseVectors of one row
        k : int
            How many at most. Documents without a positive score are never returned.
        filter : mapping, optional
            Condition on metadata (see docs/filters.md); k documents that meet it are returned if
            there are as many.
        recall : float, optional
            Search approximately: expect this share of the exact best k among the hits, whose
            scores are exact in any case (see docs/search.md, and `tune`). By default, and with
            BM25 and the default encoder always, the search is exact.
        feedback : Feedback, optional
            Search for the query as `expand` widens it; ``Feedback()`` has sensible settings.
        distinct : str, optional
            Name of a metadata field: of the documents that have the same value of it, only the best
            is returned. With ``"document"``, the best passage of each text (see `IndexConfig`).

        Returns
        -------
        list of Hit
            By score descending, then in insertion order.

        Raises
        ------
        InvalidQueryError, FilterError
        EncoderUnavailableError
            If text is given and the index has no encoder.
        """
        snapshot = self._snapshot
        options = self._options(recall, 1)
        vector = self._one_query(query, snapshot)
        vector = self._widened(snapshot, vector, filter, options, feedback)
        top = self._top_k(snapshot, vector, k, filter, options, distinct)
        hits: list[Hit] = []
        for number, score in zip(top.numbers[0].tolist(), top.scores[0].tolist(), strict=True):
            if len(hits) == top.counts[0]:
                break
            document = snapshot.document(number)
            hits.append(Hit(document.id, score, document.title, document.text, document.metadata))
        return hits

    def search_batch(
        self,
        queries: Mapping[str, str] | Sequence[str] | SparseVectors,
        k: int = 100,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
        threads: int | None = None,
    ) -> Run:
        """Return the rankings of many queries.

        Parameters
        ----------
        queries : mapping of query id to text, sequence of texts, or SparseVectors
            Queries without ids are numbered from "0".
        k, filter, recall, feedback, distinct
            As in `search`.
        threads : int, optional
            All cores by default. Results do not depend on it.

        Returns
        -------
        Run
        """
        snapshot = self._snapshot
        if isinstance(queries, Mapping):
            names, texts = list(queries), list(queries.values())
            vectors = self._terms.for_queries(texts, snapshot)
        else:
            vectors = self._terms.for_queries(queries, snapshot)
            names = [str(i) for i in range(len(vectors))]
        options = self._options(recall, threads)
        vectors = self._widened(snapshot, vectors, filter, options, feedback)
        top = self._top_k(snapshot, vectors, k, filter, options, distinct)
        rankings = {}
        for name, numbers, scores, count in zip(
            names, top.numbers, top.scores, top.counts.tolist(), strict=True
        ):
            ids = [snapshot.id(number) for number in numbers[:count].tolist()]
            rankings[name] = (ids, scores[:count])
        return Run.from_rankings(rankings)

    def top_k(
        self,
        queries: Sequence[str] | SparseVectors,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        distinct: str | None = None,
        threads: int | None = 1,
    ) -> TopK:
        """Return document numbers and scores as arrays: the least work a search can be.

        Numbers are places in insertion order; `ids_of` turns them into ids, `documents_of` into
        documents. They hold until the index is refreshed or written to.
        """
        snapshot = self._snapshot
        options = self._options(recall, threads)
        vectors = self._terms.for_queries(queries, snapshot)
        return self._top_k(snapshot, vectors, k, filter, options, distinct)

    def sample_queries(self) -> SparseVectors:
        """Return the long queries that `tune` measures with where none are given.

        Returns
        -------
        SparseVectors
            At most 300 rows, fewer in a small index: the 32 heaviest terms of each of some
            documents that are spread evenly over the index.
        """
        vectors, _ = sample_queries(self._snapshot)
        return SparseVectors.from_trusted(
            vectors.offsets, vectors.term_ids, vectors.weights, self._terms.vocabulary
        )

    @property
    def tuning(self) -> Tuning:
        """What effort each recall takes: as last measured by `tune`, or sensible defaults."""
        return self._stored_tuning.of(self._catalog.settings.get(TUNING))

    def ids_of(self, numbers: Iterable[int]) -> list[str]:
        """Return the ids of document numbers given by `top_k`; raises as `documents_of`."""
        snapshot = self._snapshot
        return [snapshot.id(number) for number in _checked(numbers, snapshot)]

    def documents_of(self, numbers: Iterable[int]) -> list[Document]:
        """Return the documents of numbers given by `top_k`.

        Raises
        ------
        InvalidQueryError
            When a number is not that of a document.
        """
        snapshot = self._snapshot
        return [snapshot.document(number) for number in _checked(numbers, snapshot)]

    def encode_queries(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vectors that `search` would use for these texts."""
        return self._terms.for_queries(texts, self._snapshot)

    def expand(
        self,
        queries: Sequence[str] | SparseVectors,
        filter: Mapping[str, Any] | None = None,
        *,
        feedback: Feedback = Feedback(),  # noqa: B008 - it is frozen
        recall: float | None = None,
        threads: int | None = None,
    ) -> SparseVectors:
        """Return queries widened by what their best documents say (pseudo-relevance feedback).

        They find documents that are worded differently; see docs/search.md for what that brings
        and costs. What ``search(feedback=...)`` searches for.

        Parameters
        ----------
        queries : sequence of texts, or SparseVectors
        filter, recall, threads
            Of the search for the documents that are believed; as in `search_batch`.
        feedback : Feedback, optional

        Returns
        -------
        SparseVectors
            One row a query.
        """
        snapshot = self._snapshot
        vectors = self._terms.for_queries(queries, snapshot)
        options = self._options(recall, threads)
        return self._widened(snapshot, vectors, filter, options, feedback)

    def explain(
        self,
        query: str | Mapping[Any, float] | SparseVectors,
        document_id: str,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
    ) -> Explanation:
        """Return each query term's contribution to a document's score.

        Parameters
        ----------
        query, document_id
        filter, recall, feedback
            Of a search with feedback, to explain the scores that it gives.

        Raises
        ------
        DocumentNotFoundError
            If no document has this id.
        """
        snapshot = self._snapshot
        number = self._number(document_id, snapshot)
        asked = self._one_query(query, snapshot)
        options = self._options(recall, None)
        vector = self._widened(snapshot, asked, filter, options, feedback)
        vector = without_zeros(vector, self.config.max_code)
        plan = plan_queries(snapshot, vector, self.config.max_code)
        of_query = self._terms.text_terms(query) if isinstance(query, str) else None
        of_text = self._terms.text_terms(snapshot.document(number).content)
        names = TermNames(self._terms.vocabulary, of_query or {}, of_text)
        explanation = explain_document(snapshot, number, vector, plan, asked, names)
        unknown = [] if isinstance(query, str) else self._unknown_terms(query)
        return replace(explanation, missing=(*explanation.missing, *unknown))

    def _unknown_terms(self, query: Mapping[Any, float] | SparseVectors) -> list[str]:
        """Return the terms of a vector that the index, knowing terms by strings, does not have."""
        vocabulary = self._terms.vocabulary
        given = query.to_dicts()[0] if isinstance(query, SparseVectors) else query
        return [] if vocabulary is None else [str(term) for term in given if term not in vocabulary]

    def _one_query(
        self, query: str | Mapping[Any, float] | SparseVectors, snapshot: Snapshot
    ) -> SparseVectors:
        if isinstance(query, str):
            return self._terms.for_queries([query], snapshot)
        vector = query
        if isinstance(query, Mapping):
            vector = SparseVectors.from_dicts([query])
        if not isinstance(vector, SparseVectors) or len(vector) != 1:
            raise InvalidQueryError(
                "a query must be text, a mapping of term to weight, or SparseVectors of one row; "
                "use search_batch for more"
            )
        return self._terms.for_queries(vector, snapshot)

    def _widened(
        self,
        snapshot: Snapshot,
        vectors: SparseVectors,
        filter: Mapping[str, Any] | None,
        options: SearchOptions,
        feedback: Feedback | None,
    ) -> SparseVectors:
        if feedback is None:
            return vectors
        if not isinstance(feedback, Feedback):
            raise InvalidQueryError(f"feedback is {shorten(feedback)}; give Feedback() or None")
        top = self._top_k(snapshot, vectors, feedback.documents, filter, options)
        return expanded(snapshot, vectors, top, self._terms.saturation, feedback)

    def _top_k(
        self,
        snapshot: Snapshot,
        vectors: SparseVectors,
        k: int,
        filter: Mapping[str, Any] | None,
        options: SearchOptions,
        distinct: str | None = None,
    ) -> TopK:
        if not is_whole(k, 0):
            raise InvalidQueryError(f"k is {shorten(k)}; it must be a whole number, at least 0")
        allowed = snapshot.allowed(filter)
        if distinct is None:
            return search_snapshot(snapshot, vectors, int(k), allowed, options)
        if not isinstance(distinct, str):
            raise InvalidQueryError(f"distinct is {shorten(distinct)}; give the name of a field")

        def ranking(part: slice, depth: int, left: Allowed) -> TopK:
            return search_snapshot(snapshot, vectors[part], depth, left, options)

        return Distinct(snapshot, distinct, ranking).top_k(len(vectors), int(k), allowed)

    def _options(self, recall: float | None, threads: int | None) -> SearchOptions:
        if threads is not None and not is_whole(threads, 1):
            reason = f"threads is {shorten(threads)}; it must be at least 1, or None for all cores"
            raise InvalidQueryError(reason)
        efforts = EXACT if recall is None else self.tuning.efforts(recall)
        return SearchOptions(self.config.max_code, efforts, threads)

    def _number(self, document_id: str, snapshot: Snapshot) -> int:
        if isinstance(document_id, str):
            number = int(snapshot.find([document_id])[0])
            if number >= 0:
                return number
            first = passage_id(document_id, 1)
            if self.config.passage_length is not None and snapshot.find([first])[0] >= 0:
                reason = f"document {shorten(document_id)} is stored in passages"
                raise DocumentNotFoundError(
                    f"{reason}; give the id of one, such as {shorten(first)}"
                )
        raise DocumentNotFoundError(f"no document has the id {shorten(document_id)}")


def _checked(numbers: Iterable[int], snapshot: Snapshot) -> Iterator[int]:
    if not isinstance(numbers, Iterable):
        raise InvalidQueryError(f"numbers are {shorten(numbers)}; give a sequence of them")
    for number in numbers:
        if not is_whole(number, 0) or number >= snapshot.n_documents:
            raise InvalidQueryError(f"no document has the number {shorten(number)}")
        yield number
