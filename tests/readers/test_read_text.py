from __future__ import annotations

import gzip
import os

import pytest

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.readers import FieldMapping, open_source


def read(path, **options):
    return list(open_source(path, **options).records())


@pytest.fixture
def folder(write, tmp_path):
    write("f/b.md", "# B\r\n\r\ntext é\n")
    write("f/a/z.txt", "z")
    write("f/a.txt", "first\nsecond", compress=True)
    write("f/a/notes.v2.rst.gz", "notes", compress=True)
    write("f/empty.txt", "")
    return tmp_path / "f"


def test_every_file_is_a_document_in_order_of_its_path(folder):
    source = open_source(folder)
    assert source.format == "text"
    assert list(source.records()) == [
        {"id": "a.txt", "title": "a", "text": "first\nsecond"},
        {"id": "a/notes.v2.rst.gz", "title": "notes.v2", "text": "notes"},
        {"id": "a/z.txt", "title": "z", "text": "z"},
        {"id": "b.md", "title": "b", "text": "# B\n\ntext é"},
        {"id": "empty.txt", "title": "empty", "text": ""},
    ]
    assert source.skipped == []
    assert source.position == source.size > 0


def test_one_file(folder):
    assert read(folder / "b.md")[0]["id"] == "b.md"
    assert read(folder / "a" / "z.txt") == [{"id": "z.txt", "title": "z", "text": "z"}]


def test_what_is_left_out_is_reported(folder, write):
    write("f/.hidden.txt", "h")
    write("f/.git/config", "h")
    write("f/image.txt", b"\x89PNG\x00\xff")
    (folder / "dangling.txt").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    (folder / "link.txt").symlink_to(folder / "b.md")
    os.mkfifo(folder / "pipe.txt")
    source = open_source(folder)
    ids = [document["id"] for document in source.records()]
    assert ids == ["a.txt", "a/notes.v2.rst.gz", "a/z.txt", "b.md", "empty.txt", "link.txt"]
    assert source.skipped == [
        (".git", "hidden"),
        (".hidden.txt", "hidden"),
        ("dangling.txt", "cannot be read: No such file or directory"),
        ("loop", "a link to a folder"),
        ("pipe.txt", "not a regular file"),
        ("image.txt", "binary (it holds a NUL byte)"),
    ]
    list(source.records())
    assert len(source.skipped) == 6


def test_a_file_that_is_not_utf8_is_an_error(folder, write):
    write("f/latin.txt", "ok\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"latin\.txt:2: byte 4 of the line is not UTF-8"):
        read(folder)
    reported = []
    assert len(read(folder, on_error=reported.append)) == 5
    assert len(reported) == 1


def test_a_cut_gzip_file_is_an_error(folder, write):
    write("f/cut.txt.gz", gzip.compress(os.urandom(5000).hex().encode())[:2000])
    with pytest.raises(FileFormatError, match=r"cut\.txt\.gz:1: damaged gzip"):
        read(folder)
    reported = []
    assert len(read(folder, on_error=reported.append)) == 5
    assert len(reported) == 1


def test_resuming_reads_the_tail(folder, write):
    write("f/a/binary.txt", b"\0")
    documents = read(folder)
    for skip in range(len(documents) + 1):
        assert list(open_source(folder).records(skip)) == documents[skip:]


def test_a_file_removed_meanwhile_is_an_error(folder):
    source = open_source(folder)
    (folder / "b.md").unlink()
    with pytest.raises(FileFormatError, match=r"b\.md: cannot be read: No such file"):
        list(source.records())


def test_a_file_name_that_is_not_utf8(folder):
    try:
        (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    with pytest.raises(FileFormatError, match="file name is not UTF-8"):
        read(folder)


def test_empty_folder_with_the_format_given(tmp_path):
    assert read(tmp_path, format="text") == []


def test_source_code_is_text_when_the_format_is_given(write, tmp_path):
    write("code.py", "x = 1")
    assert [one["id"] for one in read(tmp_path, format="text")] == ["code.py"]


def test_text_has_no_fields_to_name(folder):
    with pytest.raises(InvalidInputError, match="no fields"):
        open_source(folder, fields=FieldMapping(id="x"))
