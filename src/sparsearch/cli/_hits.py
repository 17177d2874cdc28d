"""Hits for people: which words matched, and the part of the text that holds most of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sparsearch.cli._console import counted, one_line

if TYPE_CHECKING:
    from rich.text import Text

    from sparsearch.index import Explanation, Index
    from sparsearch.runs import Hit
    from sparsearch.vectors import SparseVectors

__all__ = ["HitPrinter", "matching_words", "snippet"]

_STARTS_TRIED = 200
_LEAD = 30
_TERMS_SHOWN = 8
_SLACK = 20
"""Columns that two lines of text may lose where a word does not fit."""


def matching_words(
    index: Index, query: str | SparseVectors, texts: Sequence[str]
) -> dict[str, dict[int, float]]:
    """Return the words of some texts that match a query; none for a query that is a vector.

    Returns
    -------
    dict of str to dict of int to float
        Per word in lower case, the query's terms that it stands for and their weights.
    """
    from sparsearch.index.words import words_in

    if not isinstance(query, str):
        return {}
    words = sorted({word for text in texts for _, _, word in words_in(text)})
    vectors = index.encode_queries([query, *words])
    wanted = dict(zip(*(part.tolist() for part in vectors.row(0)), strict=True))
    found: dict[str, dict[int, float]] = {}
    for row, word in enumerate(words, start=1):
        terms = vectors.row(row)[0].tolist()
        if not wanted.keys().isdisjoint(terms):
            found[word] = {term: wanted[term] for term in terms if term in wanted}
    return found


def _spans(text: str, words: Mapping[str, object]) -> list[tuple[int, int]]:
    from sparsearch.index.words import words_in

    return [(start, stop) for start, stop, word in words_in(text) if word in words]


def snippet(text: str, words: Mapping[str, Mapping[int, float]], width: int) -> str:
    """Return the part of a one-line text, at most `width` long, that matches best."""
    if len(text) <= width:
        return text
    spans = _spans(text, words)[:_STARTS_TRIED]
    best, best_weight = 0, -1.0
    for start, _ in spans:
        terms: dict[int, float] = {}
        for first, last in spans:
            if start <= first and last <= start + width - _LEAD:
                terms |= words[text[first:last].lower()]
        if sum(terms.values()) > best_weight:
            best, best_weight = start, sum(terms.values())
    return _cut(text, 0 if best + _LEAD < width else best - _LEAD, width)


def _cut(text: str, start: int, width: int) -> str:
    """Cut at blanks, marking what is left out."""
    start = max(0, min(start, len(text) - width + 1))
    if start > 0:
        start = text.find(" ", start) + 1 or start
    stop = start + width - 2 * (start > 0)
    if stop >= len(text):
        return "… " + text[start:]
    blank = text.rfind(" ", start, stop - 1)
    stop = blank if blank > start else stop - 2
    return ("… " if start else "") + text[start:stop] + " …"


@dataclass(frozen=True)
class HitPrinter:
    """Prints the hits of one query.

    Parameters
    ----------
    index : Index
    query : str or SparseVectors
    width : int
        Columns of the terminal.
    """

    index: Index
    query: str | SparseVectors
    width: int

    def render(self, hits: Sequence[Hit], explanations: Sequence[Explanation] = ()) -> Text:
        """Return the lines for all hits, each with its explanation if there are any."""
        from rich.text import Text

        from sparsearch.index.words import TEXT_READ

        texts = [one_line((hit.text or "")[:TEXT_READ]) for hit in hits]
        titles = [one_line(hit.title or "") for hit in hits]
        words = matching_words(self.index, self.query, titles + texts)
        page = Text()
        for rank, (hit, title, text) in enumerate(zip(hits, titles, texts, strict=True), start=1):
            page.append(f"{rank:3}  {hit.score:8.4f}  ")
            page.append_text(self._heading(one_line(hit.id), title, words)).append("\n")
            if text:
                part = snippet(text, words, 2 * (self.width - 6) - _SLACK)
                self._indent(page, self._marked(part, words))
            if hit.metadata:
                fields = " · ".join(f"{name}: {value}" for name, value in hit.metadata.items())
                line = Text(_cut_end(one_line(fields), self.width - 5), style="dim")
                self._indent(page, line)
            if explanations:
                self._indent(page, Text(_contributions(explanations[rank - 1]), style="green"))
        return page

    def _heading(self, name: str, title: str, words: Mapping[str, object]) -> Text:
        from rich.text import Text

        gap = "  " if title else ""
        in_title = title == name or title.startswith(f"{name}: ")
        heading = Text("" if in_title else name + gap, style="cyan")
        marked = self._marked(_cut_end(title, self.width - 15 - len(heading)), words)
        marked.stylize("bold")
        return heading.append_text(marked)

    def _marked(self, text: str, words: Mapping[str, object]) -> Text:
        from rich.text import Text

        marked = Text(text)
        for start, stop in _spans(text, words):
            marked.stylize("bold yellow", start, stop)
        return marked

    def _indent(self, page: Text, block: Text) -> None:
        from rich.console import Console

        lines = block.wrap(Console(width=self.width), self.width - 6)
        for line in lines:
            line.rstrip()
            page.append("     ").append_text(line).append("\n")


def _cut_end(text: str, width: int) -> str:
    return text if len(text) <= width else _cut(text, 0, max(width, _LEAD))


def _contributions(explanation: Explanation) -> str:
    parts = (f"{one_line(term.term)} {term.contribution:.2f}" for term in explanation.terms)
    shown = list(islice(parts, _TERMS_SHOWN))
    more = len(explanation.terms) - len(shown)
    return "because " + " + ".join(shown) + (f" and {counted(more, 'term')} more" if more else "")
