"""Model folders: what an ONNX encoder is made of, checked before anything is loaded.

The contract is written down in docs/encoders.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sparsearch.checks import is_whole
from sparsearch.encoders.windows import WindowConfig
from sparsearch.errors import FileFormatError, InvalidInputError, shorten
from sparsearch.files import as_path, digest_of_files

__all__ = [
    "MODEL_NAME",
    "QUERY_MODEL_NAME",
    "QUERY_WEIGHTS_NAME",
    "SETTINGS_NAME",
    "TOKENIZER_NAME",
    "ModelFolder",
    "ModelSettings",
    "QueryTable",
]

SETTINGS_NAME: Final = "sparsearch_encoder.json"
TOKENIZER_NAME: Final = "tokenizer.json"
MODEL_NAME: Final = "model.onnx"
QUERY_MODEL_NAME: Final = "query_model.onnx"
QUERY_WEIGHTS_NAME: Final = "query_weights.safetensors"

_FORMAT: Final = 1
_LARGEST_SETTINGS: Final = 1 << 20
_LARGEST_DIMENSION: Final = 2**31 - 1
_LARGEST_EXPONENT: Final = 4.0

QueryMode = Literal["model", "weights", "idf"]
TermKind = Literal["tokens", "latents"]


@dataclass(frozen=True)
class ModelSettings:
    """The contents of ``sparsearch_encoder.json``.

    Parameters
    ----------
    name : str
        For people: of the model, as on its hub or in its paper.
    dimension : int
        Number of terms; term ids are below it.
    max_length : int
        Most tokens the model takes, `prefix_ids` and `suffix_ids` included.
    overlap : int
        Tokens that neighbouring windows of a longer text share.
    pad_id : int
        Token that fills up the shorter texts of a batch.
    prefix_ids, suffix_ids : tuple of int
        Tokens put before and after each window, such as ``[CLS]`` and ``[SEP]``.
    terms : {"tokens", "latents"}
        Whether term `i` is token `i` of the tokenizer, or has no name but its number.
    queries : {"model", "weights", "idf"}
        What encodes queries: a model; a table with one weight a token; or such a table times the
        token's inverse document frequency in the documents searched.
    document_prompt, query_prompt : str
        Put before each text.
    max_batch : int, optional
        Most windows the model is run on at a time. 1 for a model that was quantised dynamically:
        its ranges are those of the batch, and a vector must not depend on its neighbours.
    idf_exponent : float
        Power that inverse document frequency is raised to where `queries` is ``"idf"``; above 0.
    max_query_terms : int, optional
        Most terms of a query where no model encodes it; the heaviest are kept.

    Raises
    ------
    InvalidInputError
        When a setting is malformed; names it.
    """

    name: str
    dimension: int
    max_length: int
    overlap: int
    pad_id: int
    prefix_ids: tuple[int, ...] = ()
    suffix_ids: tuple[int, ...] = ()
    terms: TermKind = "tokens"
    queries: QueryMode = "model"
    document_prompt: str = ""
    query_prompt: str = ""
    max_batch: int | None = None
    idf_exponent: float = 1.0
    max_query_terms: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidInputError(f"name is {shorten(self.name)}; it must be a text, not empty")
        _check_integer("dimension", self.dimension, 1, _LARGEST_DIMENSION)
        _check_integer("max_length", self.max_length, 1)
        _check_integer("pad_id", self.pad_id, 0)
        for name in ("prefix_ids", "suffix_ids"):
            ids = getattr(self, name)
            if not isinstance(ids, (list, tuple)):
                raise InvalidInputError(f"{name} is {shorten(ids)}; it must be a list of token ids")
            for token_id in ids:
                _check_integer(name, token_id, 0)
            object.__setattr__(self, name, tuple(ids))
        for name in ("document_prompt", "query_prompt"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInputError(f"{name} is {shorten(getattr(self, name))}, not a text")
        _check_choice("terms", self.terms, ("tokens", "latents"))
        _check_choice("queries", self.queries, ("model", "weights", "idf"))
        if self.terms == "latents" and self.queries != "model":
            raise InvalidInputError(f"queries is {self.queries!r}, which needs terms 'tokens'")
        for name in ("max_batch", "max_query_terms"):
            if getattr(self, name) is not None:
                _check_integer(name, getattr(self, name), 1)
        exponent = self.idf_exponent
        if isinstance(exponent, bool) or not isinstance(exponent, (int, float)):
            raise InvalidInputError(f"idf_exponent is {shorten(exponent)}, not a number")
        if not 0 < exponent <= _LARGEST_EXPONENT:
            reason = f"it must be above 0 and at most {_LARGEST_EXPONENT}"
            raise InvalidInputError(f"idf_exponent is {shorten(exponent)}; {reason}")
        self.windows  # noqa: B018 - checks the lengths

    @property
    def windows(self) -> WindowConfig:
        """How texts are cut."""
        framed = self.max_length - len(self.prefix_ids) - len(self.suffix_ids)
        return WindowConfig(framed, self.overlap)

    def to_json(self) -> str:
        """Return the text of the settings file."""
        given = {name: value for name, value in asdict(self).items() if value != ""}
        return json.dumps({"format": _FORMAT, **given}, indent=1) + "\n"


@dataclass(frozen=True)
class QueryTable:
    """Queries without a model: a term and a weight for each token.

    Parameters
    ----------
    terms : ndarray of int32 [dimension]
        The term that each token stands for: itself, or one that it shares with others.
    weights : ndarray of float32 [dimension]
        At least 0.
    """

    terms: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of_tokens(cls, weights: NDArray[np.float32]) -> QueryTable:
        """Return the table in which each token stands for itself."""
        return cls(np.arange(len(weights), dtype=np.int32), weights)


class ModelFolder:
    """A folder with an ONNX encoder.

    Opening it reads the settings and checks that all files are there; each part is loaded when it
    is first asked for.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileFormatError
        When a file is missing or the settings are malformed; names the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path)
        self.settings = _read_settings(self._file(SETTINGS_NAME))
        self._file(TOKENIZER_NAME)
        self._file(MODEL_NAME)
        if self.settings.queries != "model":
            self._file(QUERY_WEIGHTS_NAME)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all files that vectors depend on, 64 hexadecimal digits."""
        return digest_of_files(
            {
                entry.name: entry
                for entry in self.path.iterdir()
                if entry.name in (SETTINGS_NAME, TOKENIZER_NAME, QUERY_WEIGHTS_NAME)
                or ".onnx" in entry.name  # with external data, model.onnx.data and the like
            }
        )

    @property
    def model_path(self) -> Path:
        """The model of documents."""
        return self.path / MODEL_NAME

    @property
    def query_model_path(self) -> Path:
        """The model of queries: the same unless the folder has one for them."""
        own = self.path / QUERY_MODEL_NAME
        return own if own.is_file() else self.model_path

    def load_tokenizer(self) -> Any:
        """Return the ``tokenizers.Tokenizer``, without truncation or padding.

        Raises
        ------
        FileFormatError
            When the file is no tokenizer, or lacks a token that the settings name.
        """
        from tokenizers import Tokenizer

        path = self.path / TOKENIZER_NAME
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise FileFormatError(path, None, f"is no tokenizer: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        settings = self.settings
        for token_id in (settings.pad_id, *settings.prefix_ids, *settings.suffix_ids):
            if tokenizer.id_to_token(token_id) is None:
                reason = f"has no token {token_id}, which {SETTINGS_NAME} names"
                raise FileFormatError(path, None, reason)
        return tokenizer

    def load_query_table(self) -> QueryTable:
        """Return what the tokens of a query weigh, and which terms they stand for.

        Raises
        ------
        FileFormatError
            When the file is malformed, a weight is negative or not finite, or a term is not below
            the dimension; names the token id.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.path / QUERY_WEIGHTS_NAME
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, KeyError) as error:
            raise FileFormatError(path, None, f"is no safetensors file: {error}") from error
        dimension = self.settings.dimension
        weights = tensors.get("weights")
        if weights is None or weights.dtype != np.float32 or weights.shape != (dimension,):
            reason = f"must hold a tensor 'weights', float32 of shape {(dimension,)}"
            raise FileFormatError(path, None, reason)
        terms = tensors.get("terms")
        if terms is None:
            terms = QueryTable.of_tokens(weights).terms
        if terms.dtype != np.int32 or terms.shape != (dimension,):
            reason = f"holds a tensor 'terms' that is not int32 of shape {(dimension,)}"
            raise FileFormatError(path, None, reason)
        unusable = ~(np.isfinite(weights) & (weights >= 0))
        if unusable.any():
            token_id = int(unusable.argmax())
            reason = f"the weight of token {token_id} is {weights[token_id]}; it must be at least 0"
            raise FileFormatError(path, None, reason)
        outside = (terms < 0) | (terms >= dimension)
        if outside.any():
            token_id = int(outside.argmax())
            reason = f"the term of token {token_id} is {terms[token_id]}; it must be one of 0 to "
            raise FileFormatError(path, None, f"{reason}{dimension - 1}")
        return QueryTable(terms, weights)

    def _file(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            reason = "is missing; a model folder needs it (see docs/encoders.md)"
            raise FileFormatError(path, None, reason)
        return path


def _read_settings(path: Path) -> ModelSettings:
    if path.stat().st_size > _LARGEST_SETTINGS:
        raise FileFormatError(path, None, f"is larger than {_LARGEST_SETTINGS} bytes")
    try:
        given = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, None, f"is not valid JSON: {error}") from error
    if not isinstance(given, Mapping):
        raise FileFormatError(path, None, f"holds {shorten(given)}, not a JSON object")
    if given.get("format") != _FORMAT:
        reason = f"is of format {shorten(given.get('format'))}; this sparsearch knows {_FORMAT}"
        raise FileFormatError(path, None, reason)
    known = [field.name for field in fields(ModelSettings)]
    settings = {name: value for name, value in given.items() if name != "format"}
    for name in settings:
        if name not in known:
            reason = f"has an unknown setting {shorten(name)}; known: {', '.join(known)}"
            raise FileFormatError(path, None, reason)
    try:
        return ModelSettings(**settings)
    except TypeError:
        missing = [name for name in known[:5] if name not in settings]
        raise FileFormatError(path, None, f"lacks the setting {missing[0]!r}") from None
    except InvalidInputError as error:
        raise FileFormatError(path, None, str(error)) from error


def _check_integer(name: str, value: object, least: int, most: int = 2**31 - 1) -> None:
    if not is_whole(value, least) or value > most:
        raise InvalidInputError(
            f"{name} is {shorten(value)}; it must be a whole number from {least} to {most}"
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInputError(f"{name} is {shorten(value)}; it must be one of {choices}")
