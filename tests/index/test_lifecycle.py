"""Creating, opening, closing, refreshing, and sharing an index between objects and threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch import Bm25Encoder, Index, IndexConfig, SparseVectors
from sparsearch.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    InvalidInputError,
    StorageUnavailableError,
    VocabularyMismatchError,
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", "bm25", IndexConfig(segment_documents=4)) as index:
        index.add({"id": str(i), "text": f"shared word{i}", "n": i} for i in range(10))
        yield index


def test_create_makes_the_folders_above_it(tmp_path: Path) -> None:
    with Index.create(tmp_path / "a" / "b" / "c", "bm25") as index:
        assert len(index) == 0
    with Index.open(str(tmp_path / "a" / "b" / "c")) as index:
        assert len(index) == 0


def test_create_takes_an_empty_folder_and_what_a_killed_creation_left(tmp_path: Path) -> None:
    for name in ("lock", "catalog.sqlite", "catalog.sqlite-journal", "catalog.sqlite-wal"):
        (tmp_path / name).touch()
    with pytest.raises(IndexNotFoundError):
        Index.open(tmp_path)
    with Index.create(tmp_path, "bm25") as index:
        index.add([{"id": "a", "text": "b"}])


def test_create_refuses_what_is_there(index: Index, tmp_path: Path) -> None:
    with pytest.raises(IndexExistsError, match="holds an index"):
        Index.create(index.path, "bm25")
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexExistsError, match="is a file"):
        Index.create(tmp_path / "file", "bm25")
    with pytest.raises(IndexExistsError, match="not empty"):
        Index.create(tmp_path, "bm25")
    with pytest.raises(StorageUnavailableError):
        Index.create(tmp_path / "file" / "below", "bm25")
    assert (tmp_path / "file").read_text() == "x"
    assert len(index.search("shared", k=99)) == 10


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0 and then nothing"])
def test_create_never_deletes_segments_of_an_index_whose_catalog_was_lost(
    index: Index, content: bytes
) -> None:
    index.close()
    (index.path / "catalog.sqlite").write_bytes(content)
    before = sorted(path.name for path in (index.path / "segments").iterdir())
    with pytest.raises((IndexExistsError, IndexCorruptError)):
        Index.create(index.path, "bm25")
    assert sorted(path.name for path in (index.path / "segments").iterdir()) == before


def test_open_needs_an_index(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "catalog.sqlite" / "x"):
        with pytest.raises(IndexNotFoundError):
            Index.open(path)


@pytest.mark.parametrize(
    "config",
    [
        {"weight_bits": 9},
        {"weight_bits": "8"},
        {"segment_documents": 0},
        {"segment_documents": True},
        {"segment_bytes": 1.5},
    ],
)
def test_malformed_configurations(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(config))):
        IndexConfig(**config)


def test_a_setting_of_a_newer_version(index: Index) -> None:
    index.close()
    with closing(sqlite3.connect(index.path / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE settings SET value = '99' WHERE key = 'format_version'")
    with pytest.raises(IndexVersionError, match=r"99 is newer .* upgrade sparsearch"):
        Index.open(index.path)
    with pytest.raises(IndexVersionError):
        Index.create(index.path, "bm25")
    with pytest.raises(IndexVersionError, match="unknown settings"):
        IndexConfig.from_settings({"weight_bits": 8, "compression": "zstd"})


def test_the_encoder_given_must_be_the_one_it_was_created_with(index: Index) -> None:
    from sparsearch import Bm25Config

    with pytest.raises(VocabularyMismatchError):
        Index.open(index.path, Bm25Encoder(Bm25Config(k1=3.0)))
    other = Bm25Encoder()
    other.encode_documents(["words that come first elsewhere"])
    with pytest.raises(VocabularyMismatchError):
        Index.open(index.path, other)
    expected = index.search("shared", k=5)
    with Index.open(index.path, Bm25Encoder()) as again:  # a new one takes over the words
        assert again.search("shared", k=5) == expected
    with pytest.raises(InvalidInputError, match="unknown encoder 'splade'"):
        Index.create(index.path.parent / "other", "splade")


def test_a_closed_index_says_so(index: Index) -> None:
    hits = index.search("shared", k=99)
    index.close()
    index.close()
    calls: list[Callable[[], object]] = [
        lambda: index.add([{"id": "x", "text": "y"}]),
        lambda: index.delete(["1"]),
        index.optimize,
        index.refresh,
        index.verify,
    ]
    for call in calls:
        with pytest.raises(StorageUnavailableError, match="closed"):
            call()
    with Index.open(index.path) as again:
        assert again.search("shared", k=99) == hits


def test_reopening_changes_nothing(index: Index) -> None:
    index.delete(["3"])
    index.upsert([{"id": "5", "text": "shared replaced"}])
    before = index.search("shared word7", k=99)
    info = index.info()
    vectors = index.vectors()
    for _ in range(3):
        index.close()
        index = Index.open(index.path)
        assert index.search("shared word7", k=99) == before
        assert index.vectors() == vectors
        assert index.info().generation == info.generation
        assert index.verify() == []
    index.close()


def test_info(index: Index) -> None:
    index.delete(["3"])
    info = index.info()
    assert (info.documents, info.deleted, info.format_version) == (9, 1, 1)
    assert (info.terms, info.postings, info.fields) == (11, 20, ["n"])
    assert info.bytes == sum(p.stat().st_size for p in index.path.rglob("*") if p.is_file())
    assert info.encoder is not None
    assert info.encoder["type"] == "bm25"
    assert info.config["segment_documents"] == 4


def test_a_reader_sees_commits_when_it_refreshes(index: Index) -> None:
    with Index.open(index.path) as reader:
        assert not reader.refresh()
        index.add([{"id": "new", "text": "shared brandnew"}])
        index.delete(["0"])
        index.optimize()
        assert len(reader.search("shared", k=99)) == 10
        assert reader.search("brandnew") == []
        assert reader.get("0").text == "shared word0"
        assert "new" not in reader
        assert reader.refresh()
        assert not reader.refresh()
        assert [hit.id for hit in reader.search("brandnew")] == ["new"]
        assert "0" not in reader
        assert reader.search("shared", k=99) == index.search("shared", k=99)


def test_two_objects_may_write_in_turn(index: Index) -> None:
    with Index.open(index.path) as other:
        for i in range(5):
            index.add([{"id": f"a{i}", "text": f"shared onlya{i}"}])
            other.add([{"id": f"b{i}", "text": f"shared onlyb{i}"}])
            other.delete([f"a{i}"])
        index.refresh()
        assert index.search("shared onlyb3", k=99) == other.search("shared onlyb3", k=99)
        assert len(index) == 15
        assert index.search("onlya0") == []
        assert index.verify() == []


def test_a_second_writer_is_refused_and_the_first_goes_on(index: Index) -> None:
    refused = []

    def documents() -> Iterator[dict[str, str]]:
        for i in range(6):
            yield {"id": f"new{i}", "text": "shared"}
            for writer in (index, other):
                with pytest.raises(IndexLockedError, match="another writer") as caught:
                    writer.delete(["1"])
                refused.append(caught.value)
            assert other.search("shared", k=99)

    with Index.open(index.path) as other:
        assert index.add(documents()) == 6
        assert len(refused) == 12
        assert len(index) == 16
        other.delete(["1"])


def test_what_fails_halfway_is_not_seen_and_not_in_the_way(index: Index, tmp_path: Path) -> None:
    class BoomError(BaseException):
        """Not an error of the documents: the whole call is off, as for Ctrl-C."""

    def documents() -> Iterator[dict[str, str]]:
        for i in range(6):
            yield {"id": f"new{i}", "text": f"fresh word{100 + i}"}
        raise BoomError

    with pytest.raises(BoomError):
        index.add(documents())
    assert [d.id for d in index.documents()][10:] == ["new0", "new1", "new2", "new3"]
    index.add([{"id": "last", "text": "another fresh one"}])
    assert len(index.search("fresh", k=99)) == 5
    assert index.search("word105") == []
    with Index.open(index.path) as other:
        assert other.search("another fresh word103") == index.search("another fresh word103")
    assert index.verify() == []


def test_threads_search_while_one_writes(index: Index) -> None:
    """Every search sees whole commits: pairs are added and deleted together."""
    failures: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                assert len(index.search("pair", k=999)) % 2 == 0
                assert len(index.search("shared", k=999)) == 10
                run = index.search_batch(["pair", "shared"], k=5, threads=2)
                assert len(run["1"]) == 5
                index.refresh()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(25):
        index.upsert([{"id": f"p{i}", "text": f"pair {i}"}, {"id": f"q{i}", "text": "pair"}])
        if i % 3 == 2:
            index.delete([f"p{i - 1}", f"q{i - 1}"])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.verify() == []


def test_threads_may_be_the_first_to_search(index: Index) -> None:
    """The encoder is loaded once, whoever needs it first."""
    for _ in range(10):
        with Index.open(index.path) as fresh:
            with ThreadPoolExecutor(4) as pool:
                results = list(pool.map(fresh.search, ["word7 shared"] * 4))
            assert results == [results[0]] * 4


def test_empty_calls_commit_nothing(index: Index) -> None:
    generation = index.info().generation
    index.add([])
    index.upsert([])
    index.delete([])
    index.delete(["unknown"], missing_ok=True)
    assert index.info().generation == generation


def test_deleting_everything(index: Index) -> None:
    index.delete([str(i) for i in range(10)])
    assert len(index) == 0
    assert index.search("shared") == []
    index.optimize()
    assert (index.info().segments, index.info().postings) == (0, 0)
    index.add([{"id": "3", "text": "shared again"}])
    assert [hit.id for hit in index.search("shared")] == ["3"]


def test_vectors_of_a_part(index: Index) -> None:
    whole = index.vectors()
    assert len(whole) == 10
    assert SparseVectors.concatenate([index.vectors(0, 3), index.vectors(3)]) == whole
    index.delete(["4"])
    assert index.vectors(4, 5) == whole[5:6]


def test_verify_while_another_process_merges(index: Index) -> None:
    """Segments that are merged away during the check are not reported as missing."""
    problems: list[str] = []
    done = threading.Event()

    def verify() -> None:
        with Index.open(index.path) as other:
            while not done.is_set():
                problems.extend(other.verify())
                assert other.info().bytes > 0

    thread = threading.Thread(target=verify)
    thread.start()
    for i in range(25):
        index.add([{"id": f"x{i}", "text": "more"}])
    done.set()
    thread.join()
    assert problems == []


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 60, 64, 65, 300]), min_size=1), data=st.data())
def test_merging_copies_what_is_left_whatever_its_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    """Texts are copied in pieces, of 64 bytes here, with and without gaps in them."""
    folder = tmp_path_factory.mktemp("merge") / "index"
    ids = [f"{'i' * (size % 9)}{number}" for number, size in enumerate(sizes)]
    gone = data.draw(st.sets(st.sampled_from(ids)))
    fields = [{"text": "".join(map(str, range(size)))[:size]} for size in sizes]
    vectors = SparseVectors.from_dicts([{number % 5: 1.0 + number} for number in range(len(ids))])
    with (
        pytest.MonkeyPatch.context() as patch,
        Index.create(folder, None, IndexConfig(segment_documents=9)) as index,
    ):
        patch.setattr("sparsearch.index.build._COPY_BYTES", 64)
        index.add_vectors(ids, vectors, fields)
        index.delete(gone)
        index.optimize()
        assert index.verify() == []
        left = [(i, field["text"]) for i, field in zip(ids, fields, strict=True) if i not in gone]
        assert [(document.id, document.text) for document in index.documents()] == left
        assert index.info().deleted == 0
        assert index.vectors() == vectors[[i for i, name in enumerate(ids) if name not in gone]]
