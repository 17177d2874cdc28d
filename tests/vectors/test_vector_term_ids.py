from __future__ import annotations

import pytest
from hypothesis import given
from vector_strategies import rows

from sparsearch.errors import InvalidVectorError
from sparsearch.vectors import SparseVectors, vectors_by_term_id


@given(rows(2**32 - 1))
def test_ids_in_decimal_are_ids(dicts: list[dict[int, float]]) -> None:
    written = [{str(term): weight for term, weight in row.items()} for row in dicts]
    assert vectors_by_term_id(written) == SparseVectors.from_dicts(dicts)


@pytest.mark.parametrize(
    "term",
    [
        "",
        " 7",
        "+7",
        "-7",
        "7.0",
        "7_0",
        "word",
        "\u0667",
        "\u00b2",
        "\uff17",
        "9" * 11,
        "9" * 5000,
    ],
)
def test_what_is_no_term_id(term: str) -> None:
    with pytest.raises(InvalidVectorError, match="row 1: its terms must be term ids in decimal"):
        vectors_by_term_id([{}, {"7": 1.0, term: 1.0}])


def test_one_id_written_in_two_ways() -> None:
    with pytest.raises(InvalidVectorError, match="each given once"):
        vectors_by_term_id([{"7": 1.0, "07": 2.0}])
