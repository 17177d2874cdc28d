from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from sparsearch.errors import FileFormatError
from sparsearch.readers import FieldMapping, open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table(tmp_path):
    def write(columns, name="c.parquet", **options):
        pq.write_table(pa.table(columns), tmp_path / name, **options)
        return tmp_path / name

    return write


def read(path, **options):
    return list(open_source(path, **options).records())


def test_types(table):
    path = table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "title": pa.array(["a", "b"]).dictionary_encode(),
            "text": pa.array(["x", None], pa.large_string()),
            "when": pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc), None]),
            "day": [date(2024, 1, 2), None],
            "price": [Decimal("1.50"), None],
            "ok": [True, None],
            "tags": [["p", "q"], []],
            "nested": [{"at": datetime(2024, 1, 2), "n": [1.5]}, None],
            "pairs": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        }
    )
    source = open_source(path)
    assert source.format == "parquet"
    assert list(source.records()) == [
        {
            "id": "1",
            "title": "a",
            "text": "x",
            "when": "2024-01-02T03:04:05+00:00",
            "day": "2024-01-02",
            "price": 1.5,
            "ok": True,
            "tags": ["p", "q"],
            "nested": {"at": "2024-01-02T00:00:00", "n": [1.5]},
            "pairs": [["k", 1]],
        },
        {
            "id": "2",
            "title": "b",
            "text": "",
            "when": None,
            "day": None,
            "price": None,
            "ok": None,
            "tags": [],
            "nested": None,
            "pairs": [],
        },
    ]
    assert source.position == source.size == path.stat().st_size


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x00", "'extra' is binary"),
        ([b"\x00"], "'extra' is binary"),
        (float("nan"), "'extra' is nan"),
        ({"a": float("inf")}, "'extra' is inf"),
        (timedelta(1), "'extra' is a timedelta"),
    ],
)
def test_values_json_cannot_hold_are_refused_with_row_and_field(table, value, reason):
    path = table({"id": ["a", "b", "c"], "text": ["x"] * 3, "extra": [None, value, None]})
    with pytest.raises(FileFormatError, match=reason) as caught:
        read(path)
    assert caught.value.line == 2
    reported = []
    assert [one["id"] for one in read(path, on_error=reported.append)] == ["a", "c"]
    assert len(reported) == 1


def test_null_id_names_the_row(table):
    path = table({"id": ["a", None], "text": ["x", "y"]})
    with pytest.raises(FileFormatError, match=r"c\.parquet:2: id field 'id' is None"):
        read(path)


def test_missing_columns_are_an_error_of_the_file(table):
    with pytest.raises(FileFormatError, match=r"no id field.*'a', 'b'"):
        read(table({"a": ["x"], "b": ["y"]}), on_error=lambda error: None)
    with pytest.raises(FileFormatError, match="no field 'body'"):
        read(table({"id": ["x"], "text": ["y"]}), fields=FieldMapping(text=("body",)))


def test_two_columns_of_one_name(tmp_path):
    columns = [pa.array(["1"]), pa.array(["x"]), pa.array(["y"])]
    pq.write_table(pa.table(columns, names=["id", "text", "text"]), tmp_path / "c.parquet")
    with pytest.raises(FileFormatError, match="same name"):
        read(tmp_path / "c.parquet")


def test_text_that_is_not_utf8(table):
    damaged = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0])), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(FileFormatError, match="after row 0"):
        read(table({"id": ["a"], "text": damaged}))


def test_times_that_python_cannot_hold(table):
    far = pa.array([0, 2**62], pa.int64()).cast(pa.timestamp("us"))
    path = table({"id": ["1", "2"], "text": ["a", "b"], "when": far})
    with pytest.raises(FileFormatError, match="Python cannot hold, after row 0"):
        list(open_source(path).records())


def test_resuming_reads_the_tail_over_row_groups_and_batches(table):
    count = 3000
    path = table(
        {"id": list(range(count)), "text": [f"t{n}" for n in range(count)]}, row_group_size=700
    )
    documents = read(path)
    assert len(documents) == count
    for skip in (1, 700, 1024, 2999, 3000):
        assert list(open_source(path).records(skip)) == documents[skip:]


def test_progress_grows(table):
    source = open_source(table({"id": list(range(3000)), "text": ["x"] * 3000}))
    seen = [source.position for _ in source.records()]
    assert seen == sorted(seen)
    assert 0 < seen[1500] < source.size


def test_empty_table(table):
    path = table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    assert read(path) == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet" * 100])
def test_not_parquet(write, content):
    with pytest.raises(FileFormatError, match="not a Parquet file"):
        open_source(write("c.parquet", content))


def test_cut_or_altered_file_is_an_error_or_read(table):
    path = table({"id": [str(n) for n in range(500)], "text": ["some text"] * 500})
    data = path.read_bytes()
    for cut in range(0, len(data), max(1, len(data) // 30)):
        path.write_bytes(data[:cut])
        with pytest.raises(FileFormatError):
            read(path)
    for at in range(4, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :])
        try:
            read(path)
        except FileFormatError:
            continue


def test_without_pyarrow_the_extra_is_named(table):
    path = table({"id": ["a"], "text": ["x"]})
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from sparsearch.errors import MissingExtraError\n"
        "from sparsearch.readers import open_source\n"
        f"try: open_source({str(path)!r})\n"
        "except MissingExtraError as error: print(error.extra)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"parquet"


def test_importing_the_readers_does_not_import_pyarrow():
    script = "import sys, sparsearch.readers; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
