"""The writer lock: one at a time, freed with the process that held it."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from sparsearch.errors import IndexLockedError
from sparsearch.storage import writer_lock


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    with writer_lock(tmp_path):
        with pytest.raises(IndexLockedError, match="another writer"), writer_lock(tmp_path):
            pass
        with pytest.raises(IndexLockedError), writer_lock(tmp_path):
            pass
    with writer_lock(tmp_path):
        pass


def test_an_error_frees_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writer_lock(tmp_path):
        raise KeyError
    with writer_lock(tmp_path):
        pass


def _die_holding(folder: Path, held: multiprocessing.synchronize.Event) -> None:
    with writer_lock(folder):
        held.set()
        os.kill(os.getpid(), 9)


def test_the_system_frees_it_when_its_holder_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    child = context.Process(target=_die_holding, args=(tmp_path, held))
    child.start()
    child.join()
    assert held.is_set()
    with writer_lock(tmp_path):
        pass
