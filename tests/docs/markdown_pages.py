"""Pages of the documentation: their code blocks, run one after the other as a reader would.

What a block means is said by its fence:

- ``python``: run, in one namespace a page. If a ``text`` block follows, that is what it prints.
- ``console``: each line that starts with ``$`` is a command; the lines below it, if there are any,
  are its output. Commands without ``sparsearch`` in them (pip, make) are not run. A command must
  succeed, unless the output shown has a line that starts with ``error:``: then it must fail.
- a file name after the language (``jsonl papers.jsonl``): the block is written to that file.

In output, ``...`` stands for anything; times, sizes on disk and names of segments may differ. An
HTML comment above a block says what is special about it: ``<!-- not run: reason -->``;
``<!-- needs data -->`` for the development collections, which are then found in ``data/``;
``<!-- needs train -->`` for what runs with the extra of that name only; ``<!-- scores of a model
-->`` (on one line) where the processor decides the last digits of numbers.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from typer.testing import CliRunner

from sparsearch.cli import app

__all__ = ["Block", "PageRunner", "blocks"]

SOURCE = Path(__file__).resolve().parents[2] / "src"
_FENCE = re.compile(r"(`{3,})(\w*)[ \t]*(\S*)\s*")
_COMMENT = re.compile(r"<!-- (.+) -->\s*")
_HAS_TRAIN = importlib.util.find_spec("transformers") is not None
_SHELL = frozenset("|<>&;")
_COMPILING = re.compile(r"^compiling .*\n", re.MULTILINE)
_VOLATILE = (
    (re.compile(r"in [\d.]+ s( \([\d,]+ per second\))?"), "in 0 s"),
    (re.compile(r"\([\d.]+ ms\)"), "(0 ms)"),
    (re.compile(r"\b[\d.]+ (bytes|kB|MB|GB)\b"), "0 bytes"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0" * 32),
)
"""What differs from run to run."""
_MODEL = "scores of a model"
_DECIMAL = re.compile(r"\d+\.\d{3,}")
_MODEL_TOLERANCE = 0.03


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is that of its first line of code, `note` the comment above it."""

    language: str
    file: str
    code: str
    line: int
    note: str
    adjacent: bool
    """Whether only blank lines stand between it and the block before."""


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    lines = iter(enumerate(text.splitlines(), start=1))
    note, adjacent = "", False
    for number, line in lines:
        fence = _FENCE.fullmatch(line)
        if fence:
            code = list(_until(lines, fence[1]))
            joined = "".join(f"{part}\n" for part in code)
            found.append(Block(fence[2], fence[3], joined, number + 1, note, adjacent))
            note, adjacent = "", True
        elif line.strip():
            comment = _COMMENT.fullmatch(line)
            note, adjacent = (comment[1] if comment else ""), False
    return found


def _until(lines: Iterator[tuple[int, str]], fence: str) -> Iterator[str]:
    for _, line in lines:
        if line == fence:
            return
        yield line
    raise AssertionError("a fenced block does not end")


@dataclass
class PageRunner:
    """Runs the blocks of one page in the current folder.

    Parameters
    ----------
    page : Path
    has_data : bool
        Whether the development collections are there, in ``data``.
    """

    page: Path
    has_data: bool
    left_out: list[str] = field(default_factory=list)
    _namespace: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})

    def run(self) -> None:
        """Run all blocks; `left_out` then says which need what is not there."""
        end = Block("", "", "", 0, "", False)
        for block, following in pairwise([*blocks(self.page.read_text("utf-8")), end]):
            if block.note.startswith("not run: "):
                continue
            if not self._has(block.note):
                self.left_out.append(f"line {block.line}")
            elif block.file:
                Path(block.file).write_text(block.code, encoding="utf-8")
            elif block.language == "python":
                printed = self._python(block)
                if following.adjacent and following.language == "text":
                    expected = _rounded(following.code, printed, block.note)
                    self._check(expected, printed, following.line)
            elif block.language == "console":
                for line, command, expected in commands(block):
                    self._console(line, command, expected, block.note)

    def _has(self, note: str) -> bool:
        return {"needs data": self.has_data, "needs train": _HAS_TRAIN}.get(note, True)

    def _python(self, block: Block) -> str:
        # Blank lines in front, so that a traceback shows the line of the page.
        code = compile("\n" * (block.line - 1) + block.code, str(self.page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self._namespace)
        return printed.getvalue()

    def _console(self, line: int, command: str, expected: str, note: str) -> None:
        code, printed = execute(command)
        should_fail = any(part.startswith("error:") for part in expected.splitlines())
        assert (code != 0) == should_fail, f"{self.page.name}:{line}: exit code {code}\n{printed}"
        if expected:
            self._check(_rounded(expected, printed, note), printed, line)

    def _check(self, expected: str, printed: str, line: int) -> None:
        printed = "".join(f"{part.rstrip()}\n" for part in printed.splitlines())
        checker = doctest.OutputChecker()
        matches = checker.check_output(_settled(expected), _settled(printed), doctest.ELLIPSIS)
        assert matches, f"{self.page.name}:{line}: expected\n{expected}\nbut it printed\n{printed}"


def _rounded(expected: str, printed: str, note: str) -> str:
    """Return what is expected, with the decimals that were printed where a model's are close."""
    if note != _MODEL:
        return expected
    actual = iter(_DECIMAL.findall(printed))

    def choose(shown: re.Match[str]) -> str:
        found = next(actual, shown[0])
        close = math.isclose(float(found), float(shown[0]), rel_tol=_MODEL_TOLERANCE)
        return found if close else shown[0]

    return re.sub("█+", "...", _DECIMAL.sub(choose, expected))


def _settled(output: str) -> str:
    for pattern, constant in _VOLATILE:
        output = pattern.sub(constant, output)
    return output


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """Yield line, command and output shown of each command of a console block that is run."""
    code = block.code.replace("\\\n", " " * 2)
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    assert not parts[0].strip(), f"line {block.line}: a console block starts with '$ '"
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        if re.search(r"(^|\| *)sparsearch ", command):
            yield block.line, command, output.rstrip() + "\n" if output.strip() else ""


def execute(command: str) -> tuple[int, str]:
    """Run a command, in this process where it needs no shell; return exit code and output."""
    parser = shlex.shlex(command, posix=True, punctuation_chars="|<>&;")
    parser.whitespace_split = True
    words = list(parser)
    if not any(set(word) <= _SHELL for word in words if word):
        result = CliRunner().invoke(app, words[1:], prog_name="sparsearch")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, _COMPILING.sub("", result.output)
    program = f'sparsearch() {{ {shlex.quote(sys.executable)} -m sparsearch "$@"; }}'
    done = subprocess.run(
        ["sh", "-c", f"{program}\n{command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8"},
        timeout=120,
        check=False,
    )
    return done.returncode, _COMPILING.sub("", done.stdout.decode())
