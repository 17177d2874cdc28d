from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_strategies import batches, terms

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.vectors import (
    SparseVectors,
    VectorBatch,
    Vocabulary,
    jsonl,
    read_json_vectors,
    write_json_vectors,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jsonl")


def read_lines(folder: Path, *lines: str) -> list[VectorBatch]:
    path = folder / "lines.jsonl"
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
    return list(read_json_vectors(path))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(terms, inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=60)
@given(vectors=batches(), data=st.data(), batch_size=st.integers(1, 9))
@pytest.mark.parametrize("name", ["round.jsonl", "round.jsonl.gz"])
def test_round_trip(
    folder: Path, name: str, vectors: SparseVectors, data: st.DataObject, batch_size: int
) -> None:
    count = len(vectors)
    exactly = {"min_size": count, "max_size": count}
    ids = data.draw(st.lists(terms.filter(bool), **exactly))
    contents = data.draw(st.lists(terms, **exactly))
    extra = st.dictionaries(st.sampled_from(["year", "title", "ü"]), json_values, max_size=2)
    metadata = data.draw(st.lists(extra, **exactly))
    batch = VectorBatch(ids, contents, vectors, metadata)
    assert write_json_vectors(folder / name, [batch]) == count
    assert (folder / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith("gz")
    vocabulary = Vocabulary(vectors.vocabulary or ())
    read = list(read_json_vectors(folder / name, batch_size=batch_size, vocabulary=vocabulary))
    assert [len(part) for part in read[:-1]] == [batch_size] * (len(read) - 1)
    assert [one for part in read for one in part.ids] == ids
    assert [one for part in read for one in part.contents] == contents
    assert [one for part in read for one in part.metadata] == metadata
    parts = [part.vectors for part in read]
    if vectors.vocabulary is not None:
        assert SparseVectors.concatenate([vectors[:0], *parts]) == vectors
    else:
        rows = [row for part in parts for row in part.to_dicts()]
        assert [{int(t): w for t, w in row.items()} for row in rows] == vectors.to_dicts()


def test_weights_have_the_fewest_digits_that_round_trip(folder: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, size=50_000, dtype=np.uint32)
    weights = bits.view(np.float32)
    weights = weights[np.isfinite(weights)]
    short = jsonl._shortest(weights)
    np.testing.assert_array_equal(short.astype(np.float32), weights)
    assert [repr(x) for x in short[:500].tolist()] == [repr(float(str(x))) for x in weights[:500]]
    batch = VectorBatch(["1"], [""], SparseVectors.from_dicts([{"a": 0.1, "b": 3}]))
    write_json_vectors(folder / "short.jsonl", [batch])
    assert (folder / "short.jsonl").read_text() == (
        '{"id": "1", "contents": "", "vector": {"a": 0.1, "b": 3.0}}\n'
    )


def test_anserini_and_beir_names(folder: Path) -> None:
    (batch,) = read_lines(
        folder,
        '\ufeff{"id": "d1", "contents": "one", "vector": {"b": 2, "a": 1.5}}\r',
        '{"_id": "d2", "text": "two", "vector": {}, "year": 1999}',
        '{"vector": {"a": -0.0, "c": 1e-50}, "id": 3}',
    )
    assert batch.ids == ["d1", "d2", "3"]
    assert batch.contents == ["one", "two", ""]
    assert batch.metadata == [{}, {"year": 1999}, {}]
    assert batch.vectors.vocabulary == Vocabulary(["b", "a", "c"])
    assert batch.vectors.to_dicts() == [
        {"b": 2.0, "a": 1.5},
        {},
        {"a": 0.0, "c": float(np.finfo(np.float32).tiny)},
    ]


def test_empty_file(folder: Path) -> None:
    assert read_lines(folder) == []
    assert write_json_vectors(folder / "empty.jsonl.gz", []) == 0
    assert list(read_json_vectors(folder / "empty.jsonl.gz")) == []


def test_last_line_needs_no_newline(folder: Path) -> None:
    (folder / "open.jsonl").write_text('{"id": "1", "vector": {"a": 1}}')
    assert [batch.ids for batch in read_json_vectors(folder / "open.jsonl")] == [["1"]]


def test_batches_share_one_growing_vocabulary(folder: Path) -> None:
    lines = [json.dumps({"id": n, "vector": {"all": 1, f"only{n}": 2}}) for n in range(5)]
    (folder / "grow.jsonl").write_text("\n".join(lines))
    words = Vocabulary(["known"])
    read = list(read_json_vectors(folder / "grow.jsonl", batch_size=2, vocabulary=words))
    assert [len(batch) for batch in read] == [2, 2, 1]
    assert all(batch.vectors.vocabulary is words for batch in read)
    assert words.terms() == ["known", "all", *(f"only{n}" for n in range(5))]


def test_long_vectors_end_a_batch_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "_MAX_BATCH_ENTRIES", 3)
    lines = [json.dumps({"id": n, "vector": {"a": 1, "b": 2}}) for n in range(5)]
    assert [len(batch) for batch in read_lines(folder, *lines)] == [2, 2, 1]


BAD_LINES = [
    ("", "blank line"),
    ("  ", "blank line"),
    ("{", "not JSON"),
    ("[1]", "not a JSON object but [1]"),
    ('"text"', "not a JSON object but 'text'"),
    ("null", "not a JSON object but None"),
    ('{"id": "a", "vector": {}} x', "not JSON: Extra data"),
    ("[" * 100_000, "nested too deeply"),
    ('{"id": ' + "9" * 5000 + ', "vector": {}}', "a number is too long"),
    ('{"vector": {}}', "there is no 'id'"),
    ('{"id": null, "vector": {}}', "there is no 'id'"),
    ('{"id": "", "vector": {}}', "id '' is neither"),
    ('{"id": 1.0, "vector": {}}', "id 1.0 is neither"),
    ('{"id": true, "vector": {}}', "id True is neither"),
    ('{"id": ["a"], "vector": {}}', "id ['a'] is neither"),
    ('{"id": "a", "_id": "a", "vector": {}}', "both 'id' and '_id'"),
    ('{"id": "a", "id": "a", "vector": {}}', "key 'id' is given twice"),
    ('{"id": "a", "text": "", "contents": "", "vector": {}}', "both 'contents' and 'text'"),
    ('{"id": "a", "text": 5, "vector": {}}', "contents 5 are not a string"),
    ('{"id": "a"}', "'vector' is missing"),
    ('{"id": "a", "vector": null}', "'vector' is None"),
    ('{"id": "a", "vector": [1, 2]}', "'vector' is [1, 2]"),
    ('{"id": "a", "vector": {"x": 1, "y": 2, "x": 1}}', "key 'x' is given twice"),
    ('{"id": "a", "vector": {"x": true}}', "weight True of term 'x'"),
    ('{"id": "a", "vector": {"x": "1"}}', "weight '1' of term 'x'"),
    ('{"id": "a", "vector": {"x": null}}', "weight None of term 'x'"),
    ('{"id": "a", "vector": {"x": {}}}', "weight {} of term 'x'"),
    ('{"id": "a", "vector": {"x": NaN}}', "NaN is not JSON"),
    ('{"id": "a", "vector": {"x": -Infinity}}', "-Infinity is not JSON"),
    ('{"id": "a", "vector": {"x": 1e999}}', "number '1e999' is too large"),
    ('{"id": "a", "vector": {"x": 1e39}}', "weight 1e+39 of term 'x' is too large"),
    ('{"id": "a", "vector": {"x": 1' + "0" * 400 + "}}", "weight of term 'x' is too large"),
    ('{"id": "\\ud800", "vector": {}}', "lone surrogate"),
    ('{"id": "a", "vector": {"\\uDC00": 1}}', "lone surrogate"),
    ('{"id": "a", "vector": {}, "note": ["\\udfff"]}', "lone surrogate"),
    ('{"id": "\ud800", "vector": {}}', "not UTF-8"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_bad_lines(folder: Path, line: str, reason: str) -> None:
    good = '{"id": "good", "vector": {"x": 1}}'
    with pytest.raises(FileFormatError) as caught:
        read_lines(folder, good, good, line, good)
    assert caught.value.line == 3
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"{folder / 'lines.jsonl'}:3: ")


def test_escaped_pairs_of_surrogates_are_fine(folder: Path) -> None:
    (batch,) = read_lines(folder, '{"id": "\\ud83d\\ude00", "vector": {"\\\\ud800": 1}}')
    assert batch.ids == ["😀"]
    assert batch.vectors.to_dicts() == [{"\\ud800": 1.0}]


def test_errors_after_the_first_batch_name_the_line(folder: Path) -> None:
    path = folder / "late.jsonl"
    lines = ['{"id": "a", "vector": {"x": 1}}'] * 4 + ['{"id": "a", "vector": {"x": "1"}}']
    path.write_text("\n".join(lines))
    batches_read = read_json_vectors(path, batch_size=3)
    assert len(next(batches_read)) == 3
    with pytest.raises(FileFormatError, match=r"late.jsonl:5: weight '1'"):
        next(batches_read)


def test_cut_gzip(folder: Path) -> None:
    path = folder / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "vector": {"x": 1}}\n' * 99)[:-9])
    with pytest.raises(FileFormatError, match="damaged gzip"):
        list(read_json_vectors(path))


def test_bad_batch_size(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="batch_size"):
        next(read_json_vectors(folder / "any", batch_size=0))


ONE = SparseVectors.from_dicts([{"a": 1.0}])


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ((["a"], [""], ONE, [{"vector": 1}]), "reserved names"),
        ((["a"], [""], ONE, [{"x": math.nan}]), "row 0 .*cannot be written as JSON"),
        ((["a"], [""], ONE, [{"x": {1, 2}}]), "cannot be written as JSON"),
        ((["a"], ["\ud800"], ONE), "cannot be written as JSON"),
        ((["a"], [None], ONE), "contents of row 0 are None"),
        (([""], [""], ONE), "the id of row 0 is ''"),
        (([7], [""], ONE), "the id of row 0 is 7"),
    ],
)
def test_the_writer_refuses_and_leaves_no_file(folder: Path, batch: Any, reason: str) -> None:
    for name in ("refused.jsonl", "refused.jsonl.gz"):
        with pytest.raises(InvalidInputError, match=reason):
            write_json_vectors(folder / name, [VectorBatch(["ok"], [""], ONE), VectorBatch(*batch)])
        assert not (folder / name).exists()
    assert not list(folder.glob(".*"))


def test_batches_of_uneven_length() -> None:
    with pytest.raises(InvalidInputError, match=r"differ in length: \[2, 1, 1, 2\]"):
        VectorBatch(["a", "b"], [""], ONE)


def test_a_device_is_written_not_replaced() -> None:
    device = Path("/dev/null")
    if not device.is_char_device():
        pytest.skip("no /dev/null here")
    assert write_json_vectors(device, [VectorBatch(["a"], [""], ONE)]) == 1
    assert device.is_char_device()


def test_real_query_vectors(collections_dir: Path, folder: Path) -> None:
    source = collections_dir / "splade-queries" / "dl19-passage.splade-v3.jsonl.gz"
    if not source.is_file():
        pytest.skip("the collections hold no encoded queries")
    (batch,) = read_json_vectors(source)
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    assert batch.ids == [record["_id"] for record in records]
    assert batch.contents == [record["text"] for record in records]
    assert batch.vectors.to_dicts() == [record["vector"] for record in records]
    write_json_vectors(folder / "copy.jsonl.gz", [batch])
    assert list(read_json_vectors(folder / "copy.jsonl.gz")) == [batch]


def test_fuzzed_lines(folder: Path) -> None:
    """Thousands of altered lines end in an error that names the line, or in a valid batch."""
    line = '{"id": "dé1", "contents": "a\\nb", "vector": {"x": 1.5, "y": -2e-3}, "n": [1, null]}'
    random = np.random.default_rng(0)
    alphabet = np.frombuffer(b'{}[]",:\\0123456789eE+-.\xc3\xa9nulltrueNaN \r', dtype=np.uint8)
    path = folder / "fuzz.jsonl"
    refused = 0
    for _ in range(4000):
        data = np.frombuffer(line.encode(), dtype=np.uint8).copy()
        places = random.integers(0, data.size, size=random.integers(1, 4))
        data[places] = random.choice(alphabet, size=places.size)
        if random.random() < 0.2:
            data = data[: random.integers(0, data.size)]
        path.write_bytes(line.encode() + b"\n" + data.tobytes() + b"\n")
        try:
            (batch,) = read_json_vectors(path)
        except FileFormatError as error:
            assert error.line in (2, 3)  # noqa: PT017 - both outcomes are right
            refused += 1
            continue
        expected = json.loads(data.tobytes())
        vector = {t: float(np.float32(w)) for t, w in expected["vector"].items()}
        assert batch.vectors.to_dicts()[1] == vector
        assert batch.ids[1] == str(expected.get("id", expected.get("_id")))
    assert 1000 < refused < 4000
