"""An index that is served, and a connection to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("httpx", reason="the service needs the extra serve")

import httpx
from serving import PAPERS, Served

from sparsearch import Index


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of four documents; to be copied."""
    folder = tmp_path_factory.mktemp("made") / "papers"
    with Index.create(folder, "bm25") as index:
        index.add(PAPERS)
    return folder


@pytest.fixture
def papers(made: Path, tmp_path: Path) -> Path:
    """An index of four documents, for one test alone."""
    return Path(shutil.copytree(made, tmp_path / "papers"))


@pytest.fixture(scope="module")
def shared_papers(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of four documents that the tests of a file share."""
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("shared") / "papers"))


@pytest.fixture(scope="module")
def served(shared_papers: Path) -> Iterator[Served]:
    """A server of it."""
    with Served(shared_papers) as server:
        yield server


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """A connection to that server's collection."""
    with httpx.Client(base_url=f"{served.url}/v1/collections/papers", timeout=60) as connection:
        yield connection
