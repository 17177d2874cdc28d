"""Keeping compiled kernels on disk from outliving their sources.

Numba keeps a compiled kernel until the file of that very function changes. But kernels of one file
are compiled into those of another, with the constants of both; after an update that touches only
one of the files, machine code of two versions would meet on the same arrays.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

__all__ = ["drop_stale_code"]


def drop_stale_code(folder: Path = Path(__file__).parent) -> None:
    """Remove what was compiled from other sources than those there now.

    Parameters
    ----------
    folder : Path
        Of the kernels. Where it cannot be written nothing is compiled into it either.
    """
    digest = hashlib.blake2b(digest_size=16)
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    stamp = folder / "__pycache__" / "kernels.stamp"
    with suppress(OSError):
        if stamp.is_file() and stamp.read_text() == digest.hexdigest():
            return
        stamp.parent.mkdir(exist_ok=True)
        # Numba writes an index (.nbi) before the code (.nbc) it names: in between another process
        # would find the old code under the new name.
        for pattern in ("*.nbi", "*.nbc"):
            for compiled in stamp.parent.glob(pattern):
                compiled.unlink(missing_ok=True)
        stamp.write_text(digest.hexdigest())
