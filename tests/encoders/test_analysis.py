# ruff: noqa: RUF001
from __future__ import annotations

import pickle

import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.encoders import AnalysisConfig, Analyzer
from sparsearch.encoders.stop_words import STOP_WORDS
from sparsearch.errors import InvalidInputError


def analyze(text: str, **settings) -> list[str]:
    return Analyzer(AnalysisConfig(**settings)).analyze(text)


def test_english_is_stemmed_and_stop_words_left_out_by_default():
    text = "Indexing the searches of John's dogs'"
    assert analyze(text) == ["index", "search", "john", "dog"]
    assert analyze(text, stop_words=False) == ["index", "the", "search", "of", "john", "dog"]


def test_stop_words_are_left_out_by_default_where_there_is_a_list():
    assert AnalysisConfig("german") == AnalysisConfig("german", stop_words=True)
    assert AnalysisConfig("hindi") == AnalysisConfig("hindi", stop_words=False)
    assert AnalysisConfig(None) == AnalysisConfig(None, stop_words=False)


def test_no_language_means_no_stemming():
    assert analyze("Indexing dogs", language=None) == ["indexing", "dogs"]


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("english", "We don't know what it is about retrieval", ["know", "retriev"]),
        ("german", "Das Haus für die Häuser", ["haus", "haus"]),
        ("french", "les chats et les chiens", ["chat", "chien"]),
        ("russian", "и книги", ["книг"]),
    ],
)
def test_stop_words_are_left_out(language, text, terms):
    assert analyze(text, language=language, stop_words=True) == terms


@pytest.mark.parametrize("language", STOP_WORDS)
def test_every_stop_word_is_one_token_and_left_out(language):
    analyzer = Analyzer(AnalysisConfig(language, stop_words=True))
    words = STOP_WORDS[language].split()
    assert len(words) == len(set(words)) > 80
    for word in words:
        assert len(analyzer.tokenize(word)) == 1
        assert analyzer.analyze(word) == []


@pytest.mark.parametrize("language", Stemmer.algorithms())
@pytest.mark.parametrize("text", ["a", "I", "'s", "x'y", "3.14", "中", "👍", "ing", "е", "ال", "·"])
def test_no_stemmer_loses_a_token(language, text):
    analyzer = Analyzer(AnalysisConfig(language, stop_words=False))
    assert len(analyzer.analyze(text)) == len(analyzer.tokenize(text))
    assert all(analyzer.analyze(text))


@given(st.text(), st.sampled_from(["english", "german", "arabic", "turkish", "hindi", None]))
def test_terms_are_never_empty_and_always_encodable(text, language):
    for term in analyze(text, language=language):
        assert term.encode()


def test_overlong_tokens_are_not_stemmed():
    token = "аи" * 500_000  # takes the Serbian stemmer a minute
    assert analyze(token, language="serbian") == [token]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"language": "klingon"}, "klingon.*english"),
        ({"language": 7}, "language 7"),
        ({"language": ["english"]}, "language"),
        ({"language": "hindi", "stop_words": True}, "stop words.*hindi"),
        ({"language": None, "stop_words": True}, "stop words"),
        ({"stop_words": "yes"}, "stop_words"),
    ],
)
def test_unknown_settings_are_refused(settings, named):
    with pytest.raises(InvalidInputError, match=named):
        AnalysisConfig(**settings)


def test_settings_and_analyzers_survive_a_round_trip():
    config = AnalysisConfig("german", stop_words=True)
    assert AnalysisConfig.from_dict(config.to_dict()) == config
    copy = pickle.loads(pickle.dumps(Analyzer(config)))
    assert copy.analyze("die Häuser") == ["haus"]
