"""Snippets of texts: the part that shows why a text was found."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

import httpx
from hypothesis import given
from hypothesis import strategies as st
from serving import Served, error_of

from sparsearch import Index
from sparsearch.index.words import TEXT_READ, words_in
from sparsearch.serve.snippets import snippet
from sparsearch.serve.words import TermsOfWords

WORDS = ("sparse", "dense", "soup", "İstanbul", "don't")
FILLING = st.text(alphabet="ab cd\n\t.…👩🏽‍🚀\u202eשל", max_size=300)
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), FILLING), max_size=30).map(" ".join)


@given(
    text=TEXTS,
    words=st.sets(st.sampled_from([w.lower() for w in WORDS])),
    length=st.integers(50, 400),
)
def test_a_snippet_is_a_part_of_the_text_with_the_words(text, words, length) -> None:
    found = snippet(text, words, length)
    if len(text) <= length:
        assert found == text
        return
    bare = found.removeprefix("…\N{NO-BREAK SPACE}").removesuffix("\N{NO-BREAK SPACE}…")
    assert bare in text
    assert len(bare) <= length + 40
    standing = {word for _, _, word in words_in(text)} & words
    assert bool({word for _, _, word in words_in(bare)} & words) is bool(standing)


def test_most_different_words_win_over_most_words() -> None:
    filling = "filling " * 100
    text = f"{filling}soup soup soup soup {filling}sparse soup {filling}"
    found = snippet(text, {"sparse", "soup"}, 100)
    assert "sparse soup" in found
    assert found.startswith("…\N{NO-BREAK SPACE}filling")
    assert found.endswith("filling\N{NO-BREAK SPACE}…")


def test_words_far_behind_are_not_looked_for() -> None:
    text = "x " * TEXT_READ + "soup"
    assert snippet(text, {"soup"}, 100).startswith("x x")


def test_a_search_sends_snippets_instead_of_texts(tmp_path) -> None:
    long = "filling " * 5_000 + "Sparse soup with salt. " + "filling " * 5_000
    with Index.create(tmp_path / "long", "bm25") as index:
        index.add(
            [
                {"id": "long", "title": "Long", "text": "salt " + long[30_000:]},
                {"id": "short", "text": "salt, all of it"},
                {"id": "none", "title": "salt"},
            ]
        )
    with Served(tmp_path / "long") as served:
        url = f"{served.url}/v1/collections/long/search"

        def hits(**fields):
            answer = httpx.post(url, json={"query": "soup salt", **fields})
            assert answer.status_code == 200, answer.text
            return {hit["id"]: hit for hit in answer.json()["hits"]}, len(answer.content)

        whole, bytes_whole = hits(explain=True)
        parts, bytes_parts = hits(explain=True, snippet=300)
        assert bytes_parts < 4_000 < 40_000 < bytes_whole
        assert "Sparse soup with salt." in parts["long"]["snippet"]
        assert len(parts["long"]["snippet"]) < 350
        assert parts["short"]["snippet"] == "salt, all of it"
        assert parts["none"]["snippet"] is None
        for name, hit in parts.items():
            assert hit.pop("text_length") == len(whole[name]["text"] or "")
            del hit["snippet"], whole[name]["text"]
        assert parts == whole
        bare, _ = hits(fields=["title"], snippet=300)
        assert bare["long"].keys() == {"id", "score", "title", "metadata"}
        for wrong in (49, 10_001, 99.5, "300"):
            answer = httpx.post(url, json={"query": "salt", "snippet": wrong})
            assert answer.status_code == 422
            assert "snippet" in error_of(answer)["message"]


def test_words_that_share_a_learned_term_all_stand_for_it(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i") as index:
        index.add([{"id": "a", "text": "The vehicle was parked near the automobiles museum."}])
        (term,) = index.explain("car", "a").terms
        assert term.in_text
        words = TermsOfWords(index, splits=True).words_by_term([index.get("a").text])
        assert words[term.term] == ["vehicle", "automobiles"]
