"""Compiled kernels have a place to be kept in, and do not outlive their sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from sparsearch.kernels._compiled import drop_stale_code

SCRIPT = """
from pathlib import Path
from sparsearch.kernels import topk
print(Path(topk.make_key.stats.cache_path))
print(Path(topk.make_key.stats.cache_path, "kernels.stamp").is_file())
"""


def python(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a process that has these variables and no other place for code."""
    variables = {**os.environ, **environment}
    if "NUMBA_CACHE_DIR" not in environment:
        variables.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True)


def test_a_change_of_any_source_drops_all_compiled_code(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("A = 1")
    other.write_text("B = 1")
    code = tmp_path / "code"
    drop_stale_code(code, tmp_path)
    kept = code / "one.cpython-311.pyc"
    compiled = [kept.with_name(name) for name in ("one.f-1.py311.nbi", "one.f-1.py311.1.nbc")]
    for path in (kept, *compiled):
        path.write_bytes(b"code")
    drop_stale_code(code, tmp_path)
    assert all(path.exists() for path in compiled)
    other.write_text("B = 2")
    drop_stale_code(code, tmp_path)
    assert kept.exists()
    assert not any(path.exists() for path in compiled)
    drop_stale_code(code, tmp_path)


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    drop_stale_code(tmp_path / "none" / "code", tmp_path / "none")


def test_stale_code_is_dropped_where_numba_is_told_to_keep_it(tmp_path: Path) -> None:
    def ask() -> Path:
        folder, stamped = python(NUMBA_CACHE_DIR=str(tmp_path)).stdout.split()
        assert stamped == "True"
        return Path(folder)

    folder = ask()
    assert tmp_path in folder.parents
    stale = folder / "one.f-1.py311.nbi"
    stale.write_bytes(b"code")
    ask()
    assert stale.exists()
    (folder / "kernels.stamp").write_text("of an earlier version")
    ask()
    assert not stale.exists()


@pytest.mark.skipif(
    not hasattr(numba.config, "CACHE_LOCATOR_CLASSES"), reason="this Numba looks everywhere"
)
def test_a_process_that_cannot_keep_compiled_code_says_so_and_works() -> None:
    # Numba then looks nowhere but in NUMBA_CACHE_DIR, which is not set.
    done = python(NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator")
    folder, stamped = done.stdout.split()
    assert stamped == "True"
    assert "sparsearch-kernels-" in folder
    assert not Path(folder).exists()
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in done.stderr
