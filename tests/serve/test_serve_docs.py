"""docs/serving.md does what it says, and what is deployed starts the program properly."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving import process
from typer.testing import CliRunner

from sparsearch import Index
from sparsearch.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "serving.md"
DEPLOY = REPOSITORY / "deploy"

sys.path.append(str(REPOSITORY / "tests" / "docs"))
from markdown_pages import blocks  # noqa: E402


def test_the_page_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the page shows curl, which is not installed")
    monkeypatch.chdir(tmp_path)
    page = blocks(PAGE.read_text("utf-8"))
    source = next(block for block in page if block.file == "papers.jsonl")
    Path(source.file).write_text(source.code, encoding="utf-8")
    with Index.create("papers"):
        pass
    assert CliRunner().invoke(app, ["index", "papers", "papers.jsonl"]).exit_code == 0
    shown = [block for block in page if block.note == "not run: tests/serve runs it"]
    assert len(shown) == 3
    with process("papers") as server:
        for block in shown:
            code = block.code.replace("http://localhost:8080", server.url)
            code = code.replace("localhost:8080", server.url)
            if block.language == "console":
                run_console(code)
            else:
                following = page[page.index(block) + 1]
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    exec(compile(code, str(PAGE), "exec"), {})
                assert printed.getvalue() == following.code


def run_console(code: str) -> None:
    """Run the commands of a block and compare what they print."""
    for part in re.split(r"^\$ ", code.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        checker = doctest.OutputChecker()
        assert checker.check_output(expected, done.stdout + "\n", doctest.ELLIPSIS), done.stdout


def commands_deployed() -> dict[str, list[str]]:
    """Return the arguments with which the files in ``deploy`` start the program."""
    unit = (DEPLOY / "sparsearch.service").read_text()
    docker = (DEPLOY / "Dockerfile").read_text()
    compose = (DEPLOY / "compose.yaml").read_text()
    (started,) = re.findall(r"^ExecStart=\S+/sparsearch (.+)$", unit, re.MULTILINE)
    (image,) = re.findall(r'^CMD \["serve", (.+)\]$', docker, re.MULTILINE)
    (composed,) = re.findall(r"^    command: \[serve, (.+)\]$", compose, re.MULTILINE)
    return {
        "systemd": shlex.split(started),
        "Dockerfile": ["serve", *re.findall(r'"([^"]+)"', image)],
        "compose": ["serve", *composed.split(", ")],
    }


@pytest.mark.parametrize("name", ["systemd", "Dockerfile", "compose"])
def test_what_is_deployed_is_a_command_that_there_is(name: str, tmp_path: Path) -> None:
    """All that is missing here is the index."""
    arguments = [a if a[0] == "-" else a.replace("/data", ".") for a in commands_deployed()[name]]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "no index in" in result.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = (DEPLOY / "sparsearch.service").read_text()
    copy = tmp_path / "sparsearch.service"
    # systemd wants the program to be where the unit says.
    copy.write_text(unit.replace("/opt/sparsearch/bin/sparsearch", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, check=False)
    assert done.stderr.decode() == ""
    assert done.returncode == 0
