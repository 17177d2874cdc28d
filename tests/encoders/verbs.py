"""The program, run in this process."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from sparsearch.cli import app


def run(*arguments: object, code: int = 0) -> str:
    """Run the program; return what it writes to both outputs, but for the note on compiling."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return re.sub(r"^compiling for this machine.*\n", "", result.output, flags=re.MULTILINE)
