"""The figures of filters are those of the filters asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import filters


def test_every_filter_has_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "QUERIES", 20)
    monkeypatch.setattr(filters, "ROUNDS", 1)
    figures = filters.measure("splade", 3000, tmp_path / "index")
    shares = [0.5, 0.1, 0.01, 0.001]
    assert [figure["share"] for figure in figures] == [1.0, *shares, *shares]
    assert [figure["kept"] for figure in figures[::4]] == ["all", "at random", "neighbours"]
    assert all(0.9 <= figure["recall"] <= 1 for figure in figures)
    assert all(figure["us"] > 0 and figure["exact us"] > 0 for figure in figures)
    # A thousandth of 3,000 documents cannot fill ten places; all others can.
    for figure in figures:
        if figure["share"] > 0.001:
            assert figure["hits"] == 10
        else:
            assert 0 < figure["hits"] < 10
