"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a test may compile a kernel or a pattern, which takes seconds.
settings.register_profile("compiling", deadline=None)
settings.load_profile("compiling")

REPOSITORY = Path(__file__).resolve().parent.parent


def _collections_folder() -> Path | None:
    named = os.environ.get("SPARSEARCH_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "cranfield" / "corpus.jsonl.gz").is_file() else None


@pytest.fixture(scope="session")
def collections_dir() -> Path:
    """Folder of real test collections in BEIR layout; the test skips where there is none."""
    folder = _collections_folder()
    if folder is None:
        pytest.skip("no test collections: set SPARSEARCH_DATA to a folder of BEIR-layout sets")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep exported models out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
