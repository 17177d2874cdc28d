"""The verbs as one program, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sparsearch import __version__
from sparsearch.cli import (
    adapt,
    bench,
    compare,
    delete,
    demo,
    encode,
    evaluate,
    explain,
    export,
    export_onnx,
    import_,
    index,
    info,
    keys,
    optimize,
    relocate,
    search,
    serve,
    snapshot,
    train,
    tune,
    verify,
    warmup,
)
from sparsearch.cli._console import note
from sparsearch.errors import SparsearchError

__all__ = ["GROUPS", "VERBS", "app"]

VERBS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "demo": (demo.demo, demo.EXAMPLES),
    "index": (index.index, index.EXAMPLES),
    "search": (search.search, search.EXAMPLES),
    "tune": (tune.tune, tune.EXAMPLES),
    "bench": (bench.bench, bench.EXAMPLES),
    "explain": (explain.explain, explain.EXAMPLES),
    "evaluate": (evaluate.evaluate, evaluate.EXAMPLES),
    "compare": (compare.compare, compare.EXAMPLES),
    "train": (train.train, train.EXAMPLES),
    "adapt": (adapt.adapt, adapt.EXAMPLES),
    "info": (info.info, info.EXAMPLES),
    "verify": (verify.verify, verify.EXAMPLES),
    "optimize": (optimize.optimize, optimize.EXAMPLES),
    "snapshot": (snapshot.snapshot, snapshot.EXAMPLES),
    "relocate": (relocate.relocate, relocate.EXAMPLES),
    "delete": (delete.delete, delete.EXAMPLES),
    "export": (export.export, export.EXAMPLES),
    "encode": (encode.encode, encode.EXAMPLES),
    "export-onnx": (export_onnx.export_onnx, export_onnx.EXAMPLES),
    "import": (import_.import_, import_.EXAMPLES),
    "warmup": (warmup.warmup, warmup.EXAMPLES),
    "serve": (serve.serve, serve.EXAMPLES),
}
"""Function and examples of each verb, in the order of the help."""

GROUPS = {"keys": (keys.ACTIONS, "API keys of the service.", keys.EXAMPLES)}
"""Verbs with actions of their own: these, what they are about, and examples."""


class _Verbs(TyperGroup):
    """The verbs; an error of theirs is one line on standard error, never a traceback."""

    def invoke(self, ctx: Any) -> Any:  # click's Context: where it lives depends on Typer
        with _reported():
            return super().invoke(ctx)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (``| head``) has seen enough; the flush when Python ends must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except SparsearchError as error:
        note(f"error: {error}")
        raise typer.Exit(1) from error
    except OSError as error:
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        note(f"error: {name}{error.strerror or error}")
        raise typer.Exit(1) from error
    except MemoryError as error:
        note("error: out of memory")
        raise typer.Exit(1) from error
    except KeyboardInterrupt as stop:
        note(f"stopped: {stop}" if str(stop) else "stopped")
        raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Verbs,
    help="Learned sparse retrieval: index, search, explain and evaluate.",
    no_args_is_help=True,
    # Plain help: readable in a pipe, on any width, and in the reference made from it.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sparsearch {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Learned sparse retrieval: index, search, explain and evaluate."""


def _epilog(examples: tuple[str, ...]) -> str:
    lines = "\n".join(f"  {example}" for example in examples)
    # \b keeps click from joining the lines.
    return f"\b\nExamples:\n{lines}"


for _name, (_function, _examples) in VERBS.items():
    app.command(_name, epilog=_epilog(_examples))(_function)

for _name, (_actions, _about, _examples) in GROUPS.items():
    _group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for _action, _function in _actions.items():
        _group.command(_action)(_function)
    app.add_typer(_group, name=_name, help=_about, epilog=_epilog(_examples))
