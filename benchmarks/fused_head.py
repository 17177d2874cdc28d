"""The fused vocabulary head against the plain one: time and memory of a training step.

Only the head and what is after it: from hidden states to sparse vectors and back, as in training.
Time is CPU time, which other work on the machine changes little.
Each setting runs in a process of its own, whose peak memory is that of this setting.

    python benchmarks/fused_head.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from common import machine, markdown_table, write_results

REPEATS = 2


@dataclass(frozen=True)
class Setting:
    """A head: texts, tokens, hidden size, vocabulary, and how many terms of a text are on."""

    batch: int
    length: int
    size: int
    vocabulary: int
    active: int


SETTINGS = (
    Setting(16, 128, 384, 30_522, 30_522),  # before anything is learned: all terms are on
    Setting(16, 128, 384, 30_522, 200),
    Setting(32, 256, 768, 30_522, 200),
    Setting(8, 128, 768, 250_002, 200),
)
HEADS = ("plain", "fused")


def main() -> None:
    """Measure all settings and write docs/results/fused-head.md."""
    figures = []
    for setting in SETTINGS:
        for head in HEADS:
            request = json.dumps({"head": head, "setting": asdict(setting)})
            command = [sys.executable, __file__, request]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures.append(json.loads(done.stdout))
            print(figures[-1], file=sys.stderr)
    table = markdown_table(
        [
            "texts x tokens x size x vocabulary",
            "terms on",
            "head",
            "CPU seconds a step",
            "memory, MB",
        ],
        _rows(figures),
    )
    body = (
        "A training step of the vocabulary head with max-pooling and log(1 + relu), forward and "
        f"backward, float32; CPU time over all cores, the best of {REPEATS}. Memory is the peak of "
        "the process above what it had with weights and hidden states loaded. Logits of all "
        "tokens, which only the plain head makes, are texts x tokens x vocabulary numbers of 4 "
        "bytes, several times over.\n\n" + table
    )
    facts = machine(["torch", "sentence-transformers"])
    write_results("fused-head", "Fused vocabulary head", body, facts, figures)


def _rows(figures: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for figure in figures:
        setting = Setting(**figure["setting"])
        shape = f"{setting.batch} x {setting.length} x {setting.size} x {setting.vocabulary:,}"
        seconds, memory = f"{figure['seconds']:.2f}", f"{figure['megabytes']:,.0f}"
        yield shape, f"{setting.active:,}", figure["head"], seconds, memory


def measure(head: str, setting: Setting) -> dict[str, Any]:
    """Return seconds and megabytes of one head."""
    import torch
    from torch.nn import functional

    from sparsearch.encoders.torch_activations import ELEMENTWISE
    from sparsearch.training.fused import max_logits

    torch.manual_seed(0)
    activation = ELEMENTWISE["log1p"]
    shape = setting.batch, setting.length, setting.size
    hidden = torch.randn(shape).requires_grad_()
    weight = (torch.randn(setting.vocabulary, setting.size) / setting.size**0.5).requires_grad_()
    mask = torch.ones(shape[:2], dtype=torch.long)
    # Terms that are on by a bias; the maximum over tokens of standard normal logits is above 0.
    bias = torch.full((setting.vocabulary,), -100.0)
    bias[: setting.active] = 1.0
    bias.requires_grad_()

    def plain() -> torch.Tensor:
        logits = functional.linear(hidden, weight, bias)
        return (activation(logits) * mask[..., None]).amax(1)

    def fused() -> torch.Tensor:
        return activation(max_logits(hidden, weight, bias, mask))

    run: Callable[[], torch.Tensor] = {"plain": plain, "fused": fused}[head]
    weight.grad, hidden.grad = torch.zeros_like(weight), torch.zeros_like(hidden)
    before = _peak()
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        run().sum().backward()
        seconds.append(time.process_time() - started)
    megabytes = (_peak() - before) / 1e6
    return {
        "head": head,
        "setting": asdict(setting),
        "seconds": min(seconds),
        "megabytes": megabytes,
    }


def _peak() -> float:
    """Return the largest resident size of this process so far, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asked = json.loads(sys.argv[1])
        print(json.dumps(measure(asked["head"], Setting(**asked["setting"]))))
    else:
        main()
