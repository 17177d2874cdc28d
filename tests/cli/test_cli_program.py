"""The program as a whole: help, exit codes, pipes, and the page made from the help."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding import ExecutionEngine
from numba.core import serialize

import sparsearch
from sparsearch.cli import _app, _console, _hits, _interrupts
from sparsearch.cli._app import VERBS
from sparsearch.errors import FileFormatError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_version(run):
    assert run("--version").out == f"sparsearch {sparsearch.__version__}\n"


def test_help_names_every_verb(run):
    outcome = run("--help")
    assert outcome.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in outcome.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_ends_with_examples(run, verb):
    outcome = run(verb, "--help")
    assert outcome.code == 0
    examples = outcome.out.partition("Examples:\n")[2].splitlines()
    assert any(f"sparsearch {verb}" in line for line in examples)
    assert outcome.out == run(verb, "-h").out


def test_an_unknown_verb_is_a_usage_error(run):
    outcome = run("serch")
    assert outcome.code == 2
    assert "serch" in outcome.err


@pytest.fixture(scope="module")
def reference():
    generator = runpy.run_path(str(DOCS / "generate_cli_reference.py"))
    page = generator["PAGE"].read_text(encoding="utf-8")
    return page, generator["reference"](), generator["MADE_WITH"]


def test_the_reference_names_all_that_help_names(reference):
    page, generated, _ = reference
    pattern = re.compile(r"^## .+|^  (?:-\w, )?--[\w-]+|^    sparsearch .+", re.MULTILINE)
    names = pattern.findall(generated)
    assert len(names) > 80
    assert names == pattern.findall(page), "stale: run docs/generate_cli_reference.py"


def test_the_reference_is_what_help_says(reference):
    page, generated, made_with = reference
    if made_with not in page:
        pytest.skip("the reference was made with another version of Typer")
    assert page == generated, "stale: run docs/generate_cli_reference.py"


def test_help_loads_nothing_heavy(environment):
    code = (
        "import sys\nfrom sparsearch.cli import app\n"
        "try:\n    app(['search', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'numba', 'scipy', 'pyarrow', 'ir_measures', 'rich.console'}\n"
        "sys.exit(repr(loaded) if (loaded := heavy & sys.modules.keys()) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_reader_that_leaves_early_is_no_error(environment, papers, tmp_path):
    queries = tmp_path / "q.tsv"
    queries.write_text("".join(f"q{i}\tsparse dense vectors index\n" for i in range(20_000)))
    command = [sys.executable, "-m", "sparsearch", "search", str(papers), "--queries", str(queries)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().startswith(b"q0 Q0 ")
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert [line for line in err.splitlines() if not line.startswith(b"compiling")] == []


def test_full_disk_is_one_line(environment, papers):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sparsearch", "info", str(papers)],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"error: No space left on device\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FileFormatError("a\nb", 3, "x\x1b[0m"), 1, "error: a b:3: x [0m\n"),
        (
            PermissionError(13, "Permission denied", "/root/x"),
            1,
            "error: /root/x: Permission denied\n",
        ),
        (OSError("odd"), 1, "error: odd\n"),
        (MemoryError(), 1, "error: out of memory\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (KeyboardInterrupt("7 are stored"), 130, "stopped: 7 are stored\n"),
    ],
)
def test_errors_are_one_line(error, code, line, capsys):
    with pytest.raises(_app.typer.Exit) as stop, _app._reported():
        raise error
    assert stop.value.exit_code == code
    assert capsys.readouterr().err == line


def test_bugs_are_not_hidden():
    with pytest.raises(ZeroDivisionError), _app._reported():
        _ = 1 / 0


# ---- what people see


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (2_340_000, "2.3 MB"),
        (9e12, "9000.0 GB"),
    ],
)
def test_sizes(count, text):
    assert _console.human_bytes(count) == text


@settings(max_examples=200)
@given(
    text=st.text(st.sampled_from("ab c'é日\n\t."), max_size=400),
    words=st.dictionaries(st.sampled_from(["a", "b", "ab", "é", "日"]), st.just({1: 2.0})),
    width=st.integers(40, 100),
)
def test_a_snippet_is_a_part_of_the_text_and_fits(text, words, width):
    line = _console.one_line(text)
    part = _hits.snippet(line, words, width)
    assert len(part) <= width
    assert part.removeprefix("… ").removesuffix(" …") in line


def test_a_snippet_shows_the_words_that_matter():
    text = "common " * 60 + "then the rare common word " + "filler " * 60
    words = {"common": {1: 0.1}, "rare": {2: 5.0}}
    part = _hits.snippet(text.strip(), words, 60)
    assert "rare" in part
    assert part.startswith("… ")
    assert part.endswith(" …")


def test_a_terminal_gets_colours_and_a_width(papers, environment):
    pty = pytest.importorskip("pty")
    command = [sys.executable, "-m", "sparsearch", "search", str(papers), "sparse vectors"]
    read, write = pty.openpty()
    with subprocess.Popen(
        command, env={**environment, "COLUMNS": "60", "TERM": "xterm"}, stdout=write
    ) as process:
        os.close(write)
        out = b""
        while chunk := _read(read):
            out += chunk
        assert process.wait(timeout=60) == 0
    os.close(read)
    assert b"\x1b[" in out
    assert b"sparse" in out


def test_the_prompt_is_not_among_the_results(papers, environment):
    """Standard input is a terminal, standard output is not."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sparsearch", "search", str(papers), "--json", "-k", "1"]
    with subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        os.write(ours, b"sparse\nposting lists\n\x04")
        out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, err.decode()
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["a", "c"]
    assert err.endswith(b"query> query> query> \n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux: the other side is closed
        return b""


def test_an_interrupt_that_comes_as_a_kernel_returns_comes_later():
    """It was an error, with a traceback and the exit code 1, or a crash."""
    for name in _interrupts._CANNOT_RAISE:  # or Numba does it another way by now
        assert hasattr(serialize, name) or hasattr(ExecutionEngine, name)

    def _numba_unpickle():
        signal.raise_signal(signal.SIGINT)
        return "whole"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupts.spare_kernels()
        returned = _numba_unpickle()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(60)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert returned == "whole"


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda number, frame: None])
def test_interrupts_that_others_handle_are_left_to_them(other):
    before = signal.signal(signal.SIGINT, other)
    try:
        _interrupts.spare_kernels()
        assert signal.getsignal(signal.SIGINT) is other
    finally:
        signal.signal(signal.SIGINT, before)
