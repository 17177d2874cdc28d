"""Options that take effect when an index is created, and what they mean for one that exists."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sparsearch.errors import IndexNotFoundError, InvalidInputError

if TYPE_CHECKING:
    from sparsearch.encoders import Encoder
    from sparsearch.index import Index, IndexInfo

__all__ = ["CreationOptions", "EncoderName", "create_or_open"]

EncoderName = Literal["default", "bm25"]
_BM25_OPTIONS = ("language", "stop_words", "k1", "b")


@dataclass(frozen=True)
class CreationOptions:
    """Settings of a new index; None where not given.

    Parameters
    ----------
    language : str, optional
        Of the stemmer; "none" for no stemming.
    stop_words : bool, optional
    k1, b : float, optional
    weight_bits, segment_documents : int, optional
    encoder : {"default", "bm25"}, optional
        None means BM25 if an option that only BM25 has is given, else the default.
    """

    language: str | None = None
    stop_words: bool | None = None
    k1: float | None = None
    b: float | None = None
    weight_bits: int | None = None
    segment_documents: int | None = None
    encoder: EncoderName | None = None

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
        kind = "default" if encoder.get("type") == "hybrid" else encoder.get("type")
        settings = {**info.config, **words, **words.get("analysis", {}), "encoder": kind}
        if "language" in settings and settings["language"] is None:
            settings["language"] = "none"
        for name, value in self.given().items():
            if settings.get(name) != value:
                option = ("--no-" if value is False else "--") + name.replace("_", "-")
                reason = f"{info.path} was created with {name} {settings.get(name, 'unset')}"
                raise InvalidInputError(
                    f"{reason}, not {value}, and keeps it; leave out {option}, or make another "
                    "index"
                )


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
        settings = _only(given, "weight_bits", "segment_documents")
        return Index.create(folder, encoder, IndexConfig.suited_to(encoder, **settings))
    try:
        options.check(found.info())
    except BaseException:
        found.close()
        raise
    return found


def _encoder(given: dict[str, Any]) -> Encoder:
    from sparsearch.encoders import AnalysisConfig, Bm25Config, Bm25Encoder, load_default

    words = _only(given, *_BM25_OPTIONS)
    chosen = given.get("encoder", "bm25" if words else "default")
    if chosen == "default":
        for name in words:
            option = "--" + name.replace("_", "-")
            raise InvalidInputError(f"{option} goes with --encoder bm25; the default has its own")
        return load_default()
    analysis = _only(given, "language", "stop_words")
    if analysis.get("language") == "none":
        analysis["language"] = None
    return Bm25Encoder(Bm25Config(**_only(given, "k1", "b"), analysis=AnalysisConfig(**analysis)))


def _only(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}
