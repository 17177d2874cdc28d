"""Choosing training text: passages, queries with a passage that answers them, and more queries."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import TrainingConfig

_LONGEST_QUERY, _LONGEST_PASSAGE, _LONGEST_MORE = 400, 2500, 200


@dataclass(frozen=True)
class TrainingText:
    """What a head is trained on.

    Parameters
    ----------
    passages : list of str
    queries : list of str
    answers : list of int
        The passage that answers each query, for the first queries; the rest have none.
    sources : list of str
        Of each query.
    short : list of str
        More short texts, as queries might be.
    """

    passages: list[str]
    queries: list[str]
    answers: list[int]
    sources: list[str]
    short: list[str]


def choose_texts(data: Path, config: TrainingConfig) -> TrainingText:
    """Read the texts that a configuration names from a folder of training data."""
    passages, queries, answers, sources = _pairs(data, config)
    more, more_sources = _more_queries(data, config, passages, set(queries))
    queries, sources = queries + more, sources + more_sources
    short = _short_texts(data, config, set(queries))
    return TrainingText(passages, queries, answers, sources, short)


def _pairs(data: Path, config: TrainingConfig) -> tuple[list[str], list[str], list[int], list[str]]:
    random.seed(config.seed)
    quotas, taken = config.pair_quotas, dict.fromkeys(config.pair_quotas, 0)
    numbers: dict[str, int] = {}
    passages: list[str] = []
    queries, answers, sources = [], [], []
    for row in _rows(data / "pairs.jsonl.gz"):
        source = row["src"]
        if taken.get(source, 0) >= quotas.get(source, 0):
            continue
        if not row["query"].strip() or not row["pos"].strip():
            continue
        taken[source] += 1
        passage = row["pos"][:_LONGEST_PASSAGE]
        if passage not in numbers:
            numbers[passage] = len(passages)
            passages.append(passage)
        queries.append(row["query"][:_LONGEST_QUERY])
        answers.append(numbers[passage])
        sources.append(source)
    wiki = list(_rows(data / "wiki-passages.jsonl.gz"))
    random.shuffle(wiki)
    for row in wiki[: config.wiki_passages]:
        queries.append(row["title"])
        answers.append(len(passages))
        sources.append("wiki-title")
        passages.append(row["text"])
    return passages, queries, answers, sources


def _more_queries(
    data: Path, config: TrainingConfig, passages: list[str], known: set[str]
) -> tuple[list[str], list[str]]:
    random.seed(config.seed + 1)
    queries: list[str] = []
    sources: list[str] = []

    def add(text: str, source: str) -> None:
        query = " ".join(text.split())[:_LONGEST_MORE]
        if len(query) > 2 and query not in known:
            known.add(query)
            queries.append(query)
            sources.append(source)

    quotas, taken = config.more_queries, dict.fromkeys(config.more_queries, 0)
    for row in _rows(data / "pairs.jsonl.gz"):
        source = row["src"]
        if taken.get(source, 0) >= quotas.get(source, 0):
            continue
        taken[source] += 1
        if source == "wordnet" and random.random() < 0.6:
            add(row["pos"].split(";")[0], "wordnet-definition")
        else:
            add(row["query"], source)
    wiki = list(_rows(data / "wiki-110k.jsonl.gz"))
    random.shuffle(wiki)
    for row in wiki[: config.wiki_titles]:
        add(row["title"], "wiki-title")
    for row in wiki[config.wiki_titles : config.wiki_titles + config.wiki_spans]:
        words = row["text"].split()
        count = random.randint(3, 9)
        if len(words) > 20:
            start = random.randrange(len(words) - count + 1)
            add(" ".join(words[start : start + count]), "wiki-span")
    for number in random.sample(range(len(passages)), config.sentences):
        sentence = random.choice(re.split(r"(?<=[.!?])\s+", passages[number])).split()
        if len(sentence) >= 4:
            add(" ".join(sentence[: random.randint(4, 18)]), "sentence")
    return queries, sources


def _short_texts(data: Path, config: TrainingConfig, known: set[str]) -> list[str]:
    random.seed(config.seed + 2)
    texts: list[str] = []

    def add(text: str) -> None:
        query = " ".join(text.split())[:_LONGEST_MORE]
        if len(query) > 2 and query not in known:
            known.add(query)
            texts.append(query)

    for row in _rows(data / "wiki-110k.jsonl.gz"):
        words = row["text"].split()
        count = random.randint(3, 16)
        start = random.randrange(max(1, len(words) - count + 1))
        add(" ".join(words[start : start + count]))
    for row in _rows(data / "pairs.jsonl.gz"):
        if row["src"] == "wordnet":
            add(row["query"] if random.random() < 0.4 else row["pos"].split(";")[0])
        elif row["src"] in config.short_sources:
            add(row["query"])
    random.shuffle(texts)
    return texts


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
