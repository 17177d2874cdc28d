"""The documentation: what it shows runs, what it prints is true, what it links to is there."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from markdown_pages import SOURCE, PageRunner

import sparsearch
from sparsearch import Index, IndexConfig, SparseVectors, errors
from sparsearch.storage import FORMAT_VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ROOT_PAGES = sorted(REPOSITORY.glob("*.md"))
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
GENERATED = ("cli-reference.md",)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run code in; nothing is kept in the user's home."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def has_data(workplace: Path, request: pytest.FixtureRequest) -> bool:
    """Link the development collections into the folder, if they are there."""
    try:
        collections = request.getfixturevalue("collections_dir")
    except pytest.skip.Exception:
        return False
    (workplace / "data").symlink_to(collections, target_is_directory=True)
    return True


# docs/indexing.md breaks off reading a file; whether collecting it warns depends on the order in
# which the garbage collector meets the file and its reader.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=name)
def test_the_code_of_a_page_runs(page: Path, has_data: bool) -> None:
    runner = PageRunner(page, has_data)
    runner.run()
    if runner.left_out:
        blocks = ", ".join(runner.left_out)
        pytest.skip(
            f"the rest ran; {blocks} need test collections (SPARSEARCH_DATA) or extra train"
        )


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_an_example_runs(example: Path, workplace: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        capture_output=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip()
    assert list(workplace.iterdir()) == []  # they clean up after themselves


def test_every_page_is_in_the_table_of_contents() -> None:
    linked = set(_LINK.findall((DOCS / "index.md").read_text("utf-8")))
    missing = [name(page) for page in DOCS.glob("*.md") if page.name not in {*linked, "index.md"}]
    assert missing == []


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert target.is_relative_to(REPOSITORY), f"{name(page)} links out of the repository"
        if anchor:
            assert anchor in _anchors(target), f"{name(page)} links to {link}"


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = _HEADING.findall(
        re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _handwritten() -> str:
    """Return the text of all pages for users that no program writes."""
    return "\n".join(
        page.read_text("utf-8") for page in DOCS.glob("*.md") if page.name not in GENERATED
    )


@pytest.mark.parametrize("public", [n for n in sparsearch.__all__ if n != "__version__"])
def test_every_public_name_is_documented(public: str) -> None:
    assert re.search(rf"\b{public}\b", _handwritten())


def test_every_method_of_an_index_is_documented() -> None:
    methods = [m for m, _ in inspect.getmembers(Index, inspect.isfunction) if m[0] != "_"]
    methods += ["create", "open"]
    text = _handwritten()
    assert [m for m in methods if not re.search(rf"\b{m}\(", text)] == []


def test_every_setting_is_documented() -> None:
    text = _handwritten()
    for config in (IndexConfig, sparsearch.Bm25Config):
        for setting in inspect.signature(config).parameters:
            assert f"`{setting}`" in text, f"{config.__name__}.{setting}"


def test_every_error_is_in_the_table_of_errors() -> None:
    text = (DOCS / "errors.md").read_text("utf-8")
    kinds = [
        kind.__name__
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SparsearchError)
    ]
    assert [kind for kind in kinds if not re.search(rf"\b{kind}\b", text)] == []


def test_the_format_page_describes_the_files_as_they_are(tmp_path: Path) -> None:
    text = (DOCS / "file-format.md").read_text("utf-8")
    assert f"format version {FORMAT_VERSION}" in text
    with Index.create(tmp_path / "text", "bm25") as words:
        words.add([{"id": "a", "text": "some words", "year": 2020}])
    with Index.create(tmp_path / "vectors", None, IndexConfig(weight_bits=8)) as vectors:
        vectors.add_vectors(["a"], SparseVectors.from_dicts([{"word": 1.0}]))
    described = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", text, re.MULTILINE))
    stored: set[str] = set()
    for meta in tmp_path.glob("*/segments/*/meta.json"):
        for array, facts in json.loads(meta.read_bytes())["arrays"].items():
            assert array in described, f"docs/file-format.md does not describe {array}"
            kind = described["codes"] if described[array] == "as codes" else described[array]
            assert np.dtype(facts["dtype"]).name in kind, f"{array} is {facts['dtype']}, not {kind}"
            stored.add(array)
    with contextlib.closing(sqlite3.connect(tmp_path / "text" / "catalog.sqlite")) as catalog:
        tables = {row[0] for row in catalog.execute("SELECT name FROM sqlite_master")}
        tables = {table for table in tables if not table.startswith("sqlite_")}
        for table in tables:
            columns = re.findall(r"`(\w+)`", described[table])
            found = [row[1] for row in catalog.execute(f"PRAGMA table_info({table})")]
            assert columns == found, f"docs/file-format.md: columns of {table}"
    assert described.keys() == stored | tables
