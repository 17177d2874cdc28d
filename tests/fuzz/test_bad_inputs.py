"""Ten thousand spoiled inputs end in a typed error or in the right answer.

Never in a traceback, a wrong index or a hang. What is right is told by a second, plain reading of
the same input (``plain_readings.py`` and ``naive_filter.py``).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import typer.main
from command_lines import prepare, random_commands
from mutations import (
    HOSTILE_KEYS,
    HOSTILE_OBJECTS,
    HOSTILE_VALUES,
    distinct,
    mutated_bytes,
    mutated_line,
    mutated_value,
    recast,
)
from plain_readings import (
    kept_weight,
    plain_csr,
    plain_document,
    plain_vector,
    plain_weights,
    storable,
)
from random_filters import FIELDS, OPERANDS, random_filter, random_metadata
from typer.testing import CliRunner

from sparsearch import Index, IndexConfig, SparseVectors
from sparsearch.cli import app, main
from sparsearch.errors import (
    FileFormatError,
    FilterError,
    InvalidDocumentError,
    InvalidVectorError,
)
from sparsearch.readers import open_source
from sparsearch.vectors import (
    VectorFile,
    Vocabulary,
    load_npz,
    read_bigann_csr,
    read_json_vectors,
    save_npz,
    write_bigann_csr,
)

sys.path.append(str(Path(__file__).resolve().parent.parent / "index"))

from naive_filter import fields_of, matches

JSONL_LINES = 4000
JSON_VECTORS, ARRAYS, DICTS, NPZ_FILES, NPZ_MEMBERS, CSR_FILES = 1000, 450, 300, 300, 150, 300
FILTERS = 2500
COMMANDS = 1000


def test_these_are_ten_thousand() -> None:
    vectors = JSON_VECTORS + ARRAYS + DICTS + NPZ_FILES + NPZ_MEMBERS + CSR_FILES
    assert (JSONL_LINES, vectors, FILTERS, COMMANDS) == (4000, 2500, 2500, 1000)
    assert JSONL_LINES + vectors + FILTERS + COMMANDS == 10_000


# --- JSON lines -----------------------------------------------------------------------------------

GOOD_LINE = b'{"id": "good", "title": "T", "text": "x", "year": 2024}'
GOOD_DOCUMENT = {"id": "good", "title": "T", "text": "x", "year": 2024}
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "title": "Sparse", "text": "learned vectors", "year": 2020, "tags": ["x", 1.5]},
    {"_id": "é1", "title": "", "text": "東京 \U0001f600", "metadata": {"url": "u", "n": None}},
    {"docid": 17, "contents": "the quick\nbrown fox", "nested": {"deep": [[{"er": True}]]}},
    {"doc_id": "z", "title": None, "abstract": 'a "b" \\ /', "text_": "t", "weight": -1.5e-7},
]


@pytest.fixture(scope="module")
def bad_lines() -> list[bytes]:
    rng = Random(1)
    return distinct(lambda: mutated_line(rng.choice(RECORDS), rng), JSONL_LINES)


def test_json_lines(bad_lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "fuzz.jsonl"
    refused = understood = 0
    for start in range(0, JSONL_LINES, 20):
        lines = [part for bad in bad_lines[start : start + 20] for part in (GOOD_LINE, bad)]
        path.write_bytes(b"\n".join(lines))
        reported: list[FileFormatError] = []
        documents = list(open_source(path, on_error=reported.append).records())
        expected = [plain_document(line) for line in lines]
        assert documents == [document for document in expected if document is not None]
        assert [error.line for error in reported] == [
            number
            for number, (line, document) in enumerate(zip(lines, expected, strict=True), start=1)
            if document is None and line.strip()
        ]
        refused += len(reported)
        understood += len(documents) - lines.count(GOOD_LINE)
    blank = sum(not line.strip() for line in bad_lines)
    assert refused + understood + blank == JSONL_LINES
    assert refused > JSONL_LINES / 2
    assert understood > JSONL_LINES / 10


def test_the_index_of_what_was_understood(bad_lines: list[bytes], tmp_path: Path) -> None:
    understood = [document for line in bad_lines if (document := plain_document(line))]
    kept: dict[str, dict[str, Any]] = {}
    refused = []
    for document in understood:
        if document["id"] not in kept and all(map(storable, document.values())):
            kept[document["id"]] = document
        else:
            refused.append(document)
    assert len(refused) > 50
    with Index.create(tmp_path / "index", "bm25", IndexConfig(segment_documents=100)) as index:
        assert index.add(kept.values()) == len(kept) > 50
        for document in refused[:100]:
            with pytest.raises(InvalidDocumentError):
                index.add([document, GOOD_DOCUMENT])  # what follows a bad one is not read
        assert index.verify() == []
        stored = [
            {"id": found.id, "title": found.title, "text": found.text, **found.metadata}
            for found in index.documents()
        ]
    assert stored == [{"title": None, "text": None, **document} for document in kept.values()]


# --- Vectors --------------------------------------------------------------------------------------

GOOD_VECTOR = b'{"id": "good", "contents": "x", "vector": {"sparse": 1.5}}'
VECTOR_RECORDS: list[dict[str, Any]] = [
    {"id": "v1", "contents": "text", "vector": {"a": 1, "b": 0.5, "\u6771": 2.25}, "year": 2020},
    {"_id": 7, "text": "", "vector": {}},
    {"id": "v3", "vector": {"x": -1.5e-3, "y": 0}, "tags": ["p", {"q": None}]},
]


def check_invariants(vectors: SparseVectors) -> None:
    offsets, term_ids, weights = vectors.offsets, vectors.term_ids, vectors.weights
    assert (offsets.dtype, term_ids.dtype, weights.dtype) == (np.int64, np.uint32, np.float32)
    assert offsets[0] == 0
    assert (np.diff(offsets) >= 0).all()
    assert offsets[-1] == len(term_ids) == len(weights)
    assert np.isfinite(weights).all()
    assert not len(term_ids) or term_ids.max() < vectors.dimension
    for start, stop in pairwise(offsets.tolist()):
        assert (np.diff(term_ids[start:stop].astype(np.int64)) > 0).all()


def check_same(vectors: SparseVectors, offsets: Any, term_ids: Any, weights: Any) -> None:
    """Check that a batch is sound and holds what it was made of."""
    check_invariants(vectors)
    assert vectors.offsets.tolist() == list(offsets)
    assert vectors.term_ids.tolist() == list(term_ids)
    given = np.asarray(weights)
    assert vectors.weights.tolist() == [kept_weight(weight) for weight in given.tolist()]


def test_json_vectors(tmp_path: Path) -> None:
    rng = Random(2)
    path = tmp_path / "fuzz.jsonl"
    refused = 0
    for line in distinct(lambda: mutated_line(rng.choice(VECTOR_RECORDS), rng), JSON_VECTORS):
        path.write_bytes(b"\n".join([GOOD_VECTOR, line, GOOD_VECTOR]))
        found: list[Any] = []
        bad_line = None
        try:
            for batch in read_json_vectors(path, batch_size=1):
                check_invariants(batch.vectors)
                weights = batch.vectors.to_dicts()
                found += zip(batch.ids, batch.contents, weights, batch.metadata, strict=True)
        except FileFormatError as error:
            bad_line = error.line
        good = plain_vector(GOOD_VECTOR)
        expected = plain_vector(line)
        assert found == ([good] if expected is None else [good, expected, good])
        assert bad_line == (2 if expected is None else None)
        refused += bad_line is not None
    assert JSON_VECTORS / 2 < refused < JSON_VECTORS


def hostile_arrays(rng: Random) -> tuple[Any, ...]:
    """Return offsets, term ids and weights of a batch, one or two of them spoiled."""
    arrays: list[Any] = [[0, 2, 2, 5], [3, 9, 0, 1, 4000], [1.0, 0.5, 2, 0.0, -3.5]]
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(3)
        if rng.random() < 0.8:
            arrays[at] = mutated_value(arrays[at], rng, HOSTILE_OBJECTS)
        if rng.random() < 0.3:
            dtype = rng.choice(["u1", "i4", ">i8", "u8", "f2", "f4", "f8", "?", "O", "U", "c16"])
            arrays[at] = recast(arrays[at], dtype)
    return tuple(arrays)


def test_arrays() -> None:
    rng = Random(3)
    accepted = 0
    for arrays in distinct(lambda: hostile_arrays(rng), ARRAYS):
        try:
            vectors = SparseVectors(*arrays)
        except InvalidVectorError:
            continue
        check_same(vectors, *arrays)
        accepted += 1
    assert 0 < accepted < ARRAYS / 2


def test_term_ids_of_few_bits() -> None:
    """Found by the above: 16-bit floats were compared with a limit that these cannot hold."""
    term_ids = np.array([3, 2048], dtype=np.float16)
    assert SparseVectors([0, 2], term_ids, [1, 2]).term_ids.tolist() == [3, 2048]
    vocabulary = Vocabulary(map(str, range(2049)))
    assert SparseVectors([0, 2], term_ids, [1, 2], vocabulary).term_ids.tolist() == [3, 2048]
    with pytest.raises(InvalidVectorError, match="has 2048 terms"):
        SparseVectors([0, 2], term_ids, [1, 2], Vocabulary(map(str, range(2048))))


def hostile_dicts(rng: Random) -> list[Any]:
    """Return mappings of term to weight, spoiled in one place or two."""
    rows: list[Any] = [{1: 0.5, 7: 2.0}, {}, {4_000_000_000: 1e-3}]
    if rng.random() < 0.5:
        rows = [{"a": 0.5, "b": 2}, {}, {"\u6771": 1e-3}]
    rows = mutated_value(rows, rng, HOSTILE_OBJECTS)
    if isinstance(rows, list) and rng.random() < 0.6:
        # A new list: this one may be one of the hostile values that all tests share.
        rows = [*rows, {rng.choice(HOSTILE_KEYS): rng.choice((1.0, rng.choice(HOSTILE_OBJECTS)))}]
    return rows if isinstance(rows, list) else [rows]


def test_dicts() -> None:
    rng = Random(4)
    accepted = 0
    for rows in distinct(lambda: hostile_dicts(rng), DICTS):
        try:
            vectors = SparseVectors.from_dicts(rows)
        except InvalidVectorError:
            continue
        check_invariants(vectors)
        assert vectors.to_dicts() == [plain_weights(row) for row in rows]
        accepted += 1
    assert 0 < accepted < DICTS / 2


def vector_file() -> VectorFile:
    rows = [{"a": 1.0, "b": 0.5}, {}, {"b": 2.0, "c": -1.0}]
    return VectorFile(SparseVectors.from_dicts(rows), ["d1", "d2", "é"])


def test_npz_files(tmp_path: Path) -> None:
    """The checksums of the archive see every change: what can be read is what was written."""
    rng = Random(5)
    path = tmp_path / "fuzz.npz"
    save_npz(path, vector_file())
    written = path.read_bytes()
    intact = 0
    for data in distinct(lambda: mutated_bytes(written, rng), NPZ_FILES):
        path.write_bytes(data)
        try:
            found = load_npz(path)
        except FileFormatError:
            continue
        assert (found.vectors, found.ids) == (vector_file().vectors, vector_file().ids)
        intact += 1
    assert intact < NPZ_FILES / 2


def hostile_members(members: dict[str, Any], rng: Random) -> bytes:
    """Return an archive without fault that holds spoiled arrays."""
    members = dict(members)
    for _ in range(rng.randint(1, 2)):
        name = rng.choice(list(members))
        values = members[name].tolist()
        changed = mutated_value(values, rng, HOSTILE_OBJECTS) if rng.random() < 0.8 else values
        dtype = members[name].dtype if rng.random() < 0.7 else rng.choice(["u1", "i8", "f8", "O"])
        array = recast(changed, dtype)
        if isinstance(array, np.ndarray):
            members[name] = array
        else:
            del members[name]
    archive = BytesIO()
    np.savez(archive, **members)
    return archive.getvalue()


def test_npz_members(tmp_path: Path) -> None:
    rng = Random(6)
    path = tmp_path / "fuzz.npz"
    save_npz(path, vector_file())
    with np.load(path) as archive:
        members = dict(archive)
    accepted = 0
    for data in distinct(lambda: hostile_members(members, rng), NPZ_MEMBERS):
        path.write_bytes(data)
        try:
            found = load_npz(path)
        except FileFormatError:
            continue
        with np.load(path) as archive:
            given = archive["offsets"], archive["term_ids"], archive["weights"]
        check_same(found.vectors, *given)
        assert found.ids is None or len(found.ids) == len(found.vectors)
        assert found.ids is None or all(found.ids)
        accepted += 1
    assert 0 < accepted < NPZ_MEMBERS / 2


def test_csr_files(tmp_path: Path) -> None:
    rng = Random(7)
    path = tmp_path / "fuzz.csr"
    write_bigann_csr(path, SparseVectors.from_dicts([{1: 0.5, 7: 2.0}, {}, {0: 1.0, 30: 1e-3}]))
    written = path.read_bytes()
    accepted = 0
    for data in distinct(lambda: mutated_bytes(written, rng, times=2), CSR_FILES):
        path.write_bytes(data)
        try:
            vectors = read_bigann_csr(path, memory_map=rng.random() < 0.5)
        except FileFormatError:
            continue
        check_invariants(vectors)
        assert vectors.to_dicts() == plain_csr(data)
        accepted += 1
    assert 0 < accepted < CSR_FILES / 2


# --- Filters --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, list[Any]]]:
    rng = Random(8)
    documents = [random_metadata(rng) for _ in range(60)]
    folder = tmp_path_factory.mktemp("filters") / "index"
    with Index.create(folder, None, IndexConfig(segment_documents=25)) as index:
        vectors = SparseVectors.from_dicts([{0: 1.0} for _ in documents])
        index.add_vectors([str(i) for i in range(len(documents))], vectors, documents)
        yield index, documents


def test_filters(filtered: tuple[Index, list[Any]]) -> None:
    index, documents = filtered
    rng = Random(9)

    def make() -> tuple[bool, Any]:
        expression: Any = random_filter(rng)
        spoiled = rng.random() < 0.8
        for _ in range(rng.randint(1, 2) if spoiled else 0):
            expression = mutated_value(expression, rng, (*HOSTILE_VALUES, *OPERANDS))
        return spoiled, expression

    refused = 0
    for spoiled, expression in distinct(make, FILTERS):
        try:
            found = [hit.id for hit in index.search({0: 1.0}, k=100, filter=expression)]
        except FilterError:
            assert spoiled, expression
            refused += 1
            continue
        plain = {} if expression is None else expression  # None is no filter
        assert set(fields_of(plain)) <= {"id", *FIELDS}
        expected = [
            str(i) for i, fields in enumerate(documents) if matches({**fields, "id": str(i)}, plain)
        ]
        assert found == expected, expression
    assert FILTERS / 4 < refused < FILTERS * 3 / 4


# --- Command lines --------------------------------------------------------------------------------


def test_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Making the program of its verbs takes longer than what most of these commands do.
    program = typer.main.get_command(app)
    monkeypatch.setattr(typer.main, "get_command", lambda _: program)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which Typer changes

    def exit_code(arguments: list[str], stdin: bytes) -> object:
        monkeypatch.setattr(sys, "argv", ["sparsearch", *arguments])
        with CliRunner().isolation(input=stdin), pytest.raises(SystemExit) as stop:
            main()  # whatever else it raises, a user would see as a traceback
        return stop.value.code

    rng = Random(11)
    prepare(tmp_path / "prepared", rng)
    commands = random_commands(COMMANDS, rng)
    codes = []
    for start in range(0, COMMANDS, 50):
        folder = tmp_path / "above" / str(start)
        shutil.copytree(tmp_path / "prepared", folder)
        monkeypatch.chdir(folder)
        for command in commands[start : start + 50]:
            stdin = mutated_bytes(b"sparse\nv1\na\n", rng) if rng.random() < 0.5 else b""
            codes.append(exit_code(command, stdin))
            assert codes[-1] in (0, 1, 2), command
        for name in ("papers", "vectors"):
            with Index.open(name) as index:
                assert index.verify() == []
                assert len(list(index.documents())) == len(index.vectors()) == len(index)
    assert len(codes) == COMMANDS
    assert min(map(codes.count, (0, 1, 2))) > COMMANDS / 20
