"""Compiled kernels do not outlive their sources."""

from __future__ import annotations

from pathlib import Path

from sparsearch.kernels._compiled import drop_stale_code


def test_a_change_of_any_source_drops_all_compiled_code(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("A = 1")
    other.write_text("B = 1")
    drop_stale_code(tmp_path)
    kept = tmp_path / "__pycache__" / "one.cpython-311.pyc"
    compiled = [kept.with_name(name) for name in ("one.f-1.py311.nbi", "one.f-1.py311.1.nbc")]
    for path in (kept, *compiled):
        path.write_bytes(b"code")
    drop_stale_code(tmp_path)
    assert all(path.exists() for path in compiled)
    other.write_text("B = 2")
    drop_stale_code(tmp_path)
    assert kept.exists()
    assert not any(path.exists() for path in compiled)
    drop_stale_code(tmp_path)


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    drop_stale_code(tmp_path / "none")
