"""Options that take effect when an index is created, and what they mean for one that exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from sparsearch.cli._console import working
from sparsearch.errors import EncoderUnavailableError, IndexNotFoundError, InvalidInputError

if TYPE_CHECKING:
    from sparsearch.encoders import Encoder
    from sparsearch.index import Index, IndexInfo

__all__ = ["ENCODER_NAMES", "CreationOptions", "OwnEncoder", "create_or_open", "load_encoder"]

OwnEncoder = Literal["default", "bm25"]
ENCODER_NAMES: Final = get_args(OwnEncoder)
"""Encoders that come with sparsearch; any other is the folder of a model, or its hub name."""

_BM25_OPTIONS = ("language", "stop_words", "k1", "b", "pair_weight")


@dataclass(frozen=True, kw_only=True)
class CreationOptions:
    """Settings of a new index; None where not given.

    Parameters
    ----------
    language : str, optional
        Of the stemmer; "none" for no stemming.
    stop_words : bool, optional
    k1, b, pair_weight : float, optional
    weight_bits, segment_documents, passage_length : int, optional
    encoder : str, optional
        "default", "bm25", the folder of a model or its hub name. None means BM25 if an option that
        only BM25 has is given, else the default.
    recipe : str, optional
        What to make of a model that has no pooling of its own.
    """

    language: str | None = None
    stop_words: bool | None = None
    k1: float | None = None
    b: float | None = None
    pair_weight: float | None = None
    weight_bits: int | None = None
    segment_documents: int | None = None
    encoder: str | None = None
    recipe: str | None = None
    passage_length: int | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def check(self, info: IndexInfo) -> None:
        """Refuse options that an existing index does not have.

        Raises
        ------
        InvalidInputError
            Names the option and the setting of the index.
        """
        encoder = info.encoder or {}
        words = encoder.get("lexical", encoder)
        settings = {**info.config, "pair_weight": 0.0, **words, **words.get("analysis", {})}
        settings["encoder"] = _name_of(encoder)
        if "language" in settings and settings["language"] is None:
            settings["language"] = "none"
        for name, value in self.given().items():
            if settings.get(name) != (_remembered(value) if name == "encoder" else value):
                option = ("--no-" if value is False else "--") + name.replace("_", "-")
                reason = f"{info.path} was created with {name} {settings.get(name, 'unset')}"
                advice = f"leave out {option}, or make another index"
                if name == "encoder" and encoder.get("source") is not None:
                    advice += "; if its model was moved there, say so: sparsearch relocate"
                raise InvalidInputError(f"{reason}, not {value}, and keeps it; {advice}")


def create_or_open(folder: Path, options: CreationOptions, *, of_text: bool) -> Index:
    """Open an index, or create it if there is none.

    Parameters
    ----------
    folder : Path
    options : CreationOptions
    of_text : bool
        Whether a new index makes its vectors from text, or is given them.

    Raises
    ------
    InvalidInputError
        When an option is out of range, or differs from the setting of the existing index.
    """
    from sparsearch.index import Index, IndexConfig

    given = options.given()
    try:
        found = Index.open(folder)
    except IndexNotFoundError:
        encoder = _encoder(given) if of_text else None
        settings = _only(given, "weight_bits", "segment_documents", "passage_length")
        return Index.create(folder, encoder, IndexConfig(**settings))
    try:
        options.check(found.info())
    except BaseException:
        found.close()
        raise
    return found


def _encoder(given: dict[str, Any]) -> Encoder:
    from sparsearch.encoders import AnalysisConfig, Bm25Config, Bm25Encoder

    words = _only(given, *_BM25_OPTIONS)
    chosen = given.get("encoder", "bm25" if words else "default")
    if chosen in ENCODER_NAMES and "recipe" in given:
        raise InvalidInputError("--recipe goes with --encoder MODEL, and says what to make of it")
    if chosen != "bm25":
        for name in words:
            option = "--" + name.replace("_", "-")
            raise InvalidInputError(f"{option} goes with --encoder bm25; {chosen} has its own")
        try:
            return load_encoder(chosen, **_only(given, "recipe"))
        except EncoderUnavailableError as error:
            names = " or ".join(ENCODER_NAMES)
            raise EncoderUnavailableError(f"{error}; or give --encoder {names}") from error
    analysis = _only(given, "language", "stop_words")
    if analysis.get("language") == "none":
        analysis["language"] = None
    numbers = _only(given, "k1", "b", "pair_weight")
    return Bm25Encoder(Bm25Config(**numbers, analysis=AnalysisConfig(**analysis)))


def load_encoder(chosen: str, **options: Any) -> Encoder:
    """Load the default encoder or a model, saying so while it takes time.

    Raises
    ------
    EncoderUnavailableError
        When there is no such model.
    """
    from sparsearch.encoders import Encoder

    with working("loading the model"):
        return Encoder.load(None if chosen == "default" else chosen, **options)


def _name_of(encoder: Mapping[str, Any]) -> str | None:
    """Return what --encoder would be for an encoder of this identity."""
    kind = encoder.get("type")
    name = encoder.get("source") or ("default" if kind == "hybrid" else kind)
    return None if name is None else str(name)


def _remembered(encoder: str) -> str:
    """Return what --encoder was given as `_name_of` names it."""
    from sparsearch.encoders import remembered_source

    return encoder if encoder in ENCODER_NAMES else remembered_source(encoder)


def _only(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}
