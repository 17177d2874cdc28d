"""Writing to the terminal, or to whatever stands in its place."""

from __future__ import annotations

import json
import re
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from os import PathLike, fspath
from shutil import get_terminal_size
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sparsearch.index import IndexConfig

__all__ = [
    "counted",
    "human_bytes",
    "human_time",
    "note",
    "one_line",
    "output",
    "print_table",
    "quoted",
    "stored_thing",
    "working",
    "write_json",
]

# Control characters and those that turn the direction of text: what comes from a document must
# not steer the terminal that shows it.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\s]+")
_PLAIN_WIDTH, _LEAST_WIDTH = 100, 40


def one_line(text: str) -> str:
    """Return a text as one line that is safe to show."""
    return _UNSAFE.sub(" ", text).strip()


def note(message: str) -> None:
    """Write one line about the work, as opposed to its result, to standard error."""
    print(one_line(message), file=sys.stderr, flush=True)


def output() -> Console:
    """Return the console of standard output: styled on a terminal, plain text elsewhere."""
    from rich.console import Console

    width = get_terminal_size().columns if sys.stdout.isatty() else _PLAIN_WIDTH
    width = max(width, _LEAST_WIDTH)
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width)


def print_table(table: Table) -> None:
    """Write a table to standard output, without blanks at the ends of lines."""
    console = output()
    with console.capture() as captured:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def working(message: str) -> AbstractContextManager[object]:
    """Show, on a terminal only, that something takes its time."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(message)


def write_json(value: object) -> None:
    """Write a value as one line of JSON to standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def stored_thing(config: IndexConfig) -> str:
    """Return what an index stores: documents, or passages of them."""
    return "document" if config.passage_length is None else "passage"


def counted(count: int, thing: str, things: str = "") -> str:
    """Return how many there are of a thing: "1 document", "1,400 documents"."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def human_bytes(count: float) -> str:
    """Return a number of bytes in the unit that makes it readable."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def human_time(seconds: float) -> str:
    """Return a duration for people: "42 s", "3 min 05 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def quoted(path: str | PathLike[str]) -> str:
    """Return a path as it has to be typed into a shell."""
    return shlex.quote(fspath(path))
