"""What requests and answers hold: the schema that OpenAPI shows and requests are checked against.

Answers are written from plain values (see `rendering`); that they fit these models is tested.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from sparsearch.index import Feedback

__all__ = [
    "BatchRequest",
    "BatchResponse",
    "CollectionInfo",
    "CollectionList",
    "CountRequest",
    "CountResponse",
    "DeleteRequest",
    "Deleted",
    "DocumentResponse",
    "DocumentsRequest",
    "EncodeRequest",
    "EncodeResponse",
    "ErrorResponse",
    "ExplainRequest",
    "ExplainResponse",
    "FacetsRequest",
    "FacetsResponse",
    "Health",
    "ListRequest",
    "ListResponse",
    "Readiness",
    "SearchRequest",
    "SearchResponse",
    "Stored",
    "VectorResponse",
]

_FEEDBACK = Feedback()
_LARGEST = 3.4028234663852886e38  # of float32
_WEIGHTS_SCHEMA = {
    "type": "object",
    "additionalProperties": {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
    "description": "Weights by term or, in a collection that knows its terms by number, by term id "
    "in decimal.",
}
_DOCUMENT_SCHEMA = {
    "type": "object",
    "description": "A document: any further property is metadata.",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "title": {"type": ["string", "null"]},
        "text": {"type": ["string", "null"]},
        "vector": _WEIGHTS_SCHEMA,
    },
    "additionalProperties": True,
}
_FILTER_SCHEMA = {
    "type": ["object", "null"],
    "minProperties": 1,
    "description": "A condition on metadata, for example "
    '{"year": {">=": 2020}, "kind": {"in": ["class", "function"]}}.',
    "examples": [{"year": {">=": 2020}}],
}


def _first_fault(weights: object) -> object:
    """Return the first weight that is no number by itself: each would make an error of its own."""
    if isinstance(weights, dict):
        for term, weight in weights.items():
            if not _is_finite(weight):
                return {term: weight}
    return weights


def _is_finite(weight: object) -> bool:
    is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    return is_number and abs(weight) <= sys.float_info.max  # type: ignore[arg-type]


_Item = TypeVar("_Item")


@dataclass(frozen=True)
class _AtMost:
    """So many items, judged up to the first at fault: a million errors would take gigabytes."""

    items: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        bounds: Any = {"max_length": self.items, "fail_fast": True}
        return {**handler(source), **bounds}


Many = Annotated[list[_Item], _AtMost(100_000)]
Names = Annotated[list[str], _AtMost(1000)]
Weights = Annotated[
    dict[str, float], BeforeValidator(_first_fault), WithJsonSchema(_WEIGHTS_SCHEMA)
]
Query = str | Weights
Filter = Annotated[dict[str, Any] | None, WithJsonSchema(_FILTER_SCHEMA)]
Recall = Annotated[
    float | None,
    Field(
        gt=0,
        le=1,
        description="Search approximately: expect this share of the exact best k. By default, and "
        "in collections of BM25 always, the search is exact.",
    ),
]


def _integral(value: object) -> object:
    """Return 3 for 3.0, which are the same number in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_integral)]
DocumentObject = Annotated[dict[str, Any], WithJsonSchema(_DOCUMENT_SCHEMA)]
Scalar = bool | int | float | str


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _one_unknown(cls, value: Any) -> Any:
        """Leave one of the unknown properties: each would make an error of its own."""
        if not isinstance(value, dict):
            return value
        fields = cls.model_fields
        unknown = next((name for name in value if name not in fields), None)
        if unknown is None:
            return value
        return {name: value[name] for name in (*fields, unknown) if name in value}


class FeedbackSettings(_Request):
    """How far queries are widened by what their best documents say."""

    documents: Whole = Field(
        default=_FEEDBACK.documents, ge=1, le=100, description="How many are believed."
    )
    terms: Whole = Field(
        default=_FEEDBACK.terms, ge=1, le=1000, description="How many of theirs are added."
    )
    weight: float = Field(
        default=_FEEDBACK.weight,
        gt=0,
        le=100,
        description="Norm of what is added, over that of the query.",
    )


UseFeedback = Annotated[
    FeedbackSettings | None,
    Field(
        description="Widen the query by what its best documents say (pseudo-relevance feedback), "
        "with these settings, for example {}: finds more, takes longer."
    ),
]


Distinct = Annotated[
    str | None,
    Field(
        description="Name of a metadata field: of the documents that have the same value of it, "
        "only the best is returned. 'document': the best passage of each document."
    ),
]


class ErrorBody(BaseModel):
    """What went wrong; further properties name what the error is about."""

    model_config = ConfigDict(extra="allow")
    code: str = Field(description="For programs, in lower case with underscores.")
    message: str = Field(description="For people: what went wrong and what to do.")


class ErrorResponse(BaseModel):
    """Any answer but the one asked for."""

    error: ErrorBody


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether all collections can be searched."""

    ready: bool


class DocumentsRequest(_Request):
    """Documents to store, all or none of them."""

    documents: Many[DocumentObject]
    term_ids: bool = Field(
        default=False,
        description="The vectors' terms are numbers. Needed for the first vectors of a collection "
        "only, which decide it.",
    )


class Stored(BaseModel):
    """The documents are durable and can be found."""

    stored: int


class DeleteRequest(_Request):
    """Documents to delete, all or none of them: by `ids`, or those that meet a `filter`."""

    ids: Many[Annotated[str, Field(min_length=1)]] | None = None
    filter: Filter = None
    missing_ok: bool = Field(default=True, description="Whether ids may be unknown.")

    @model_validator(mode="after")
    def _either(self) -> DeleteRequest:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        return self


class Deleted(BaseModel):
    """How many documents there were and are not any more."""

    deleted: int


class DocumentResponse(BaseModel):
    """A stored document."""

    id: str
    title: str | None
    text: str | None
    metadata: dict[str, Any]


class ListRequest(_Request):
    """Which documents to list: all, page by page, or those that meet a filter."""

    filter: Filter = None
    after: str | None = Field(
        default=None, description="What the page before said; null for the first page."
    )
    limit: Whole = Field(
        default=100, ge=1, description="Documents of a page, at most; it may have fewer."
    )
    fields: Names | None = Field(
        default=None,
        description="What of each to return: 'title', 'text' and names of metadata fields. By "
        "default everything, with an empty list ids only.",
    )


class ListedDocument(BaseModel):
    """A stored document, or what was asked for of it."""

    id: str
    title: str | None = None
    text: str | None = None
    metadata: dict[str, Any]


class ListResponse(BaseModel):
    """A page of documents; one that is there all the while is on exactly one page."""

    documents: list[ListedDocument]
    after: str | None = Field(description="Asks for the next page; null if this is the last.")


class VectorResponse(BaseModel):
    """The vector of a document, as it is stored."""

    id: str
    vector: dict[str, float]
    names: dict[str, str] = Field(
        description="What terms are called in the document's text, where that differs: pairs of "
        "words, whose terms are numbered."
    )


class Term(BaseModel):
    """A term's contribution to a score."""

    term: str
    query_weight: float
    document_weight: float
    contribution: float = Field(description="All contributions add up to the score.")
    in_text: bool | None = Field(
        description="Whether the text itself holds the term; null where that is unknown."
    )
    words: list[str] = Field(
        description="Words of title and text that stand for the term, in lower case; none where "
        "the encoder added the term (expansion)."
    )


class SearchRequest(_Request):
    """A query: text, or the weights of its terms."""

    query: Query
    k: Whole = Field(default=10, ge=0)
    filter: Filter = None
    recall: Recall = None
    feedback: UseFeedback = None
    distinct: Distinct = None
    fields: Names | None = Field(
        default=None,
        description="What of each hit to return: 'title', 'text' and names of metadata fields. By "
        "default everything, with an empty list ids and scores only.",
    )
    explain: bool = Field(
        default=False, description="Return each term's contribution; for at most 200 hits."
    )
    snippet: Whole | None = Field(
        default=None,
        ge=50,
        le=10_000,
        description="Return of each text only about so many characters, those where most words of "
        "the query stand in its first 20,000, as 'snippet', instead of 'text'; at most 200 hits.",
    )


class SearchHit(BaseModel):
    """A document found."""

    id: str
    score: float
    title: str | None = None
    text: str | None = None
    snippet: str | None = Field(default=None, description="With an ellipsis where it is cut.")
    text_length: int | None = Field(default=None, description="With snippet: of the whole text.")
    metadata: dict[str, Any] = {}
    terms: list[Term] | None = Field(default=None, description="With explain: largest first.")


class SearchResponse(BaseModel):
    """Hits by score, highest first; equal scores in insertion order."""

    hits: list[SearchHit]
    exact: bool = Field(description="Whether these are surely the best.")
    seconds: float = Field(
        description="What the search took, without waiting and transport. Searches of the same "
        "moment may share it."
    )
    generation: int = Field(description="The commit that was searched.")


class BatchRequest(_Request):
    """Many queries, all text or all weights."""

    queries: Many[str] | Many[Weights]
    k: Whole = Field(default=100, ge=0)
    filter: Filter = None
    recall: Recall = None
    feedback: UseFeedback = None
    distinct: Distinct = None


class Ranking(BaseModel):
    """The documents found by one query, best first."""

    ids: list[str]
    scores: list[float]


class BatchResponse(BaseModel):
    """One ranking a query, in their order."""

    rankings: list[Ranking]
    seconds: float
    generation: int


class ExplainRequest(_Request):
    """A query and a document.

    With feedback, what is explained is the widened query, for which filter and recall have to be
    those of the search; `missing` tells of the query itself.
    """

    query: Query
    id: str
    filter: Filter = None
    recall: Recall = None
    feedback: UseFeedback = None


class ExplainResponse(BaseModel):
    """Why the document has its score, largest contribution first.

    `missing` are the terms of the query that the document does not have.
    """

    id: str
    score: float
    terms: list[Term]
    missing: list[str]


class EncodeRequest(_Request):
    """Texts to encode as queries."""

    texts: Many[str]


class EncodeResponse(BaseModel):
    """The vectors that a search would use, in the order of the texts."""

    vectors: list[dict[str, float]]


class CountRequest(_Request):
    """Which documents to count; all of them by default."""

    filter: Filter = None


class CountResponse(BaseModel):
    """How many documents there are."""

    count: int


class FacetsRequest(_Request):
    """Fields whose values to count; all of them by default."""

    fields: Annotated[list[str], _AtMost(100)] | None = None
    filter: Filter = None
    limit: Whole = Field(default=20, ge=1, le=1000, description="Values of each field.")


class FacetValue(BaseModel):
    """A value and how many documents have it."""

    value: Scalar
    count: int


class FacetBody(BaseModel):
    """A field's most frequent values."""

    field: str
    values: list[FacetValue]
    complete: bool = Field(
        description="Whether these are all. A field of very many values has none here."
    )


class FacetsResponse(BaseModel):
    """Fields in alphabetical order, or as asked for."""

    facets: list[FacetBody]


class CollectionInfo(BaseModel):
    """Facts about a collection."""

    name: str
    documents: int
    deleted: int = Field(description="Deleted documents that still take space.")
    segments: int
    postings: int
    terms: int
    bytes: int = Field(description="Size on disk.")
    generation: int
    fields: list[str] = Field(description="Metadata fields that can be filtered on.")
    encoder: dict[str, Any] | None = Field(description="Null if it holds vectors from outside.")
    can_approximate: bool = Field(description="Whether 'recall' makes a difference.")
    writable: bool = Field(description="Whether this server and API key may write.")
    writes_waiting: int


class CollectionList(BaseModel):
    """The collections that the API key opens."""

    collections: list[str]
