"""``sparsearch warmup``: compiling now what would be compiled on first use."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sparsearch.cli._opening import open_index
from sparsearch.cli._progress import steps

EXAMPLES = ("sparsearch warmup", "sparsearch warmup papers")


def warmup(
    index: Annotated[
        Path | None,
        typer.Argument(
            metavar="INDEX",
            help="Compile only what this index needs: about a third of all.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compile kernels now, so that nothing waits for it later.

    Kernels are otherwise compiled when first used, and kept on disk. This makes small indexes in a
    temporary folder and searches them in every way: of use when building a container image, or
    before measuring. Run again, it finds everything compiled and is done soon.
    """
    from sparsearch.index import Index, warm_up
    from sparsearch.kernels.exact import search_segment

    started = time.perf_counter()
    with ExitStack() as stack:
        target: Index | None = None
        if index is not None:
            target = stack.enter_context(open_index(index))
        warm_up(stack.enter_context(steps("compiling")), target)
    what = "all kernels are compiled" if index is None else f"kernels for {index} are compiled"
    print(f"{what}, in {time.perf_counter() - started:.1f} s")
    print(f"kept in {search_segment.stats.cache_path}")
