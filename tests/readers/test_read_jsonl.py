from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import FileFormatError, InvalidInputError, SourceChangedError
from sparsearch.readers import FieldMapping, open_source

GOOD = b'{"id": "a", "title": "T", "text": "x", "year": 2024}\n'


def read(path, **options):
    return list(open_source(path, **options).records())


def error_of(write, content, **options):
    with pytest.raises(FileFormatError) as caught:
        read(write("bad.jsonl", content), **options)
    return caught.value


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["c.jsonl", "c.ndjson", "C.JSONL.gz"])
def test_reads_plain_and_gzip_whatever_the_name(write, name, compress):
    path = write(name, GOOD * 2 + b"\n  \n" + GOOD, compress=compress)
    assert read(path) == [{"id": "a", "title": "T", "text": "x", "year": 2024}] * 3


def test_progress_ends_at_the_size_of_the_file(write):
    source = open_source(write("c.jsonl", GOOD * 5000, compress=True))
    assert source.position == 0
    assert source.size == source.path.stat().st_size
    seen = [source.position for _ in source.records()]
    assert seen == sorted(seen)
    assert source.position == source.size


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("compress", [False, True])
def test_empty_file_has_no_documents(write, content, compress):
    assert read(write("c.jsonl", content, compress=compress)) == []


def test_byte_order_mark_windows_line_ends_and_no_last_line_end(write):
    path = write("c.jsonl", b"\xef\xbb\xbf" + GOOD.strip() + b"\r\n" + GOOD.strip())
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"id": "a", "text": "x", "n": NaN}', "NaN"),
        (b'{"id": "a", "text": "x", "n": [-Infinity]}', "Infinity"),
        (b'{"id": "a", "text": "x", "n": 1e999}', "too large"),
        (b'{"id": "a", "text": "x", "n": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"id": "a", "id": "b", "text": "x"}', "'id' is given twice"),
        (b'{"id": "a", "text": "\\ud800"}', "surrogate"),
        (b'{"id": "a", "text": "x", "m": {"\\uDFFF": 1}}', "surrogate"),
        (b'{"id": "a", "text": "x", "m": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deep"),
        (b'{"id": "a", "text": "\x00"}', "not JSON"),
        (b'{"id": "a", "text": "\xff"}', "UTF-8"),
        (b'{"id": "a", "text": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"text": "x"}', "no id field"),
        (b'{"id": "a", "body_text": "x"}', "'body_text'"),
        (b'{"id": null, "text": "x"}', "None"),
        (b'{"id": 1.5, "text": "x"}', "1.5"),
        (b'{"id": true, "text": "x"}', "True"),
        (b'{"id": "", "text": "x"}', "empty"),
        (b'{"id": "a", "text": ["x"]}', "not a string"),
        (b'{"id": "a", "title": 7}', "not a string"),
        (b"{}", "no fields"),
    ],
)
def test_malformed_line_is_named_and_can_be_left_out(write, line, reason):
    content = GOOD + line + b"\n" + GOOD
    error = error_of(write, content)
    assert error.line == 2
    assert reason in error.reason
    assert "bad.jsonl:2" in str(error)

    reported = []
    documents = read(write("bad.jsonl", content), on_error=reported.append)
    assert len(documents) == 2
    assert [str(one) for one in reported] == [str(error)]


def test_paired_and_escaped_surrogates_are_fine(write):
    path = write("c.jsonl", rb'{"id": "a", "text": "\ud83d\ude00 \\ud800"}')
    assert read(path) == [{"id": "a", "text": "\U0001f600 \\ud800"}]


def test_integer_ids_become_strings(write):
    path = write("c.jsonl", '{"id": 12, "text": "x"}\n{"_id": -3, "text": "y"}')
    assert [document["id"] for document in read(path)] == ["12", "-3"]


def test_cut_off_file_says_so(write):
    error = error_of(write, GOOD * 3 + GOOD[:20])
    assert error.line == 4
    assert "cut off" in error.reason
    assert "cut off" not in error_of(write, GOOD + b"{\n" + GOOD).reason


def test_cut_off_gzip_is_an_error_even_with_a_handler(write):
    lines = b"".join(b'{"id": "%d", "text": "x"}\n' % n for n in range(20_000))
    data = gzip.compress(lines)
    path = write("c.jsonl.gz", data[: len(data) // 2])
    documents = []
    with pytest.raises(FileFormatError, match="damaged gzip"):
        documents.extend(open_source(path, on_error=lambda error: None).records())
    with pytest.raises(FileFormatError, match="damaged gzip"):
        read(write("d.jsonl.gz", data[:-400] + bytes(400)), on_error=lambda error: None)


def test_beir_layout(write, tmp_path):
    line = '{"_id": "d1", "title": "", "text": "x", "metadata": {"url": "u", "year": 3}}\n'
    write("set/corpus.jsonl", line + '{"_id": "d2", "text": "y", "metadata": {}}\n', compress=True)
    source = open_source(tmp_path / "set")
    assert source.format == "beir"
    assert list(source.records()) == [
        {"id": "d1", "title": "", "text": "x", "url": "u", "year": 3},
        {"id": "d2", "text": "y"},
    ]


def test_beir_folder_without_corpus(tmp_path):
    with pytest.raises(FileFormatError, match=r"corpus\.jsonl"):
        open_source(tmp_path, format="beir")


def test_resuming_reads_the_tail_with_and_without_bad_lines(write):
    lines = [json.dumps({"id": n, "text": "x"}) if n % 3 else "bad" for n in range(50)]
    path = write("c.jsonl", "\n".join(lines), compress=True)
    documents = read(path, on_error=lambda error: None)
    assert len(documents) == 33
    for skip in (0, 1, 20, 33):
        source = open_source(path, on_error=lambda error: None)
        assert list(source.records(skip)) == documents[skip:]


def test_resuming_a_shorter_file_is_refused(write):
    source = open_source(write("c.jsonl", GOOD * 3))
    with pytest.raises(SourceChangedError, match="holds 3 documents, but 4"):
        list(source.records(4))
    with pytest.raises(InvalidInputError, match="skip"):
        source.records(-1)


def test_an_error_of_the_handler_ends_the_reading(write):
    def refuse(error: FileFormatError) -> None:
        raise KeyboardInterrupt

    source = open_source(write("c.jsonl", "bad\n" + GOOD.decode()), on_error=refuse)
    with pytest.raises(KeyboardInterrupt):
        list(source.records())


def test_thousands_of_mutated_lines_give_documents_or_reported_errors(write):
    rng = random.Random(7)
    base = (
        '{"_id": "é1", "title": "\\u00e9", "text": "a \\"b\\"", "n": [1.5e3, {"k": null}]}'.encode()
    )
    lines = []
    for _ in range(5000):
        line = bytearray(base)
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(line))
            line[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        lines.append(bytes(line).replace(b"\n", b" "))
    reported: list[FileFormatError] = []
    path = write("fuzz.jsonl", b"\n".join(lines))
    documents = read(path, on_error=reported.append)
    blank = sum(1 for line in lines if not line.strip())
    assert len(documents) + len(reported) + blank == len(lines)
    assert len(documents) > 1000
    assert len(reported) > 1000
    json.dumps(documents, ensure_ascii=False, allow_nan=False).encode()
    for error in reported[:200]:  # each names the very line
        with pytest.raises(FileFormatError):
            read(write("one.jsonl", lines[(error.line or 0) - 1]))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(
        st.fixed_dictionaries(
            {"id": st.text(min_size=1), "text": st.text(), "title": st.text(), "extra": json_values}
        ),
        max_size=6,
    ),
    ascii_only=st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory, documents, ascii_only):
    path = tmp_path_factory.mktemp("c") / "c.jsonl"
    lines = [json.dumps(document, ensure_ascii=ascii_only) for document in documents]
    path.write_bytes("\n".join(lines).encode())
    assert read(path) == documents


def test_named_fields(write):
    path = write("c.jsonl", '{"key": "k", "head": "H", "a": "x", "b": null, "c": "z", "text": 5}')
    mapping = FieldMapping(id="key", title="head", text=("a", "b", "c"))
    assert read(path, fields=mapping) == [{"id": "k", "title": "H", "text": "x\nz", "text_": 5}]


def test_a_named_field_must_be_there(write):
    error = error_of(write, GOOD, fields=FieldMapping(text=("summary",)))
    assert error.line == 1
    assert "no field 'summary'; its fields are 'id', 'title', 'text', 'year'" in error.reason


def test_the_id_may_be_the_text(write):
    path = write("c.jsonl", '{"id": "a", "text": "t", "_id": "b"}\n{"id": "c", "n": 1}\n')
    assert read(path, fields=FieldMapping(text=("id",))) == [
        {"id": "b", "text": "a", "text_": "t"},
        {"id": "c", "text": "c", "n": 1},
    ]


def test_a_field_named_for_the_text_is_not_also_the_title(write):
    path = write("c.jsonl", GOOD)
    assert read(path, fields=FieldMapping(text=("title", "text"))) == [
        {"id": "a", "text": "T\nx", "year": 2024}
    ]


@pytest.mark.parametrize("name", ["text", "contents", "body", "passage", "abstract"])
@pytest.mark.parametrize("id_name", ["id", "_id", "docid", "doc_id"])
def test_usual_names_are_found(write, name, id_name):
    path = write("c.jsonl", json.dumps({id_name: "1", name: "x", "lang": "en"}))
    assert read(path) == [{"id": "1", "text": "x", "lang": "en"}]


def test_metadata_names_that_clash(write):
    path = write("c.jsonl", '{"id": "1", "text": "x", "metadata": {"id": 5, "title": "m"}}')
    assert read(path) == [{"id": "1", "text": "x", "id_": 5, "title_": "m"}]
    error = error_of(write, '{"id": "1", "text": "x", "a": 1, "metadata": {"a": 2}}')
    assert "two metadata fields are called 'a'" in error.reason
    assert read(write("s.jsonl", '{"id": "1", "text": "x", "metadata": "m"}')) == [
        {"id": "1", "text": "x", "metadata": "m"}
    ]


def test_text_fields_must_be_a_tuple():
    with pytest.raises(InvalidInputError, match="tuple"):
        FieldMapping(text="body")  # type: ignore[arg-type]


def test_a_long_list_of_fields_is_shortened(write):
    names = {f"field{n}" * 50: 1 for n in range(1000)}
    error = error_of(write, json.dumps({"id": "1", **names}))
    assert "and 989 more" in error.reason
    assert len(error.reason) < 1000


def test_real_collections_are_read(collections_dir: Path):
    source = open_source(collections_dir / "cranfield")
    documents = list(source.records())
    assert len(documents) > 1000
    assert all(isinstance(one["id"], str) and isinstance(one["text"], str) for one in documents)
    assert source.position == source.size
