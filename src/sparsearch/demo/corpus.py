"""A corpus that every Python brings along: the docstrings of its standard library."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from sparsearch.demo.modules import Definition, Import, Library, Module
from sparsearch.errors import NotFoundError

__all__ = ["standard_library_documents"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_BEHIND_OS = frozenset({"genericpath", "nt", "ntpath", "posix", "posixpath"})


def standard_library_documents() -> Iterator[dict[str, object]]:
    """Yield the docstrings of the running Python's standard library as documents.

    A document is a module, a public class or function, or a public method, that has a docstring.
    Its ``id`` is the dotted name under which users know it: what a module takes over from a
    private module, or a package from its own modules, belongs to the one that takes it over.
    The ``title`` is that name, followed by the words it is made of; the ``text`` is the docstring.
    Metadata: ``kind`` ("module", "class", "function" or "method"), ``module`` and ``package``
    (its first part).

    The order is always the same and ids are unique. Source is parsed, not run. The documents
    differ between versions and builds of Python.

    Raises
    ------
    NotFoundError
        When this Python came without the sources of its library.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    if not (folder / "os.py").is_file():
        reason = f"no Python sources of the standard library in {folder}"
        advice = "the demo is made from their docstrings: run it with a Python that includes them"
        raise NotFoundError(f"{reason}; {advice}")
    return _documents(Library(folder))


def _documents(library: Library) -> Iterator[dict[str, object]]:
    ids: set[str] = set()
    taken_over: set[tuple[str, str]] = set()
    for name in library.public_names():
        module = library.module(name)
        if module is None:
            continue
        for document in _module_documents(library, module, taken_over):
            if document["id"] not in ids:
                ids.add(str(document["id"]))
                yield document


def _module_documents(
    library: Library, module: Module, taken_over: set[tuple[str, str]]
) -> Iterator[dict[str, object]]:
    if module.doc:
        yield _document(module.name, Definition("", "module", module.doc))
    for name, definitions in module.definitions.items():
        if (module.name, name) not in taken_over:
            for definition in definitions:
                yield _document(module.name, definition)
    for taken in _taken_over(library, module):
        origin = library.module(taken.module)
        if origin is not None and (module.name, taken.public_name) not in taken_over:
            taken_over.add((origin.name, taken.name))
            for definition in origin.definitions.get(taken.name, ()):
                tail = definition.name[len(taken.name) :]
                renamed = Definition(taken.public_name + tail, definition.kind, definition.doc)
                yield _document(module.name, renamed)


def _taken_over(library: Library, module: Module) -> Iterator[Import]:
    """Yield what users of a module find in it though another one, not for them, defines it."""
    for found in module.imports:
        private = any(part.startswith("_") for part in found.module.split("."))
        own = module.is_package and found.module.startswith(module.name + ".")
        if not (private or own or found.module in _BEHIND_OS):
            continue
        origin = library.module(found.module)
        if found.name != "*":
            if not found.public_name.startswith("_"):
                yield found
        elif origin is not None:
            for name in origin.definitions:
                if origin.exports is None or name in origin.exports:
                    yield Import(found.module, name, name)


def _document(module: str, definition: Definition) -> dict[str, object]:
    name = f"{module}.{definition.name}".rstrip(".")
    words = " ".join(_WORD.findall(definition.name)).lower()
    in_words = f": {words}" if words and words != definition.name.lower() else ""
    return {
        "id": name,
        "title": name + in_words,
        "text": definition.doc,
        "kind": definition.kind,
        "module": module,
        "package": module.partition(".")[0],
    }
