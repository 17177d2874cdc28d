from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager

import pytest

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.files import STANDARD_INPUT, TextFile
from sparsearch.readers import FORMATS, open_source


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("c.jsonl", "jsonl"),
        ("c.NDJSON.GZ", "jsonl"),
        ("c.csv", "csv"),
        ("c.tab.gz", "tsv"),
        ("c.txt", "text"),
        ("c.Markdown", "text"),
    ],
)
def test_detected_by_suffix(write, name, format):
    assert open_source(write(name, "id,text\n")).format == format


def test_a_given_format_wins(write):
    path = write("c.txt", '{"id": "a", "text": "x"}')
    assert list(open_source(path, format="jsonl").records()) == [{"id": "a", "text": "x"}]


@pytest.mark.parametrize("name", ["c.json", "c", "c.gz", "c.pdf", ".jsonl"])
def test_unknown_suffix_lists_the_formats(write, name):
    with pytest.raises(InvalidInputError) as caught:
        open_source(write(name, ""))
    assert name in str(caught.value)
    assert "--format" in str(caught.value)
    assert all(format in str(caught.value) for format in FORMATS)


def test_unknown_format(write):
    with pytest.raises(InvalidInputError, match="unknown format 'xml'"):
        open_source(write("c.jsonl", ""), format="xml")


def test_missing_path(tmp_path):
    with pytest.raises(FileFormatError, match=r"nothing\.jsonl: does not exist"):
        open_source(tmp_path / "nothing.jsonl")
    with pytest.raises(InvalidInputError, match="names no file"):
        open_source("a\0b.jsonl")
    with pytest.raises(FileFormatError, match="cannot be read"):
        open_source(tmp_path / ("x" * 5000))


def test_files_and_folders_are_not_mixed_up(write, tmp_path):
    with pytest.raises(FileFormatError, match="is a folder"):
        open_source(tmp_path, format="csv")
    with pytest.raises(FileFormatError, match="beir is a folder"):
        open_source(write("c.jsonl", ""), format="beir")


def test_folders_are_not_guessed_at(write, tmp_path):
    with pytest.raises(InvalidInputError, match="neither"):
        open_source(tmp_path)
    write("part-1.jsonl.gz", "")
    write("README.md", "")
    with pytest.raises(InvalidInputError, match="holds jsonl files; give one of them"):
        open_source(tmp_path)
    assert open_source(tmp_path, format="text").format == "text"


def test_a_folder_of_tables_tells_how_to_read_them_as_texts(write, tmp_path):
    write("table.csv", "")
    with pytest.raises(InvalidInputError, match=r"holds csv files; .* or --format text to read"):
        open_source(tmp_path)


def test_hidden_files_do_not_decide_what_a_folder_holds(write, tmp_path):
    (tmp_path / "sub" / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / "sub" / ".venv" / "lib" / "table.csv").write_text("")
    (tmp_path / "sub" / "note.md").write_text("text")
    write("._table.parquet", "")
    source = open_source(tmp_path)
    assert source.format == "text"
    assert [record["id"] for record in source.records()] == ["sub/note.md"]
    (tmp_path / "sub" / "note.md").unlink()
    with pytest.raises(InvalidInputError, match="neither"):
        open_source(tmp_path)


@contextmanager
def standard_input(descriptor):
    """Put what a descriptor reads in the place of standard input."""
    before = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no pairs of sockets as on Unix")
def test_a_file_that_fails_while_it_is_read():
    ours, theirs = socket.socketpair()
    with theirs, standard_input(theirs.fileno()):
        ours.sendall(b"one\n")
        with TextFile(STANDARD_INPUT) as file:
            lines = iter(file)
            assert next(lines) == (1, "one")
            theirs.sendall(b"unread")  # so that closing resets the connection
            ours.close()
            with pytest.raises(FileFormatError) as caught:
                next(lines)
    assert str(caught.value) == "/dev/stdin:2: cannot be read: Connection reset by peer"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("compress", [False, True])
def test_a_pipe_can_be_read_once(write, tmp_path, compress):
    lines = "".join(f'{{"id": {n}, "text": "x"}}\n' for n in range(3000))
    data = write("c.jsonl", lines, compress=compress).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    writer.start()
    source = open_source(tmp_path / "pipe", format="jsonl")
    assert sum(1 for _ in source.records()) == 3000
    writer.join()
    assert source.position == 0


@pytest.mark.parametrize("compress", [False, True])
def test_line_longer_than_the_limit_is_refused(write, compress):
    path = write("c.txt", "ok\n" + "x" * 100_000, compress=compress)
    with TextFile(path, max_line_bytes=1000) as file:
        lines = iter(file)
        assert next(lines) == (1, "ok")
        with pytest.raises(FileFormatError, match="longer than 1000 bytes") as caught:
            next(lines)
    assert caught.value.line == 2


def test_text_file_position_and_completeness(write):
    path = write("c.txt", "a\nb")
    with TextFile(path) as file:
        assert [line for _, line in file] == ["a", "b"]
        assert not file.complete
    assert file.position == file.size == 3
    file.close()
    assert file.position == 3


def test_text_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileFormatError, match="No such file"):
        TextFile(tmp_path / "nothing")
    with pytest.raises(FileFormatError, match="Is a directory"):
        TextFile(tmp_path)
