"""Requests made from the service's own OpenAPI description, valid and invalid, by schemathesis.

Run as a script with a number of cases an operation: ``python tests/serve/schema_cases.py 500``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from killing import make_index
from serving import Served

from sparsearch.serve import KeyFile, Limits

HERE = Path(__file__).resolve().parent

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
)
"""All but: `positive_data_acceptance`, since a schema cannot say what fits one collection and not
another (vectors, fields of filters); `unsupported_method`, which expects 405 for made-up methods;
`allow_header_conformance`, which wants the methods of two routes of one path together."""


def run_cases(folder: Path, cases: int) -> tuple[int, str]:
    """Serve an index and send cases to each operation; return exit code and report."""
    keys = KeyFile(folder / "keys.json")
    _, token = keys.create("schemathesis", "write")
    make_index(folder / "papers")
    arguments = ["--checks", ",".join(_CHECKS), "-n", str(cases), "--no-color"]
    arguments += ["-H", f"Authorization: Bearer {token}", "--continue-on-failure"]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": path}
    # Some of the checks show wrong keys, over and over.
    limits = Limits(failures=1_000_000)
    with Served(folder / "papers", keys=keys.path, limits=limits) as server:
        url = f"{server.url}/openapi.json"
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", url, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            check=False,
        )
    return done.returncode, done.stdout.decode()


def main() -> None:
    """Send as many cases as told and show the report."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder:
        code, report = run_cases(Path(folder), cases)
    print(report)
    sys.exit(code)


if __name__ == "__main__":
    main()
