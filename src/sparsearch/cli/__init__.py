"""The command line: one file per verb; files that start with ``_`` are what verbs share.

Importing this package loads no heavy module: each verb imports what it works with when it runs, so
that ``--help`` and shell completion answer at once.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

from sparsearch.cli._app import app
from sparsearch.cli._interrupts import spare_kernels

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; exits with 0 (fine), 1 (failed), 2 (usage) or 130 (interrupted)."""
    if isinstance(sys.stdout, TextIOWrapper):
        # What a terminal cannot show is escaped, as Python does for standard error.
        sys.stdout.reconfigure(errors="backslashreplace")
    spare_kernels()
    app(prog_name="sparsearch")
