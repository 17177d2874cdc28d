"""Engines for sparse vectors side by side, ours among them, on the same vectors in one run.

Every engine is tried with a grid of indexes and of searches (see peers/). Results are kept as they
come, so that a run that was interrupted goes on where it was, and engines can be added to it later:

    python benchmarks/engines.py --dataset splade-1m --engines ours,seismic,kannolo --quick

It writes docs/results/engines-<dataset>.json, .md and .png. `pip install -r
benchmarks/requirements.txt` brings the other engines; those that are missing are left out. After a
change of an engine or of its grid, `--again` measures it anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import engines_report
from common import RESULTS, machine
from engines_data import Dataset, open_dataset
from engines_worker import Job
from peers import ENGINES, load_engine
from peers.base import Case

WORKER = Path(__file__).with_name("engines_worker.py")
ONE_THREAD = (
    "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip


class StepFailedError(Exception):
    """A process did not give a result; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What a process may use: seconds to build, about seconds to measure a point, and gigabytes."""

    build: float
    point: float
    memory: float


@dataclass(frozen=True)
class Comparison:
    """The engines to compare, and where everything is."""

    dataset: Dataset
    limits: Limits
    output: Path
    indexes: Path
    keep_indexes: bool

    @property
    def stem(self) -> Path:
        """The path of the results, without a suffix."""
        return self.output / f"engines-{self.dataset.name}"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    cache = Path(tempfile.gettempdir()) / "sparsearch-engines"
    add = parser.add_argument
    add("--dataset", default="splade-100k", help="as splade-1m, or a folder of BigANN .csr files")
    add("--queries", type=int, default=1000, help="how many queries at most")
    add("--engines", default=",".join(ENGINES), help=f"some of {', '.join(ENGINES)}")
    add("--quick", action="store_true", help="few indexes of each engine instead of a full grid")
    add("--again", action="store_true", help="forget the results of these engines and rerun them")
    add("--keep-indexes", action="store_true", help="keep built indexes in the cache; use old ones")
    add("--cache", type=Path, default=cache, help="where vectors and indexes are kept")
    add("--output", type=Path, default=RESULTS, help="where results go")
    add("--build-limit", type=float, default=900, help="seconds to build one index")
    add("--point-seconds", type=float, default=30, help="about so many seconds to measure a point")
    add("--memory-limit", type=float, default=16, help="gigabytes one process may allocate")
    return parser.parse_args(arguments)


def given(options: argparse.Namespace) -> str:
    """Return the options that results depend on, but for those left at their defaults."""
    left_out = {"again", "keep_indexes", "cache", "output"}
    defaults = vars(parse_arguments([]))
    chosen = {
        name.replace("_", "-"): value
        for name, value in vars(options).items()
        if name in {"dataset", "engines"} or (name not in left_out and value != defaults[name])
    }
    return " ".join(
        f"--{name}" if value is True else f"--{name} {value}" for name, value in chosen.items()
    )


def main() -> None:
    options = parse_arguments(sys.argv[1:])
    names = options.engines.split(",")
    unknown = sorted(set(names) - set(ENGINES))
    if unknown:
        sys.exit(f"unknown engines {', '.join(unknown)}: there are {', '.join(ENGINES)}")
    dataset = open_dataset(options.dataset, options.cache, options.queries)
    options.output.mkdir(parents=True, exist_ok=True)
    limits = Limits(options.build_limit, options.point_seconds, options.memory_limit)
    indexes = options.cache / "indexes" / dataset.folder.parent.name
    comparison = Comparison(dataset, limits, options.output, indexes, options.keep_indexes)
    report = open_report(comparison, names if options.again else [])
    for name in names:
        compare(comparison, report, name, options.quick)
    write_report(comparison, report, f"python benchmarks/engines.py {given(options)}")
    print(f"wrote {comparison.stem}.md, .json and .png")


def open_report(comparison: Comparison, forgotten: list[str]) -> dict[str, Any]:
    """Return the results so far, without those of some engines."""
    queries, collection = comparison.dataset.queries(), comparison.dataset.collection()
    facts = {
        "name": comparison.dataset.name,
        **asdict(collection),
        "queries": len(queries),
        "query_terms": queries.nnz / max(1, len(queries)),
    }
    report: dict[str, Any] = {"engines": {}}
    path = comparison.stem.with_suffix(".json")
    if path.exists():
        report = json.loads(path.read_text())
        if report["dataset"] != facts:
            sys.exit(f"{path} is about other vectors ({report['dataset']}): move it away")
    for name in forgotten:
        report["engines"].pop(name, None)
    return {**report, "machine": machine(["numpy"]), "dataset": facts, "left_out": {}}


def compare(comparison: Comparison, report: dict[str, Any], name: str, quick: bool) -> None:
    """Measure what is not yet known of an engine."""
    try:
        engine = load_engine(name)
    except ImportError as error:
        print(f"{name}: left out, {error}", flush=True)
        report["left_out"][name] = f"not installed ({error})"
        return
    versions = {package: metadata.version(package) for package in engine.packages}
    known = report["engines"].setdefault(name, {"versions": versions, "cases": []})
    if known["versions"] != versions:
        sys.exit(f"{name} was measured as {known['versions']}, now {versions}: use --again")
    cases = engine.cases(comparison.dataset.collection(), quick)
    for number, case in enumerate(cases):
        shown = engines_report.shown(dict(case.build)) or "its only index"
        print(f"{name}, {number + 1} of {len(cases)}: {shown}", flush=True)
        if any(old["build"] == dict(case.build) for old in known["cases"]):
            print("  known", flush=True)
            continue
        known["cases"].append(run_case(comparison, name, case))
        save(comparison, report)


def run_case(comparison: Comparison, name: str, case: Case) -> dict[str, Any]:
    """Build an index and measure it, each in a process of its own."""
    result: dict[str, Any] = {
        "build": dict(case.build),
        "exact": [dict(parameters) for parameters in case.exact],
        "built": None,
        "serving_mb": None,
        "points": [],
        "failure": None,
    }
    folder = comparison.indexes / name / ("-".join(map(str, case.build.values())) or "only")
    try:
        result["built"] = build(comparison, name, case, folder)
        print("  built in {seconds:.1f} s, {disk_mb:.0f} MB".format(**result["built"]), flush=True)
        searches = [dict(parameters) for parameters in (*case.searches, *case.exact)]
        job = make_job(comparison, name, case, folder, searches)
        # Measuring ends by itself unless an engine hangs.
        measured = run_worker(job, limit=600 + 4 * comparison.limits.point * len(searches))
        result.update({key: measured[key] for key in ("serving_mb", "points")})
    except StepFailedError as error:
        print(f"  failed: {error}", flush=True)
        result["failure"] = str(error)
    finally:
        if not comparison.keep_indexes:
            shutil.rmtree(folder, ignore_errors=True)
    return result


def build(comparison: Comparison, name: str, case: Case, folder: Path) -> dict[str, Any]:
    """Build an index, unless there is one."""
    facts = folder.with_name(folder.name + ".json")
    if comparison.keep_indexes and facts.exists():
        known: dict[str, Any] = json.loads(facts.read_text())
        return known
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    built = run_worker(make_job(comparison, name, case, folder, []), comparison.limits.build)
    if comparison.keep_indexes:
        facts.write_text(json.dumps(built))
    return built


def make_job(
    comparison: Comparison, name: str, case: Case, folder: Path, searches: list[dict[str, Any]]
) -> Job:
    return Job(
        engine=name,
        dataset=str(comparison.dataset.folder),
        index=str(folder),
        build=dict(case.build),
        searches=searches,
        seconds=comparison.limits.point,
        memory=comparison.limits.memory,
    )


def run_worker(job: Job, limit: float) -> dict[str, Any]:
    """Run a process; raise StepFailedError if it crashes, or is not done in so many seconds."""
    environment = dict(os.environ)
    if job.searches:
        environment.update(dict.fromkeys(ONE_THREAD, "1"))
    with tempfile.TemporaryDirectory() as scratch:
        given, result, log = (Path(scratch) / name for name in ("job.json", "result.json", "log"))
        given.write_text(json.dumps(asdict(job)))
        command = [sys.executable, str(WORKER), str(given), str(result)]
        with log.open("w") as errors:
            # A group of its own, so that servers an engine starts are stopped as well.
            process = subprocess.Popen(
                command, env=environment, stderr=errors, start_new_session=True
            )
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                raise StepFailedError(f"not done in {limit:.0f} s") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if process.returncode or not result.exists():
            said = log.read_text(errors="replace").strip().splitlines()
            reason = said[-1][:300] if said else "it said nothing"
            raise StepFailedError(f"ended with status {process.returncode}: {reason}")
        outcome: dict[str, Any] = json.loads(result.read_text())
        return outcome


def save(comparison: Comparison, report: dict[str, Any]) -> None:
    path = comparison.stem.with_suffix(".json")
    partial = path.with_suffix(".json.part")
    partial.write_text(json.dumps(report, indent=1) + "\n")
    partial.replace(path)


def write_report(comparison: Comparison, report: dict[str, Any], command: str) -> None:
    """Write the numbers, the tables and the plot."""
    save(comparison, report)
    text = engines_report.markdown(report, command)
    comparison.stem.with_suffix(".md").write_text(text)
    try:
        engines_report.plot(report, comparison.stem.with_suffix(".png"))
    except ImportError:
        print("no plot: matplotlib is not installed", flush=True)


if __name__ == "__main__":
    main()
