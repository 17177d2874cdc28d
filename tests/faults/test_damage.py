"""Damaged files: a flipped bit anywhere, or a file cut short, is found."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from small_index import QUERY, document, make_index, problems_of, results

from sparsearch import Feedback, Index, IndexConfig, SparseVectors
from sparsearch.errors import IndexCorruptError, SparsearchError, StorageError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "index"
    make_index(folder).close()
    assert problems_of(folder) == []
    return folder


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors") / "index"
    rows = [{f"t{i * p % 17}": 0.1 + i * p % 1009 / 97 for p in (1, 3, 7)} for i in range(40)]
    fields = [{**document(i), "id": f"d{i}"} for i in range(40)]
    with Index.create(folder, None, IndexConfig(segment_documents=16, weight_bits=8)) as index:
        ids = [field.pop("id") for field in fields]
        index.add_vectors(ids, SparseVectors.from_dicts(rows), fields)
        index.delete(["d3"])
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "index")
    return tmp_path / "index"


def files_of(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*") if p.is_file() and p.name not in ("lock", "cleaner.lock")
    )


def test_every_kind_of_file_is_there(whole: Path) -> None:
    names = {path.name for path in files_of(whole)}
    assert names == {"catalog.sqlite", "meta.json", "arrays.bin"}
    assert not [name for name in names if name.endswith(("-wal", "-shm"))]


def test_flipped_bits_in_segments_are_found(folder: Path) -> None:
    """In every file: the first and last byte, and some in between."""
    rng = np.random.default_rng(1)
    with Index.open(folder) as index:
        for path in files_of(folder / "segments"):
            data = path.read_bytes()
            for position in {0, len(data) - 1, *rng.integers(0, len(data), 40).tolist()}:
                damaged = bytearray(data)
                damaged[position] ^= 1 << int(rng.integers(8))
                path.write_bytes(damaged)
                assert any(path.parent.name in line for line in index.verify()), (path, position)
            path.write_bytes(data)
        assert index.verify() == []


def test_flipped_bits_in_the_catalog_are_found_or_change_nothing(folder: Path) -> None:
    """What SQLite itself never reads (free space, some of its header) may stay unseen."""
    rng = np.random.default_rng(2)
    path = folder / "catalog.sqlite"
    data = path.read_bytes()
    with Index.open(folder) as index:
        expected = results(index)
    used = np.flatnonzero(np.frombuffer(data, np.uint8))
    unseen = []
    for position in rng.choice(used, 400, replace=False).tolist():
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if problems_of(folder):
            continue
        unseen.append(position)
        with Index.open(folder) as index:
            assert results(index) == expected
    path.write_bytes(data)
    assert len(unseen) <= 0.02 * 400, unseen


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_file_cut_short_is_refused_at_opening(folder: Path, part: float) -> None:
    for path in files_of(folder):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(SparsearchError):
            Index.open(folder).close()
        path.write_bytes(data)
    assert problems_of(folder) == []


def test_a_file_that_is_gone_is_refused_at_opening(folder: Path) -> None:
    for path in files_of(folder):
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(SparsearchError):
            Index.open(folder).close()
        path.with_name("elsewhere").rename(path)
    assert problems_of(folder) == []


def test_a_segment_that_is_gone_is_refused_at_opening(folder: Path) -> None:
    shutil.rmtree(next((folder / "segments").iterdir()))
    with pytest.raises(StorageError, match="a segment is missing"):
        Index.open(folder)


def test_segments_that_changed_places_are_refused(folder: Path) -> None:
    one, other, *_ = (folder / "segments").iterdir()
    one.rename(folder / "swap")
    other.rename(one)
    (folder / "swap").rename(other)
    with pytest.raises(StorageError, match="altered"):
        Index.open(folder)


def test_verify_of_an_open_index_reads_what_is_on_the_disk(folder: Path) -> None:
    with Index.open(folder) as index:
        path = folder / "catalog.sqlite"
        data = path.read_bytes()
        position = data.index(b"segment_documents")
        path.write_bytes(data[:position] + b"X" + data[position + 1 :])
        assert index.verify()


def _spoil(folder: Path, name: str) -> None:
    """Make the last number of an array as large as it can be."""
    for path in folder.glob("segments/*/arrays.bin"):
        facts = json.loads(path.with_name("meta.json").read_bytes())["arrays"][name]
        n_bytes = int(facts["dtype"][-1])
        last = facts["data"] + n_bytes * (math.prod(facts["shape"]) - 1)
        largest = 2 ** (8 * n_bytes - (facts["dtype"][1] == "i")) - 1
        data = bytearray(path.read_bytes())
        data[last : last + n_bytes] = largest.to_bytes(n_bytes, "little")
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("whole", name) for name in ("offsets", "places", "windows", "long_before")),
        *(("vectors", name) for name in ("list_offsets", "strong_places", "list_starts")),
        *(("vectors", name) for name in ("list_tops", "forward_offsets", "forward_rows")),
        *(("vectors", name) for name in ("forward_ranks", "weak_bytes", "weak_counts")),
    ],
)
def test_a_damaged_posting_does_not_damage_the_process(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: str
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(request.getfixturevalue(kind), folder)
    _spoil(folder, name)
    script = (
        "import sys, sparsearch\n"
        "index = sparsearch.Index.open(sys.argv[1])\n"
        "for document in list(index.documents()):\n"
        "    text = document.text or 'x'\n"
        "    query = text if index.info().encoder else {f't{i}': 1.0 for i in range(17)}\n"
        "    for k in (1, 1000):\n"
        "        index.search(query, k)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # a signal would give a negative one


CALLS: list[Callable[[Index], object]] = [
    lambda index: index.search(query_of(index), k=50),
    lambda index: index.search(query_of(index), k=5, filter={"n": {">": 3}}),
    lambda index: index.search(query_of(index), feedback=Feedback()),
    lambda index: index.search(query_of(index), recall=0.9),
    lambda index: index.explain(query_of(index), "d7"),
    lambda index: index.count({"n": 3}),
    lambda index: index.facets(["n", "tags"]),
    lambda index: index.get("d7"),
    lambda index: index.vector("d7"),
    lambda index: list(index.documents()),
    lambda index: index.vectors(),
    lambda index: index.delete(["d8"], missing_ok=True),
    lambda index: index.optimize(),
]


def query_of(index: Index) -> str | dict[str, float]:
    return QUERY if index.info().encoder else {"t3": 1.0, "t5": 0.5}


def _damage_an_array(segment: Path, rng: np.random.Generator) -> None:
    """Fill one of a segment's arrays with zeros, ones or noise, or flip a bit of it."""
    arrays = json.loads((segment / "meta.json").read_text())["arrays"]
    full = [facts for facts in arrays.values() if facts["stop"] > facts["data"]]
    facts = full[rng.integers(len(full))]
    size = facts["stop"] - facts["data"]
    data = bytearray((segment / "arrays.bin").read_bytes())
    fillings = [bytes(size), bytes([255]) * size, rng.bytes(size), None]
    filling = fillings[rng.integers(len(fillings))]
    if filling is None:
        data[facts["data"] + rng.integers(size)] ^= 1 << int(rng.integers(8))
    else:
        data[facts["data"] : facts["stop"]] = filling
    (segment / "arrays.bin").write_bytes(data)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of arithmetic with damaged numbers
@pytest.mark.parametrize("seed", range(40))
def test_damaged_arrays_end_in_a_typed_error_or_an_answer(
    whole: Path, vectors: Path, tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shutil.copytree(vectors if seed % 2 else whole, tmp_path / "index")
    for segment in sorted((tmp_path / "index" / "segments").iterdir()):
        _damage_an_array(segment, rng)
    with suppress(SparsearchError), Index.open(tmp_path / "index") as index:
        for call in CALLS:
            with suppress(SparsearchError):
                call(index)


def test_damage_is_not_merged_into_a_whole_segment(folder: Path) -> None:
    with Index.open(folder) as index:
        before = index.info().generation
        _spoil(folder, "places")
        index.delete([next(index.documents()).id])
        with pytest.raises(
            IndexCorruptError, match=r"checksum of places differs.*restore it from a backup"
        ):
            index.optimize()
        assert index.info().generation <= before + 1
        assert index.verify() != []
