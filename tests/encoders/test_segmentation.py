# ruff: noqa: RUF001
from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.encoders import segmentation
from sparsearch.encoders.segmentation import fold, tokenize

ascii_texts = st.text(
    st.sampled_from("aZbz019'.,_- \n\t\x00\x1c@(") | st.characters(max_codepoint=127)
)
# Characters with roles in segmentation, next to each other more often than chance would have it.
SPECIAL = (
    "aé's’·״.,٫٬1٢_- \u00ad\u200b\u200d\ufe0f\u0301\u0323\ud800\x00“—"
    "中ひテーไทยำ한हिन्दी👩🏽🚒🇩🇪❤©ßİΣςﬁ½²①"
)
texts = st.text(st.sampled_from(SPECIAL) | st.characters())


def definition(folded: str) -> list[str]:
    return segmentation._unicode_token().findall(folded)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n\t\x00\x1f", []),
        ("...!?--__''", []),
        ("Sparse Retrieval", ["sparse", "retrieval"]),
        ("os.path.join(run_in_executor)", ["os", "path", "join", "run", "in", "executor"]),
        ("state-of-the-art", ["state", "of", "the", "art"]),
        ("don't 'quoted' dogs' O’Neil’s", ["don't", "quoted", "dogs", "o'neil's"]),
        (
            "3.14 1,000,000 v1.2.3 3.x a.3 3..4 end.",
            ["3.14", "1,000,000", "v1.2.3", "3", "x", "a", "3", "3", "4", "end"],
        ),
        ("x\x00y", ["x", "y"]),
        ("Straße STRASSE ΛΌΓΟΣ λόγος", ["strasse", "strasse", "λόγοσ", "λόγοσ"]),
        ("ﬁne x² ① １２", ["fine", "x2", "1", "12"]),
        ("co\u00adop a\u200bb", ["coop", "a", "b"]),
        ("“curly”—dash…dots©", ["curly", "dash", "dots"]),
        ("हिन्दी में लिखा है", ["हिन्दी", "में", "लिखा", "है"]),
        ("中文 テスト ひら スーパー", ["中", "文", "テスト", "ひ", "ら", "スーパー"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("שלום צה״ל", ["שלום", "צה״ל"]),
        ("العَرَبِيَّة ١٢٫٥", ["العَرَبِيَّة", "١٢٫٥"]),
        ("col·lecció", ["col·lecció"]),
        ("e\u0301te", ["éte"]),
        ("👍🏽 👩‍🚒 🇩🇪🇫🇷 ❤️!", ["👍", "👩", "🚒", "🇩🇪", "🇫🇷", "❤"]),
        ("a\ud800b \udfff", ["a", "b"]),
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


@given(ascii_texts)
def test_the_ascii_pattern_finds_what_the_definition_finds(text):
    assert tokenize(text) == definition(text.lower())


@given(texts)
def test_typography_only_saves_time(text):
    assert tokenize(text) == definition(fold(text))


@given(texts)
def test_tokens_are_non_empty_encodable_and_stand_for_themselves(text):
    for token in tokenize(text):
        assert token
        token.encode()
        assert tokenize(token) == [token]


@given(st.text(st.characters(categories=["L", "N", "P", "Z"])))
def test_case_makes_no_difference(text):
    assert tokenize(text.casefold()) == tokenize(text)


@given(texts, texts)
def test_a_blank_separates(left, right):
    assert tokenize(f"{left} {right}") == tokenize(left) + tokenize(right)


def test_long_tokens_are_kept_whole():
    assert tokenize("x" * 1_000_000) == ["x" * 1_000_000]
    assert tokenize("é" * 1_000_000) == ["é" * 1_000_000]


def test_a_megabyte_of_marks_takes_no_quadratic_time():
    start = time.process_time()
    (token,) = tokenize("a" + "\u0300\u0323" * 500_000)
    assert len(token) > 900_000
    assert time.process_time() - start < 5


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["\u0301", "\u0323", "\u0300", "\u0345"]), max_size=29))
def test_short_runs_of_marks_meet_in_any_equivalent_order(marks):
    text = "a" + "".join(marks)
    assert tokenize(unicodedata.normalize("NFD", text)) == tokenize(text)
