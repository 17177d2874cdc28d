"""``sparsearch warmup``: compiling now what would be compiled on first use."""

from __future__ import annotations

import time

from sparsearch.cli._progress import steps

EXAMPLES = ("sparsearch warmup",)


def warmup() -> None:
    """Compile all kernels now, so that nothing waits for it later.

    Kernels are otherwise compiled when first used, and kept on disk. This makes small indexes in a
    temporary folder and searches them in every way: of use when building a container image, or
    before measuring. Run again, it finds everything compiled and is done soon.
    """
    from sparsearch.index import warm_up
    from sparsearch.kernels.exact import search_segment

    started = time.perf_counter()
    with steps("compiling") as done:
        warm_up(done)
    print(f"all kernels are compiled, in {time.perf_counter() - started:.1f} s")
    print(f"kept in {search_segment.stats.cache_path}")
