"""Write docs/cli-reference.md from the help texts of the command line."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from typer.testing import CliRunner

from sparsearch.cli import app
from sparsearch.cli._app import GROUPS, VERBS

PAGE = Path(__file__).with_name("cli-reference.md")

MADE_WITH = f"Made by docs/generate_cli_reference.py with Typer {version('typer')}"
"""Other versions may lay out the same help differently."""

INTRODUCTION = f"""\
# Command line reference

<!-- {MADE_WITH}; change the help texts, not this page. -->

Results go to standard output; progress, notes and errors to standard error, an error as one line.
The exit code is 0 when all went well, 1 when it failed or `verify` found damage, 2 when the
command was typed wrong, and 130 when it was interrupted. `sparsearch --install-completion` makes
the shell complete verbs and options.
"""


def reference() -> str:
    """Return the page."""
    commands = [[verb] for verb in VERBS]
    for group, (actions, *_) in GROUPS.items():
        commands += [[group], *([group, action] for action in actions)]
    sections = (f"## {' '.join(command)}\n\n{_block(command)}" for command in commands)
    return "\n".join([INTRODUCTION, _block([]), *sections])


def _block(arguments: list[str]) -> str:
    runner = CliRunner(env={"COLUMNS": "80"})
    result = runner.invoke(app, [*arguments, "--help"], prog_name="sparsearch")
    lines = [line.rstrip() for line in result.output.strip().splitlines()]
    return "\n".join(["```text", *lines, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
