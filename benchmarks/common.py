"""What the benchmark scripts share: where the data is, what the machine is, writing tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "docs" / "results"


def data_folder() -> Path:
    """Return the folder of BEIR-layout collections; exit with advice where there is none."""
    named = os.environ.get("SPARSEARCH_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist: set SPARSEARCH_DATA to a folder of BEIR-layout sets")
    return folder


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Return the facts a figure is worth nothing without."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.split(":")[1] for line in info.open() if line.startswith("model name")]
        processor = models[0].strip() if models else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "made": made(),
    }


def made() -> str:
    """Return the commit that is measured and the day, as versions say little before a release."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--exclude=*"]
    commit = ""
    with suppress(OSError, subprocess.CalledProcessError):  # no git, or no repository
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        commit = f"commit {done.stdout.strip()}, "
    return f"{commit}{date.today().isoformat()}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = [
        "| " + " | ".join(header) + " |",
        "|---" + "|---:" * (len(header) - 1) + "|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    ]
    return "\n".join(lines)


def write_results(
    name: str,
    title: str,
    body: str,
    facts: dict[str, Any],
    figures: Any,
    script: str = "",
    options: str = "",
) -> None:
    """Write ``docs/results/<name>.md`` and ``.json``; the script has that name if none is given."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    packages = ", ".join(f"{package} {version}" for package, version in facts["packages"].items())
    machine_line = (
        f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}; {packages}; "
        f"{facts['made']}."
    )
    command = f"python benchmarks/{script or name.replace('-', '_')}.py {options}".rstrip()
    text = f"# {title}\n\nMade by `{command}` on {machine_line}\n\n{body}\n"
    (RESULTS / f"{name}.md").write_text(text)
    report = json.dumps({"machine": facts, "figures": figures}, indent=1)
    (RESULTS / f"{name}.json").write_text(report + "\n")
    print(text)
