"""Random streams and filters: each is taken or refused as a plain reading of the rules says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Served, error_of

from sparsearch import Index
from sparsearch.errors import FilterError
from sparsearch.serve import Limits

NDJSON = {"content-type": "application/x-ndjson"}
PORTION = 4

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
fields = texts.filter(lambda name: name not in ("id", "title", "text", "vector"))


def _line(identifier: str, text: str, more: dict[str, Any]) -> bytes:
    return json.dumps({**more, "id": identifier, "text": text}, ensure_ascii=False).encode()


metadata = st.dictionaries(fields, scalars, max_size=2)
good = st.builds(_line, texts.filter(bool), texts, metadata)
blank = st.sampled_from([b"", b"  ", b"\t", b"\r"])
bad = st.sampled_from(
    [b"{", b"[]", b"null", b'{"id": 1, "text": "x"}', b'{"id": "", "text": "x"}', b'{"id": "x"}',
     b'{"id": "x", "text": 1}', b'{"id": "x", "text": "\\ud800"}', b'{"id": "x", "text": NaN}',
     b'{"id": "x", "text": "a", "id": "y"}', b'{"id": "x", "text": "a", "n": 1e999}',
     b'{"id": "x", "text": "a", "n": 123456789012345678901}', b"\xff\xfe", b'{"id": "x"} {}'],
)  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fuzzed") / "papers"
    Index.create(folder, "bm25").close()
    with Served(folder, limits=Limits(portion_documents=PORTION, line_bytes=2000)) as server:
        yield server


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(good | good | blank | bad, max_size=15), ends=st.booleans())
def test_streams_of_lines(fuzzed: Served, lines: list[bytes], ends: bool) -> None:
    url = f"{fuzzed.url}/v1/collections/papers"
    content = b"\n".join(lines) + (b"\n" if ends else b"")
    answer = httpx.put(f"{url}/documents/stream", content=content, headers=NDJSON, timeout=60)
    told = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    first_bad = next((i for i, (_, line) in enumerate(told) if not _is_good(line)), None)
    if first_bad is None:
        assert answer.json() == {"stored": len(told)}
        stored = told
    else:
        error = error_of(answer)
        assert answer.status_code in (400, 422)
        stored = told[: first_bad // PORTION * PORTION]
        assert error["stored"] == len(stored)
        # Lines that are no JSON are looked for first, in each portion.
        portion = told[len(stored) : len(stored) + PORTION]
        assert error["line"] in [number for number, line in portion if not _is_good(line)]
    for document in {d["id"]: d for d in (json.loads(line) for _, line in stored)}.values():
        found = httpx.get(f"{url}/document", params={"id": document["id"]}, timeout=60).json()
        assert {**found["metadata"], "id": found["id"], "text": found["text"]} == document


def _is_good(line: bytes) -> bool:
    """Read a line as plainly as can be, with the lines of this file in mind."""
    try:
        value = json.loads(line)
        whole = isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"]
        known = b"NaN" not in line and b"ud800" not in line and b"1e999" not in line
        once = line.count(b'"id": ') == 1 or not line.startswith(b'{"id": "x", "text": "a", "id"')
        in_range = b"123456789012345678901" not in line
    except ValueError:
        return False
    return bool(whole and known and once and in_range and isinstance(value.get("text"), str))


values = st.sampled_from([2020, 2021, 2021.0, "2021", True, "food", "dense", -1, 0.5, None, [], {}])
names = st.sampled_from(["year", "tags", "draft", "no such field", "", "and"])
conditions = values | st.dictionaries(
    st.sampled_from(["==", "!=", "<", ">=", "in", "exists", "~"]),
    values | st.lists(values, max_size=3),
    max_size=2,
)
filters = st.recursive(
    st.dictionaries(names, conditions, max_size=2) | values,
    lambda inner: st.dictionaries(
        st.sampled_from(["and", "or", "not"]), inner | st.lists(inner, max_size=2), max_size=2
    ),
    max_leaves=5,
)


@settings(max_examples=80)
@given(condition=filters)
def test_filters(served: Served, shared_papers: Path, condition: Any) -> None:
    url = f"{served.url}/v1/collections/papers/count"
    answer = httpx.post(url, json={"filter": condition}, timeout=60)
    expected = _outcome(shared_papers, condition)
    if isinstance(expected, int):
        assert answer.json() == {"count": expected}
    else:
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (422, "filter")
        # What is no object does not fit the schema and does not get as far as the index.
        assert "location" in error or error["message"] == expected


def _outcome(folder: Path, condition: Any) -> int | str:
    with Index.open(folder) as index:
        try:
            return index.count(condition)
        except FilterError as error:
            return str(error)
