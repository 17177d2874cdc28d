"""Text to terms: tokens, less stop words, stemmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import Stemmer

from sparsearch.encoders.segmentation import fold, tokenize
from sparsearch.encoders.settings import checked_settings
from sparsearch.encoders.stop_words import STOP_WORDS
from sparsearch.errors import InvalidInputError, shorten

__all__ = ["AnalysisConfig", "Analyzer"]

_LONGEST_WORD = 255
"""Longer tokens are no words of any language, and some stemmers take quadratic time."""


@dataclass(frozen=True)
class AnalysisConfig:
    """How text becomes terms.

    Parameters
    ----------
    language : str or None
        Language of the Snowball stemmer (any of ``Stemmer.algorithms()``); None for no stemming.
    stop_words : bool, optional
        Leave out the most common words of `language`. By default they are left out where there is
        a list for the language: that ranks better on every collection tried, and searches faster.
        With it, a query of nothing but such words finds nothing.

    Raises
    ------
    InvalidInputError
        When there is no stemmer, or no list of stop words, for the language.
    """

    language: str | None = "english"
    stop_words: bool | None = None

    def __post_init__(self) -> None:
        languages = Stemmer.algorithms()
        if self.language is not None and self.language not in languages:
            known = ", ".join(languages)
            raise InvalidInputError(
                f"no stemmer for language {shorten(self.language)}; use one of {known}, or None"
            )
        if self.stop_words is None:
            object.__setattr__(self, "stop_words", self.language in STOP_WORDS)
        if not isinstance(self.stop_words, bool):
            raise InvalidInputError(f"stop_words is {shorten(self.stop_words)}, not True or False")
        if self.stop_words and self.language not in STOP_WORDS:
            known = ", ".join(STOP_WORDS)
            raise InvalidInputError(
                f"no stop words for language {shorten(self.language)}; use one of {known}, "
                "or stop_words=False"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> AnalysisConfig:
        """Return the configuration that `to_dict` wrote.

        Raises
        ------
        InvalidInputError
            When a setting is missing, unknown or malformed; names it.
        """
        return cls(**checked_settings(settings, "analysis", ("language", "stop_words")))


class Analyzer:
    """Turns text into terms by one configuration.

    Parameters
    ----------
    config : AnalysisConfig
    """

    def __init__(self, config: AnalysisConfig) -> None:
        self.config = config
        # Without the stemmer's own cache: callers remember the term of each token anyway.
        self._stemmer = None if config.language is None else Stemmer.Stemmer(config.language, 0)
        words = STOP_WORDS[str(config.language)].split() if config.stop_words else ()
        self._stop_words = frozenset(map(fold, words))

    def tokenize(self, text: str) -> list[str]:
        """Split `text` into tokens; see `segmentation.tokenize`."""
        return tokenize(text)

    def term(self, token: str) -> str | None:
        """Return the term that `token` stands for, or None for a stop word."""
        if token in self._stop_words:
            return None
        if self._stemmer is None or len(token) > _LONGEST_WORD:
            return token
        return str(self._stemmer.stemWord(token)) or token

    def analyze(self, text: str) -> list[str]:
        """Return the terms of `text`, in order."""
        terms = map(self.term, self.tokenize(text))
        return [term for term in terms if term is not None]

    def __reduce__(self) -> tuple[type[Analyzer], tuple[AnalysisConfig]]:
        return type(self), (self.config,)  # stemmers cannot be pickled
