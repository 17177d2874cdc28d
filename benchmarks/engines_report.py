"""The results of a comparison as tables and a plot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import markdown_table

OURS = "ours"
TARGETS = (0.90, 0.95, 0.98, 0.99)
STEPS = (0.80, 0.85, 0.90, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Entry:
    """One measured point, and the index it was measured on."""

    engine: str
    case: dict[str, Any]
    point: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether the search promises the best documents."""
        return self.point["parameters"] in self.case["exact"]

    def settings(self) -> str:
        """Return all parameters, those of the index first."""
        return f"{shown(self.case['build'])}; {shown(self.point['parameters'])}".strip("; ")


def microseconds(time: float) -> str:
    """Return a time with three digits at least."""
    return f"{time:.{0 if time >= 100 else 1}f}"


def shown(parameters: dict[str, Any]) -> str:
    """Return parameters in a line."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def entries(report: dict[str, Any]) -> list[Entry]:
    """Return every point of every engine."""
    return [
        Entry(name, case, point)
        for name, engine in report["engines"].items()
        for case in engine["cases"]
        for point in case["points"]
    ]


def fastest(found: list[Entry], recall: float) -> dict[str, Entry]:
    """Return, for each engine that reaches a recall, its point of the least median latency."""
    best: dict[str, Entry] = {}
    for entry in sorted(found, key=lambda entry: float(entry.point["p50"])):
        if entry.point["recall_10"] >= recall:
            best.setdefault(entry.engine, entry)
    return best


def front(found: list[Entry]) -> list[Entry]:
    """Return the points no other of the same engine beats in recall@10 and median latency."""
    kept: list[Entry] = []
    for entry in sorted(found, key=lambda e: (float(e.point["p50"]), -e.point["recall_10"])):
        if not kept or entry.point["recall_10"] > kept[-1].point["recall_10"]:
            kept.append(entry)
    return kept


def by_engine(found: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the points of each engine."""
    for name in dict.fromkeys(entry.engine for entry in found):
        yield name, [entry for entry in found if entry.engine == name]


def markdown(report: dict[str, Any], command: str) -> str:
    """Return the whole report."""
    found = entries(report)
    facts, dataset = report["machine"], report["dataset"]
    versions = [
        f"{package} {version}"
        for engine in report["engines"].values()
        for package, version in engine["versions"].items()
    ]
    title = (
        f"# Engines on {dataset['name']}\n\nMade by `{command}` on {facts['processor']}, "
        f"{facts['cores']} cores, Python {facts['python']}; {', '.join(dict.fromkeys(versions))}; "
        f"{facts['made']}."
    )
    method = (
        f"{dataset['documents']:,} documents of {dataset['postings'] / dataset['documents']:.1f} "
        f"terms, {dataset['queries']:,} queries of {dataset['query_terms']:.1f} terms. Each index "
        "is built in a process of its own with all cores and searched in another, opened from its "
        "folder. Latencies are of single calls on one thread, the best of three passes over all "
        "queries after one to warm up; what turns queries into an engine's input, and its output "
        "into numbers, is not timed. Recall is against exact search in double precision, ties with "
        "the last place allowed. Where an engine is slow, fewer queries are measured."
    )
    parts = [title, method]
    if found:
        parts += [
            f"![recall@10 against median latency](engines-{dataset['name']}.png)",
            "## Median latency at a recall@10\n\n" + target_table(found),
            "## Exact search\n\n" + exact_table(found),
            "## The fastest at more recalls\n\n" + front_table(found),
        ]
    parts.append("## Indexes\n\n" + index_table(report))
    return "\n\n".join([*parts, failures(report)]).rstrip() + "\n"


def target_table(found: list[Entry]) -> str:
    """Return who is how fast at which recall, and how we compare with the best peer."""
    names = [name for name, _ in by_engine(found)]
    rows: list[list[str]] = []
    for target in TARGETS:
        best = fastest(found, target)
        row = [f"at least {target:.2f}"]
        for name in names:
            point = best[name].point if name in best else None
            times = [microseconds(point[key]) for key in ("p50", "mean")] if point else []
            row.append("{} ({})".format(*times) if times else "not reached")
        rows.append([*row, ratio(best)])
    header = [f"{name} (µs)" for name in names]
    note = "The median and, in brackets, the mean; below 1 in the last column, ours is faster."
    return note + "\n\n" + markdown_table(["recall@10", *header, "ours / best peer"], rows)


def ratio(best: dict[str, Entry]) -> str:
    """Return our median latency over that of the fastest peer."""
    peers = [entry for name, entry in best.items() if name != OURS]
    if OURS not in best or not peers:
        return ""
    peer = min(peers, key=lambda entry: float(entry.point["p50"]))
    return f"{best[OURS].point['p50'] / peer.point['p50']:.2f} ({peer.engine})"


def exact_table(found: list[Entry]) -> str:
    """Return the searches that promise the best documents."""
    return points_table([entry for entry in found if entry.exact])


def front_table(found: list[Entry]) -> str:
    """Return the fastest point of each engine at more recalls, each once."""
    chosen: list[Entry] = []
    for name, own in by_engine(found):
        steps = [best[name] for step in STEPS if (best := fastest(own, step))]
        chosen += [entry for place, entry in enumerate(steps) if entry not in steps[:place]]
    return points_table(chosen)


def points_table(found: list[Entry]) -> str:
    """Return a row a point."""
    header = ["engine", "settings", "recall@10", "recall@100", "p50 (µs)", "p99 (µs)", "mean (µs)",
              "p50, k=100 (µs)", "queries/s", "2 threads", "queries", "load"]  # fmt: skip
    rows = []
    for entry in found:
        point = entry.point
        times = [microseconds(point[key]) for key in ("p50", "p99", "mean", "p50_deep")]
        rates = [f"{point['qps'][n]:.0f}" if n in point["qps"] else "" for n in ("1", "2")]
        recalls = [f"{point[name]:.4f}" for name in ("recall_10", "recall_100")]
        ends = [str(point["queries"]), f"{point['load']:.1f}"]
        rows.append([entry.engine, entry.settings(), *recalls, *times, *rates, *ends])
    return markdown_table(header, rows)


def index_table(report: dict[str, Any]) -> str:
    """Return what each index took."""
    header = ["engine", "index", "build (s)", "peak (MB)", "disk (MB)", "serving (MB)",
              "best recall@10", "load"]  # fmt: skip
    rows = []
    for name, engine in report["engines"].items():
        for case in engine["cases"]:
            built, points = case["built"], case["points"]
            if not built:
                continue
            sizes = [f"{built[key]:.0f}" for key in ("seconds", "peak_mb", "disk_mb")]
            serving = f"{case['serving_mb']:.0f}" if points else ""
            recall = f"{max(p['recall_10'] for p in points):.4f}" if points else ""
            load = f"{built['load']:.1f}"
            rows.append([name, shown(case["build"]), *sizes, serving, recall, load])
    note = (
        "Peaks are of resident memory, the memory-mapped input and the interpreter included; "
        "serving is the peak of the process that searches. Ours, Qdrant and Milvus store ids and "
        "take later additions; the others hold the vectors of one moment."
    )
    return note + "\n\n" + markdown_table(header, rows)


def failures(report: dict[str, Any]) -> str:
    """Return what could not be measured, and why."""
    lines = [
        f"- {name}, {shown(case['build']) or 'its only index'}: {case['failure']}"
        for name, engine in report["engines"].items()
        for case in engine["cases"]
        if case["failure"]
    ]
    lines += [f"- {name}: {reason}" for name, reason in report["left_out"].items()]
    return "## Not measured\n\n" + "\n".join(lines) if lines else ""


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw recall@10 against median latency: all points, and each engine's front as a line."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    for number, (name, own) in enumerate(by_engine(entries(report))):
        colour, best = f"C{number}", front(own)
        axes.plot(*coordinates(own), ".", color=colour, alpha=0.25, markersize=4)
        axes.plot(*coordinates(best), "o-", color=colour, markersize=4, label=name)
    axes.set(xlabel="recall@10", ylabel="median latency, one thread (µs)", yscale="log")
    axes.set_xlim(0.8, 1.002)
    axes.set_title(f"{report['dataset']['name']}: lower and further right is better")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def coordinates(found: list[Entry]) -> tuple[list[float], list[float]]:
    """Return recalls and latencies."""
    recalls = [float(entry.point["recall_10"]) for entry in found]
    return recalls, [float(entry.point["p50"]) for entry in found]
