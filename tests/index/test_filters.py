"""Filters select what the plain reading of their semantics selects."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_filter import fields_of, has_kind, matches, ordered_in, values_of

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.errors import FilterError
from sparsearch.index.allowed import Allowed, KnownFilters, filter_key

EDGES = [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**62 + 1]
HUGE = [2**63, 2**70, -(2**63) - 1, 10**400]
FLOATS = [0.5, -0.0, 2020.0, 2.0**53, 2.0**63, -(2.0**63), 2.0**70, 1e300, 5e-324, 1.7]
STRINGS = ["", "a", "b", "ab", "é", "e\u0301", "日本", "\U0001f600", "\x00", "2020", "true"]

scalars = st.one_of(
    st.booleans(),
    st.sampled_from([*EDGES, 2020, 3]),
    st.sampled_from(FLOATS),
    st.sampled_from(STRINGS),
)
stored_values = st.one_of(
    scalars,
    st.none(),
    st.lists(st.one_of(scalars, st.none(), st.just([1]), st.just({"x": 1})), max_size=3),
    st.just({"nested": 1}),
)
operands = st.one_of(scalars, st.sampled_from(HUGE))
ordered = operands.filter(lambda value: not isinstance(value, bool))
fields = st.sampled_from(["a", "b", "ü"])
conditions = st.one_of(
    operands,
    st.fixed_dictionaries({}, optional={"==": operands, "!=": operands, "exists": st.booleans()}),
    st.dictionaries(st.sampled_from(["<", "<=", ">", ">="]), ordered, max_size=2),
    st.fixed_dictionaries({"in": st.lists(operands, max_size=3)}),
).filter(lambda condition: condition != {})
simple = st.dictionaries(fields, conditions, min_size=1, max_size=2)
filters = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
        st.tuples(inner, inner).map(lambda pair: {**pair[0], "not": pair[1]}),
    ),
    max_leaves=5,
)
metadata = st.lists(st.dictionaries(fields, stored_values, max_size=3), min_size=1, max_size=9)


def index_of(folder: str | Path, documents: list[dict[str, Any]], per_segment: int = 4) -> Index:
    """Return an index whose documents all have the one term, in ascending order of score."""
    index = Index.create(folder, None, IndexConfig(segment_documents=per_segment))
    vectors = SparseVectors.from_dicts([{0: 1.0} for _ in documents])
    index.add_vectors([str(i) for i in range(len(documents))], vectors, documents)
    return index


def found(index: Index, filter: object) -> list[str]:
    return [hit.id for hit in index.search({0: 1.0}, k=1000, filter=filter)]  # type: ignore[arg-type]


@given(metadata, st.lists(filters, min_size=1, max_size=8))
@settings(max_examples=60)
def test_equals_the_plain_reading(
    documents: list[dict[str, Any]], expressions: list[dict[str, Any]]
) -> None:
    known = {name for document in documents for name in document if values_of(document, name)}
    with TemporaryDirectory() as folder, index_of(folder, documents) as index:
        for optimized in (False, True):
            for expression in expressions:
                if not known.issuperset(fields_of(expression)):
                    with pytest.raises(FilterError, match="no document has a field"):
                        found(index, expression)
                    continue
                if not all(has_kind(documents, *asked) for asked in ordered_in(expression)):
                    with pytest.raises(FilterError, match="there to compare with"):
                        found(index, expression)
                    continue
                expected = [
                    str(i) for i, document in enumerate(documents) if matches(document, expression)
                ]
                assert found(index, expression) == expected
            if not optimized:
                index.optimize()


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    documents: list[dict[str, Any]] = [
        {"year": 2020, "kind": "a"},
        {"year": 2020.0, "kind": ["a", "b"]},
        {"year": 2020.5},
        {"year": "2020"},
        {"year": True},
        {"year": None, "kind": []},
        {"year": [1999, 2021], "kind": "c"},
        {"title": "none at all"},
    ]
    with index_of(tmp_path_factory.mktemp("years") / "index", documents) as index:
        yield index


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"year": 2020}, "01"),
        ({"year": 2020.0}, "01"),
        ({"year": {">": 2020}}, "26"),
        ({"year": {">=": 2020, "<": 2020.1}}, "016"),
        ({"year": {"<": 10**30}}, "0126"),
        ({"year": {">": -(10**400)}}, "0126"),
        ({"year": 10**400}, ""),
        ({"year": "2020"}, "3"),
        ({"year": {"<": "3"}}, "3"),
        ({"year": True}, "4"),
        ({"year": 1}, ""),
        ({"year": {"!=": 2020}}, "234567"),
        ({"year": {"exists": False}}, "57"),
        ({"kind": {"exists": True}}, "016"),
        ({"kind": {"in": []}}, ""),
        ({"kind": {"in": ["b", "c", 7]}}, "16"),
        ({"kind": "a", "year": {"in": [2020]}}, "01"),
        ({"not": {"kind": "a"}}, "234567"),
        ({"or": [{"kind": "c"}, {"year": True}]}, "46"),
        ({"and": [{"kind": "a"}, {"kind": "b"}]}, "1"),
        ({"year": {">": 2000, "<": 2000}}, "6"),  # each by an element of its own
    ],
)
def test_examples(years: Index, expression: object, expected: str) -> None:
    assert "".join(found(years, expression)) == expected


DEEP: dict[str, Any] = {"year": 1}
for _ in range(40):
    DEEP = {"not": DEEP}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ({}, "empty"),
        ([], "must be a mapping"),
        ("year", "must be a mapping"),
        ({3: 4}, "must be a field name"),
        (
            {"nope": 1},
            "no document has a field 'nope' that can be filtered on; known are: kind, year",
        ),
        ({"title": "none at all"}, "no document has a field 'title'"),
        ({"kind": {">=": 3}}, "field 'kind': no document has a number there to compare with 3"),
        ({"not": {"or": [{"kind": "a"}, {"kind": {"<": 1}}]}}, "give a string, as the documents"),
        ({"or": [{"year": 1}, {"nope": {"exists": False}}]}, "'nope'"),
        ({"year": {}}, "has no condition"),
        ({"year": {"~": 3}}, "unknown operator '~'; known are"),
        ({"year": {3: 3}}, "unknown operator 3"),
        ({"year": None}, "exists"),
        ({"year": [2020]}, "takes a string, number or boolean"),
        ({"year": {"in": 2020}}, "takes a list"),
        ({"year": {"in": "2020"}}, "takes a list"),
        ({"year": {"in": [[1]]}}, "takes a string"),
        ({"year": {"exists": 1}}, "takes true or false"),
        ({"year": {"<": True}}, "takes a number or a string"),
        ({"year": float("nan")}, "cannot be compared"),
        ({"year": {"<": float("inf")}}, "cannot be compared"),
        ({"year": np.int64(3)}, "takes a string, number or boolean"),
        ({"and": []}, "takes a list of filters"),
        ({"or": {"year": 3}}, "takes a list of filters"),
        ({"not": [{"year": 3}]}, "must be a mapping"),
        (DEEP, "32 levels"),
    ],
)
def test_malformed_filters(years: Index, expression: object, reason: str) -> None:
    with pytest.raises(FilterError, match=reason):
        found(years, expression)


def test_what_is_true_or_false_has_no_order(tmp_path: Path) -> None:
    with (
        index_of(tmp_path / "index", [{"open": True}]) as index,
        pytest.raises(FilterError, match="true and false have no order"),
    ):
        found(index, {"open": {">": 0}})


def test_a_wide_filter(years: Index) -> None:
    expression = {"or": [{"year": year} for year in range(2000)]}
    assert "".join(found(years, expression)) == "6"


def test_a_lone_surrogate_matches_nothing(years: Index) -> None:
    assert found(years, {"kind": {"in": ["\ud800"]}}) == []
    assert "".join(found(years, {"kind": {"<": "\ud800"}})) == "016"


def test_an_empty_index_knows_no_fields_and_finds_nothing(tmp_path: Path) -> None:
    with index_of(tmp_path / "index", []) as index:
        assert found(index, {"whatever": 1}) == []


def test_a_filter_finds_k_documents_however_many_score_higher(tmp_path: Path) -> None:
    documents = [{"rare": i % 100 == 99} for i in range(3000)]
    with index_of(tmp_path / "index", documents, per_segment=1000) as index:
        hits = index.search({0: 1.0}, k=20, filter={"rare": True})
        assert [hit.id for hit in hits] == [str(100 * i + 99) for i in range(20)]


class Plain(Mapping[str, Any]):
    """A mapping that says the same of itself whatever it holds."""

    def __init__(self, **entries: Any) -> None:
        self.entries = entries

    def __getitem__(self, name: str) -> Any:
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return "Plain"


class Named(dict[str, Any]):
    """A dictionary that says the same of itself whatever it holds."""

    def __repr__(self) -> str:
        return "Named"


class OneOf(list[Any]):
    def __repr__(self) -> str:
        return "OneOf"


@pytest.mark.parametrize("make", [Plain, Named, lambda **entries: entries])
def test_filters_that_look_alike_are_told_apart(tmp_path: Path, make: Any) -> None:
    """What filters came to is kept; it once was by their `repr`, which need not tell them apart."""
    with index_of(tmp_path, [{"n": 0}, {"n": 1}, {"n": "1"}, {"n": True}, {"n": 1.5}]) as index:
        for _ in range(2):
            for value, expected in ((0, ["0"]), (1, ["1"]), ("1", ["2"]), (True, ["3"])):
                for expression in (
                    make(n=value),
                    make(n=make(**{"==": value})),
                    {"n": {"in": OneOf([value])}},
                    {"or": [make(n=value)]},
                    make(**{"not": {"not": make(n=value)}}),
                ):
                    assert found(index, expression) == expected


def test_large_filters_are_not_kept(tmp_path: Path) -> None:
    with index_of(tmp_path, [{"n": i, "s": "y"} for i in range(3)]) as index:
        for _ in range(2):
            assert found(index, {"n": {"in": list(range(1, 20_000))}}) == ["1", "2"]
            assert found(index, {"or": [{"s": "x" * 20_000}, {"n": 2}]}) == ["2"]
        assert filter_key({"n": {"in": list(range(1, 20_000))}}) is None


def test_what_is_kept_of_filters_is_bounded() -> None:
    """Where there are few documents, keys take more room than masks."""
    masks = (np.ones(10, np.bool_),)
    known = KnownFilters()
    tracemalloc.start()
    for user in range(1000):
        key = filter_key({"acl": {"in": [f"{user}-{group}" for group in range(900)]}})
        assert key is not None
        known.keep(key, Allowed(masks, None))
        assert known[key] is not None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 80_000_000


def test_many_conditions_take_no_more_room_than_a_few(tmp_path: Path) -> None:
    with index_of(tmp_path, [{"n": i} for i in range(3000)]) as index:
        expression = {"or": [{"n": n} for n in range(0, 3000, 2)]}
        tracemalloc.start()
        found = index.count(expression)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == 1500
        assert peak < 3_000_000


def test_documents_are_deleted_by_a_condition(tmp_path: Path) -> None:
    parts = [{"book": n // 3, "part": n % 3} for n in range(9)]
    with index_of(tmp_path / "i", parts) as index, Index.open(tmp_path / "i") as reader:
        index.delete(["0"])
        assert index.delete_matching({"book": 0}) == 2
        assert index.delete_matching({"book": 0}) == 0
        assert index.delete_matching({"or": [{"part": {">": 1}}, {"book": 2}]}) == 4
        assert found(index, None) == ["3", "4"]
        assert reader.refresh()
        assert found(reader, None) == ["3", "4"]
        for bad in ({"bok": 1}, {}, None, "book", [1]):
            with pytest.raises(FilterError):
                index.delete_matching(bad)  # type: ignore[arg-type]
        assert len(index) == 2
        assert index.verify() == []


def test_ids(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i", "bm25", IndexConfig(segment_documents=4)) as index:
        index.add({"id": f"d{i}", "text": "word", "n": i} for i in range(10))
        index.delete(["d3"])
        index.upsert([{"id": "d5", "text": "word", "n": 50}])

        def found(condition: dict[str, Any]) -> list[str]:
            hits = [hit.id for hit in index.search("word", 20, condition)]
            assert index.count(condition) == len(hits)
            return hits

        assert found({"id": "d4"}) == ["d4"]
        assert found({"id": {"in": ["d5", "d3", "d9", "d9", "missing", ""]}}) == ["d9", "d5"]
        assert found({"id": {"in": []}}) == []
        assert found({"id": {"!=": "d4"}, "n": {"<": 6}}) == ["d0", "d1", "d2"]
        assert found({"not": {"id": {"in": [f"d{i}" for i in range(9)]}}}) == ["d9"]
        assert len(found({"id": {"exists": True}})) == 9
        for operator in ("<", ">="):
            with pytest.raises(FilterError, match="ids have no order"):
                found({"id": {operator: "d4"}})
        for value in (4, True, 4.5):
            with pytest.raises(FilterError, match="ids are strings, not"):
                found({"id": value})
        assert index.delete_matching({"id": {"in": ["d0", "d1"]}}) == 2
        assert index.delete_matching({"id": {"in": ["d0", "d1"]}}) == 0
        index.optimize()
        assert found({"id": {"in": ["d0", "d2", "d5"]}}) == ["d2", "d5"]


@given(
    st.lists(st.one_of(st.integers(-3, 3), st.booleans(), st.sampled_from([0.5, 2**63, 1e300]),
             st.sampled_from(["", "a", "ab", "é", "\U0001f600"])), max_size=8)
)  # fmt: skip
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_of_many_is_any_of_them(tmp_path: Path, values: list[Any]) -> None:
    known = [-3, 2, True, False, 0.5, 1e300, "", "a", "é", "\U0001f600", [1, "ab"]]
    if not (tmp_path / "i").exists():
        with Index.create(tmp_path / "i", "bm25") as index:
            index.add({"id": str(i), "text": "word", "v": v} for i, v in enumerate(known))
    with Index.open(tmp_path / "i") as index:
        either = {"or": [{"v": value} for value in values]} if values else {"v": {"in": []}}
        assert index.count({"v": {"in": values}}) == index.count(either)


def test_a_field_that_documents_had_may_be_named(tmp_path: Path) -> None:
    """Whether the last document with a field is there, or was merged away, is chance."""
    with Index.create(tmp_path / "i", "bm25") as index:
        index.add([{"id": "a", "text": "word", "kind": "x", "n": 1}, {"id": "b", "text": "word"}])
        assert index.delete_matching({"kind": "x"}) == 1
        for _ in range(2):
            assert index.delete_matching({"kind": "x"}) == 0
            assert index.count({"n": {">": 0}, "kind": "x"}) == 0
            assert index.count({"kind": {"!=": "x"}}) == 1
            assert [hit.id for hit in index.search("word", distinct="kind")] == ["b"]
            assert index.facets(["kind"])[0].values == ()
            for use in (
                lambda: index.count({"kinb": "x"}),
                lambda: index.search("word", distinct="kinb"),
                lambda: index.facets(["kinb"]),
            ):
                with pytest.raises(FilterError, match="kinb"):
                    use()
            index.optimize()
        assert index.info().fields == []
    with Index.open(tmp_path / "i") as index:
        assert index.count({"kind": "x"}) == 0
        index.add([{"id": "c", "text": "word", "kind": "x"}])
        assert index.count({"kind": "x"}) == 1
