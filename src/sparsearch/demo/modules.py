"""The docstrings of the standard library's modules, found without running their code.

Python source is parsed, not imported: some modules print, open a browser or warn when imported.
Only modules compiled from C are imported, since they have no source to read (and with them what
they import themselves).
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import BuiltinImporter, ExtensionFileLoader
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Definition", "Import", "Library", "Module"]

EXCLUDED = frozenset(
    {
        "antigravity",
        "distutils",
        "encodings",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "this",
    }
    | {"test", "tests", "turtledemo"}
    # their public faces are os and os.path
    | {"genericpath", "nt", "ntpath", "posix", "posixpath"}
    # deprecated or removed by 3.13: importing them warns
    | {"audioop", "crypt", "msilib", "nis", "ossaudiodev", "spwd"}
    # touches the terminal when imported
    | {"readline"}
)
"""Modules that are no use to search in, or cannot be looked into without side effects."""


ALIASES = {"os.path": os.path.__name__, "collections.abc": "_collections_abc"}
"""Modules that have their public name from an assignment, each with the one that is its source."""


@dataclass(frozen=True)
class Definition:
    """A documented class, function or method; `name` is ``"Timer"`` or ``"Timer.cancel"``."""

    name: str
    kind: str
    doc: str


@dataclass(frozen=True)
class Import:
    """``from module import name as public_name``; ``name`` may be ``"*"``."""

    module: str
    name: str
    public_name: str


@dataclass
class Module:
    """What one module documents.

    Attributes
    ----------
    name : str
        Dotted name.
    is_package : bool
        Whether it may have submodules.
    doc : str
        Its docstring, empty without one.
    definitions : dict of str to list of Definition
        Of each public class or function at the top, itself and its methods.
    imports : list of Import
        What it imports by name, in order.
    exports : frozenset of str or None
        ``__all__``, when it is a literal.
    """

    name: str
    is_package: bool
    doc: str = ""
    definitions: dict[str, list[Definition]] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)
    exports: frozenset[str] | None = None


class Library:
    """The modules of a standard library.

    Parameters
    ----------
    folder : Path
        Folder of its Python sources.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._modules: dict[str, Module | None] = {}

    def public_names(self) -> Iterator[str]:
        """Yield the dotted names of all public modules, a package before what is in it."""
        for name in sorted(sys.stdlib_module_names):
            if _is_public(name):
                yield name
                yield from (alias for alias in ALIASES if alias.startswith(name + "."))
                yield from self._submodules(name)

    def _submodules(self, package: str) -> Iterator[str]:
        folder = self.folder.joinpath(*package.split("."))
        if not (folder / "__init__.py").is_file():
            return
        for path in sorted(folder.iterdir()):
            if _is_public(path.stem):
                name = f"{package}.{path.stem}"
                if path.suffix == ".py":
                    yield name
                elif (path / "__init__.py").is_file():
                    yield name
                    yield from self._submodules(name)

    def module(self, name: str) -> Module | None:
        """Return a module; None if this interpreter does not have it."""
        if name not in self._modules:
            self._modules[name] = self._load(name)
        return self._modules[name]

    def _load(self, name: str) -> Module | None:
        path = self.folder.joinpath(*ALIASES.get(name, name).split("."))
        if path.with_suffix(".py").is_file():
            return _parse(name, path.with_suffix(".py"), is_package=False)
        if (path / "__init__.py").is_file():
            return _parse(name, path / "__init__.py", is_package=True)
        return _inspect(name) if name in sys.stdlib_module_names else None


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in EXCLUDED


# ---- Python source


def _parse(name: str, path: Path, *, is_package: bool) -> Module:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    module = Module(name, is_package, doc=ast.get_docstring(tree) or "")
    for node in _statements(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = list(_definitions(node))
            if documented and not node.name.startswith("_"):
                module.definitions.setdefault(node.name, documented)
        elif isinstance(node, ast.ImportFrom):
            module.imports += _imports(module, node)
        elif isinstance(node, ast.Assign) and "__all__" in map(_target, node.targets):
            module.exports = _literal_names(node.value)
    return module


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those within ``if`` and ``try`` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)
            yield from _statements(node.orelse)


def _definitions(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[Definition]:
    doc = ast.get_docstring(node) or ""
    if not isinstance(node, ast.ClassDef):
        if doc:
            yield Definition(node.name, "function", doc)
        return
    methods = [
        (member.name, ast.get_docstring(member) or "")
        for member in _statements(node.body)
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    # How to make an instance belongs to the class.
    made = next((text for name, text in methods if name == "__init__"), "")
    doc = "\n\n".join(filter(None, (doc, made)))
    if doc:
        yield Definition(node.name, "class", doc)
    for name, text in methods:
        if text and not name.startswith("_"):
            yield Definition(f"{node.name}.{name}", "method", text)


def _imports(module: Module, node: ast.ImportFrom) -> Iterator[Import]:
    source = node.module or ""
    if node.level:
        parents = module.name.split(".")
        parents = parents[: len(parents) - node.level + module.is_package]
        source = ".".join([*parents, source]).rstrip(".")
    for alias in node.names:
        yield Import(source, alias.name, alias.asname or alias.name)


def _target(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _literal_names(node: ast.expr) -> frozenset[str] | None:
    try:
        return frozenset(ast.literal_eval(node))
    except (TypeError, ValueError):
        return None


# ---- modules compiled from C


def _inspect(name: str) -> Module | None:
    spec = find_spec(name)
    if spec is None or not _is_compiled(spec.loader):
        return None
    try:
        compiled = import_module(name)
    except ImportError:  # a library it needs is not on this machine
        return None
    module = Module(name, is_package=False, doc=inspect.getdoc(compiled) or "")
    for public_name in sorted(vars(compiled)):
        documented = list(_compiled_definitions(public_name, vars(compiled)[public_name]))
        if documented and not public_name.startswith("_"):
            module.definitions[public_name] = documented
    return module


def _is_compiled(loader: object) -> bool:
    return loader is BuiltinImporter or isinstance(loader, ExtensionFileLoader)


def _compiled_definitions(name: str, value: object) -> Iterator[Definition]:
    # What is a Python function here, or a hook, was put there by a program.
    if inspect.isfunction(value) or name.endswith("hook"):
        return
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return
    doc = _own_doc(value)
    if doc:
        yield Definition(name, "class" if inspect.isclass(value) else "function", doc)
    if inspect.isclass(value):
        for member_name, member in sorted(vars(value).items(), key=lambda item: item[0]):
            is_method = inspect.isroutine(member) or inspect.isdatadescriptor(member)
            doc = _own_doc(member)
            if doc and is_method and not member_name.startswith("_"):
                yield Definition(f"{name}.{member_name}", "method", doc)


def _own_doc(value: object) -> str:
    """Return the docstring of an object itself, none inherited."""
    doc = getattr(value, "__doc__", None)
    return inspect.cleandoc(doc) if isinstance(doc, str) else ""
