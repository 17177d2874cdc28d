from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from vector_strategies import batches

from sparsearch.errors import FileFormatError, InvalidVectorError
from sparsearch.vectors import SparseVectors, read_bigann_csr, read_ground_truth, write_bigann_csr


def csr_bytes(sizes: Any, offsets: Any, term_ids: Any, weights: Any) -> bytes:
    """Write the format independently of the code under test."""
    parts = ((sizes, "<i8"), (offsets, "<i8"), (term_ids, "<i4"), (weights, "<f4"))
    return b"".join(np.array(values).astype(dtype).tobytes() for values, dtype in parts)


GOOD = csr_bytes([3, 9, 4], [0, 2, 2, 4], [1, 8, 0, 3], [0.5, -1, 0, 2])
ROWS = [{1: 0.5, 8: -1.0}, {}, {0: 0.0, 3: 2.0}]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bigann") / "file"


@settings(max_examples=50)
@given(vectors=batches(max_id=2**31 - 1))
@pytest.mark.parametrize("memory_map", [True, False])
def test_round_trip(path: Path, vectors: SparseVectors, memory_map: bool) -> None:
    path.unlink(missing_ok=True)
    write_bigann_csr(path, vectors)
    read = read_bigann_csr(path, memory_map=memory_map)
    assert read == SparseVectors(vectors.offsets, vectors.term_ids, vectors.weights)


@pytest.mark.parametrize("memory_map", [True, False])
def test_format(path: Path, memory_map: bool) -> None:
    path.write_bytes(GOOD)
    vectors = read_bigann_csr(path, memory_map=memory_map)
    assert vectors.to_dicts() == ROWS
    assert vectors.vocabulary is None
    path.unlink()
    write_bigann_csr(path, vectors, columns=9)
    assert path.read_bytes() == GOOD


def test_memory_map_is_not_copied(path: Path) -> None:
    path.write_bytes(GOOD)
    vectors = read_bigann_csr(path)
    base: Any = vectors.weights
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_unsorted_rows_are_sorted(path: Path) -> None:
    path.write_bytes(csr_bytes([2, 9, 4], [0, 2, 4], [8, 1, 3, 0], [-1, 0.5, 2, 0]))
    assert read_bigann_csr(path).to_dicts() == [ROWS[0], ROWS[2]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes, less than the header"),
        (b"\x00" * 23, "less than the header"),
        (csr_bytes([-1, 9, 0], [], [], []), "negative size"),
        (csr_bytes([2**62, 9, 2**62], [0], [], []), "take"),
        (csr_bytes([0, 9, 0], [], [], []), "take 32"),
        (GOOD + b"\x00", "but 3 rows and 4 entries take"),
        (gzip.compress(GOOD, mtime=0), "run gunzip"),
        (csr_bytes([1, 9, 1], [0, 0], [1], [1]), "offsets end at 0"),
        (csr_bytes([2, 9, 1], [0, 5, 1], [1], [1]), "row 1: offsets decrease from 5 to 1"),
        (csr_bytes([1, 9, 1], [-1, 1], [1], [1]), "start with 0"),
        (csr_bytes([1, 9, 1], [0, 1], [-1], [1]), "row 0: term id -1"),
        (csr_bytes([1, 9, 1], [0, 1], [9], [1]), "row 0: term id 9 does not fit the 9 columns"),
        (csr_bytes([1, 9, 2], [0, 2], [3, 3], [1, 1]), "row 0: duplicate term 3"),
        (csr_bytes([1, 9, 1], [0, 1], [1], [np.nan]), "row 0: NaN weight"),
        (csr_bytes([1, 9, 1], [0, 1], [1], [np.inf]), "row 0: infinite weight"),
    ],
)
def test_refusals(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    for memory_map in (True, False):
        with pytest.raises(FileFormatError) as caught:
            read_bigann_csr(path, memory_map=memory_map)
        assert reason in caught.value.reason
    path.unlink()


@pytest.mark.parametrize("memory_map", [True, False])
def test_missing_file(path: Path, memory_map: bool) -> None:
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        read_bigann_csr(path.with_name("missing"), memory_map=memory_map)
    with pytest.raises(FileFormatError, match="cannot be read: Is a directory"):
        read_bigann_csr(path.parent, memory_map=memory_map)


def test_rows_whose_count_looks_like_gzip(path: Path) -> None:
    count = int.from_bytes(b"\x1f\x8b", "little")
    path.write_bytes(csr_bytes([count, 1, 0], [0] * (count + 1), [], []))
    assert len(read_bigann_csr(path)) == count
    path.unlink()


def test_term_ids_that_do_not_fit(path: Path) -> None:
    vectors = SparseVectors([0, 1, 2], [1, 2**31], [1, 1])
    with pytest.raises(InvalidVectorError, match="row 1: term id 2147483648 does not fit int32"):
        write_bigann_csr(path, vectors)
    with pytest.raises(InvalidVectorError, match="row 0: term id 1 does not fit the 1 columns"):
        write_bigann_csr(path, vectors[:1], columns=1)
    assert not path.exists()


def truth_bytes(n: int, k: int, ids: Any, scores: Any) -> bytes:
    parts = (([n, k], "<u4"), (ids, "<i4"), (scores, "<f4"))
    return b"".join(np.array(values).astype(dtype).tobytes() for values, dtype in parts)


def test_ground_truth(path: Path) -> None:
    path.write_bytes(truth_bytes(2, 3, [[5, 1, 0], [7, 2, -1]], [[3, 2, 1], [2, 1, 0]]))
    truth = read_ground_truth(path)
    assert truth.ids.tolist() == [[5, 1, 0], [7, 2, -1]]
    assert truth.scores.tolist() == [[3, 2, 1], [2, 1, 0]]
    assert (truth.ids.dtype, truth.scores.dtype) == (np.int32, np.float32)
    assert not truth.ids.flags.writeable
    path.write_bytes(truth_bytes(0, 10, [], []))
    assert read_ground_truth(path).ids.shape == (0, 10)
    path.write_bytes(truth_bytes(4, 0, [], []))
    assert read_ground_truth(path).ids.shape == (4, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes, less than the header"),
        (b"1234567", "less than the header"),
        (truth_bytes(2**32 - 1, 2**32 - 1, [], []), "take"),
        (truth_bytes(1, 1, [0], []), "but 1 queries with 1 neighbours take 16"),
        (truth_bytes(1, 1, [0], [1, 2]), "take 16"),
        (truth_bytes(2, 1, [0, -2], [1, 2]), "query 1: negative id"),
        (truth_bytes(2, 1, [0, 1], [1, np.nan]), "query 1: NaN score"),
    ],
)
def test_bad_ground_truth(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        read_ground_truth(path)
    assert reason in caught.value.reason


def test_every_truncation_is_refused(path: Path) -> None:
    truth = truth_bytes(2, 3, [[5, 1, 0], [7, 2, 4]], [[3, 2, 1], [2, 1, 0]])
    for data, read in ((GOOD, read_bigann_csr), (truth, read_ground_truth)):
        for size in range(len(data)):
            cut = path.with_name(f"cut{size}")
            cut.write_bytes(data[:size])
            with pytest.raises(FileFormatError):
                read(cut)


def test_altered_bytes_are_refused_or_read_as_they_are(path: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(3000):
        altered = np.frombuffer(GOOD, dtype=np.uint8).copy()
        places = random.integers(0, altered.size, size=random.integers(1, 3))
        altered[places] = random.integers(0, 256, size=places.size)
        data = altered.tobytes()
        path.write_bytes(data)
        try:
            vectors = read_bigann_csr(path, memory_map=False)
        except FileFormatError:
            continue
        sizes = np.frombuffer(data, dtype="<i8", count=3)
        ordered = np.lexsort((np.frombuffer(data, "<i4", 4, 56), np.repeat([0, 2], 2)))
        assert len(vectors) == sizes[0]
        assert vectors.nnz == sizes[2]
        if vectors.offsets.tolist() == [0, 2, 2, 4]:
            assert vectors.term_ids.tolist() == np.frombuffer(data, "<i4", 4, 56)[ordered].tolist()
            assert vectors.weights.tobytes() == np.frombuffer(data, "<f4", 4, 72)[ordered].tobytes()
