"""Where compiled kernels are kept, and that they do not outlive their sources.

Numba keeps a compiled kernel until the file of that very function changes. But kernels of one file
are compiled into those of another, with the constants of both; after an update that touches only
one of the files, machine code of two versions would meet on the same arrays.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import numba

__all__ = ["drop_stale_code", "place_of_code"]

_SOURCES = Path(__file__).parent


def place_of_code() -> Path:
    """Return the folder in which Numba keeps what it compiles of this one.

    It is ``__pycache__``, a folder in ``NUMBA_CACHE_DIR`` if that is set, or one in the user's
    cache where the package cannot be written. Where there is none of these, as in a container with
    a user of its own, Numba would refuse to import a kernel: it gets a folder that lasts as long as
    the process.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return _SOURCES / "__pycache__"
    try:
        probe = numba.njit(cache=True)(_nothing)
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="sparsearch-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
        warnings.warn(
            "compiled kernels cannot be kept, so each process compiles them anew: set "
            "NUMBA_CACHE_DIR to a folder that can be written",
            stacklevel=3,
        )
        probe = numba.njit(cache=True)(_nothing)
    return Path(str(probe.stats.cache_path))


def drop_stale_code(code: Path, sources: Path = _SOURCES) -> None:
    """Remove what was compiled from other sources than those there now.

    Parameters
    ----------
    code : Path
        The folder of what Numba compiled of these sources alone.
    sources : Path
        The folder of the kernels.
    """
    digest = hashlib.blake2b(digest_size=16)
    for source in sorted(sources.glob("*.py")):
        digest.update(source.read_bytes())
    stamp = code / "kernels.stamp"
    with suppress(OSError):
        if stamp.is_file() and stamp.read_text() == digest.hexdigest():
            return
        code.mkdir(exist_ok=True)
        # Numba writes an index (.nbi) before the code (.nbc) it names: in between another process
        # would find the old code under the new name.
        for pattern in ("*.nbi", "*.nbc"):
            for compiled in code.glob(pattern):
                compiled.unlink(missing_ok=True)
        stamp.write_text(digest.hexdigest())


def _nothing() -> None:
    """Do nothing: a function to ask Numba where it would keep it."""
