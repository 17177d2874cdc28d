"""`Encoder.load` and what encoders have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsearch import Bm25Encoder, Encoder, Index
from sparsearch.errors import InvalidInputError


def test_an_encoder_must_have_all_methods() -> None:
    class Half(Encoder):
        identity = {"type": "half"}  # noqa: RUF012

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
    assert isinstance(Bm25Encoder(), Encoder)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    for wrong in (object(), "splade", Bm25Encoder):
        with pytest.raises(InvalidInputError, match="unknown encoder"):
            Index.create(tmp_path / "index", wrong)  # type: ignore[arg-type]
