from __future__ import annotations

import csv
import io
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import FileFormatError
from sparsearch.readers import FieldMapping, open_source
from sparsearch.readers.delimited import parse_cell


def read(path, **options):
    return list(open_source(path, **options).records())


def error_of(path, **options):
    with pytest.raises(FileFormatError) as caught:
        read(path, **options)
    return caught.value


@pytest.mark.parametrize("compress", [False, True])
def test_csv_with_quotes_newlines_and_numbers(write, compress):
    content = (
        "\ufeffid,title,text,year,price,zip\r\n"
        '007,"A, ""b""","x\r\ny",1999,1.5,01234\r\n'
        "\r\n"
        "8,,z,,,\r\n"
    )
    assert read(write("c.csv", content, compress=compress)) == [
        {
            "id": "007",
            "title": 'A, "b"',
            "text": "x\ny",
            "year": 1999,
            "price": 1.5,
            "zip": "01234",
        },
        {"id": "8", "title": "", "text": "z"},
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_tsv_quotes_are_ordinary(write, compress):
    content = 'docid\tpassage\tn\r\n1\t"to be" or, not\t-2\n\n2\t"open\t0.5'
    assert read(write("c.tsv", content, compress=compress)) == [
        {"id": "1", "text": '"to be" or, not', "n": -2},
        {"id": "2", "text": '"open', "n": 0.5},
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("7", 7),
        ("-12", -12),
        ("1.5", 1.5),
        ("0.1", 0.1),
        ("999999999999999999", 999999999999999999),
        ("007", "007"),
        ("-0", "-0"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("nan", "nan"),
        ("inf", "inf"),
        (" 7", " 7"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        ("9" * 30, "9" * 30),
        ("0.30000000000000004", 0.30000000000000004),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("true", "true"),
        ("", ""),
    ],
)
def test_numbers_are_converted_when_nothing_is_lost(cell, value):
    assert parse_cell(cell) == value
    assert type(parse_cell(cell)) is type(value)


@given(st.text(max_size=12) | st.integers().map(str) | st.floats().map(repr))
def test_a_converted_cell_is_written_back_the_same(cell):
    assert str(parse_cell(cell)) == cell


BAD_ROWS = [
    (b"1,x", "2 columns where the header has 3"),
    (b"1,x,y,z", "4 columns where the header has 3"),
    (b'1,"x"y,z', "expected after"),
    (b"1,x\ry,z", "new-line"),
    (b"1,\xff,z", "UTF-8"),
    (b"1,x\x00,z", "NUL"),
    (b",x,z", "empty"),
    (b",,", "empty"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_bad_row_is_named_and_can_be_left_out(write, row, reason):
    path = write("c.csv", b'id,text,m\n0,"a\nb",1\n' + row + b"\n2,c,1\n")
    error = error_of(path)
    assert error.line == 4
    assert reason in error.reason
    reported = []
    documents = read(path, on_error=reported.append)
    assert [document["id"] for document in documents] == ["0", "2"]
    assert [str(one) for one in reported] == [str(error)]


def test_a_row_with_an_undecodable_line_inside_is_left_out_as_a_whole(write):
    path = write("c.csv", b'id,text\n1,"a\n\xff\nb"\n2,c\n')
    reported = []
    assert read(path, on_error=reported.append) == [{"id": "2", "text": "c"}]
    assert [error.line for error in reported] == [3]


@pytest.mark.parametrize("closing", [None, 80])
def test_an_open_quote_takes_no_sound_rows_along(write, closing):
    rows = [f"{i},plain {i}" for i in range(100)]
    rows[5] = '5,"open'
    if closing:
        rows[closing] = f'{closing},"quoted, rightly"'
    path = write("c.csv", "\n".join(["id,text", *rows]) + "\n")
    reported = []
    found = [document["id"] for document in read(path, on_error=reported.append)]
    assert found == [str(i) for i in range(100) if i != 5]
    assert [error.line for error in reported] == [7]
    assert "taken for one row" not in str(reported)


def test_of_an_open_quote_too_much_is_not_read_again(write, monkeypatch):
    monkeypatch.setattr("sparsearch.readers.delimited._LINES_READ_AGAIN", 10)
    path = write("c.csv", 'id,text\n1,"x\n' + "2,y\n" * 20)
    reported = []
    assert read(path, on_error=reported.append) == []
    assert "lines 2 to 22 were taken for one row" in str(reported)


def test_an_open_quote_at_the_end_says_so(write):
    error = error_of(write("c.csv", 'id,text\n1,x\n2,"y\nz'))
    assert error.line == 3
    assert "quote" in error.reason
    assert "cut off" in error.reason
    assert "cut off" in error_of(write("c.csv", "id,text,n\n1,x,3\n2,y")).reason


@pytest.mark.parametrize("name", ["c.csv", "c.tsv"])
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "missing"),
        (b"\n\n", "missing"),
        (b"\xef\xbb\xbf", "missing"),
        (b"id,text,id\n1,x,2\n", "two columns"),
        (b",id,text\n0,1,x\n", "column 1 has no name"),
        (b"a,b\n1,2\n", "no id field"),
        (b"id,b\n1,2\n", "no title or text field"),
        (b"id,te\xffxt\n1,2\n", "UTF-8"),
    ],
)
def test_a_header_that_cannot_be_used_is_always_an_error(write, name, header, reason):
    content = header.replace(b",", b"\t") if name == "c.tsv" else header
    with pytest.raises(FileFormatError, match=reason) as caught:
        read(write(name, content), on_error=lambda error: None)
    assert caught.value.line == 1


def test_a_named_column_must_be_there(write):
    path = write("c.csv", "id,text\n1,x\n")
    error = error_of(path, fields=FieldMapping(title="name"))
    assert "no field 'name'; its fields are 'id', 'text'" in error.reason


def test_header_alone_has_no_documents(write):
    assert read(write("c.csv", "id,text")) == []


def test_huge_fields_are_read_and_the_limit_of_the_process_is_kept(write):
    limit = csv.field_size_limit()
    huge = "x" * (limit + 10)
    path = write("c.csv", f"id,text\n1,{huge}\n2,y\n")
    documents = open_source(path).records()
    assert next(documents)["text"] == huge
    assert csv.field_size_limit() == limit
    assert next(documents)["id"] == "2"
    assert csv.field_size_limit() == limit


def test_huge_fields_in_several_threads(write):
    limit = csv.field_size_limit()
    path = write("c.csv", "id,text\n" + f"1,{'x' * (limit + 1)}\n" * 20)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(read(path)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [20] * 4
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("name", ["c.csv", "c.tsv.gz"])
def test_resuming_reads_the_tail(write, name):
    rows = "".join(f"{n},x\n" if n % 4 else f"{n}\n" for n in range(40))
    content = "id,text\n" + rows
    if "tsv" in name:
        content = content.replace(",", "\t")
    path = write(name, content, compress=name.endswith("gz"))
    documents = read(path, on_error=lambda error: None)
    assert len(documents) == 30
    for skip in (1, 17, 30):
        source = open_source(path, on_error=lambda error: None)
        assert list(source.records(skip)) == documents[skip:]
        assert source.position == source.size


def test_thousands_of_mutated_rows_raise_nothing_else(write):
    rng = random.Random(11)
    body = bytearray(b'12,"a ""b"" c",x\n' * 4000)
    for _ in range(2500):
        at = rng.randrange(len(body))
        body[at : at + 1] = rng.choice([b'"', b"\n", b",", b"\xff", b"\0", b"\r", b"", b"\xc3"])
    for name in ("c.csv", "c.tsv"):
        head = b"id,text,m\n" if name == "c.csv" else b"id\ttext\tm\n"
        content = body if name == "c.csv" else body.replace(b",", b"\t")
        reported: list[FileFormatError] = []
        documents = read(write(name, head + bytes(content)), on_error=reported.append)
        assert len(documents) > 500
        assert len(reported) > 500
        lines = [error.line or 0 for error in reported]
        assert all(line > 1 for line in lines)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(texts.filter(bool), texts, texts), max_size=8))
def test_what_the_csv_module_writes_is_read(tmp_path_factory, rows):
    written = io.StringIO()
    csv.writer(written).writerows([("id", "text", "title"), *rows])
    path = tmp_path_factory.mktemp("c") / "c.csv"
    path.write_bytes(written.getvalue().encode())
    expected = [{"id": row[0], "title": row[2], "text": row[1]} for row in rows]
    assert read(path) == expected
