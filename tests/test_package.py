"""What `import sparsearch` gives and costs, and the error tree."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sparsearch
from sparsearch import errors

HEAVY = (
    "numba",
    "numpy",
    "torch",
    "scipy",
    "pyarrow",
    "ir_measures",
    "ir_datasets",
    "typer",
    "rich",
)


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = (
        f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert modules_after("import sparsearch").isdisjoint(HEAVY)


def test_looking_at_the_package_loads_nothing_heavy() -> None:
    assert modules_after("import sparsearch; dir(sparsearch); sparsearch.__version__").isdisjoint(
        HEAVY
    )


def test_vectors_and_errors_need_no_compiler() -> None:
    loaded = modules_after("from sparsearch import SparseVectors, Vocabulary, SparsearchError")
    assert "numpy" in loaded
    assert loaded.isdisjoint(("numba", "torch", "scipy", "pyarrow", "ir_measures"))


def test_no_name_needs_torch() -> None:
    loaded = modules_after("from sparsearch import *")
    assert loaded.isdisjoint(("torch", "pyarrow", "ir_measures", "ir_datasets", "typer"))


def test_exports_agree() -> None:
    assert set(sparsearch.__all__) == {*sparsearch._EXPORTS, "__version__"}
    assert list(sparsearch.__all__) == sorted(sparsearch.__all__)
    assert dir(sparsearch) == sorted(sparsearch.__all__)
    source = inspect.getsource(sparsearch)
    checked = source[source.index("if TYPE_CHECKING:") : source.index("__version__")]
    typed = {
        name.strip(): module
        for module, names in re.findall(r"from (\S+) import (.+)", checked)
        for name in names.split(",")
    }
    assert typed == sparsearch._EXPORTS


@pytest.mark.parametrize("name", sparsearch.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(sparsearch, name)
    if name != "__version__":
        module = import_module(sparsearch._EXPORTS[name])
        assert name in module.__all__
        assert value is getattr(module, name)
        assert value.__doc__


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Indx'"):
        sparsearch.Indx  # noqa: B018


ERRORS = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, errors.SparsearchError)
]

ARGUMENTS: dict[type, tuple[object, ...]] = {
    errors.InvalidVectorError: (3, "weight is NaN"),
    errors.InvalidDocumentError: (7, "an id", "it has no text"),
    errors.DuplicateIdError: (7, "an id", "its id is taken"),
    errors.FileFormatError: ("corpus.jsonl", 12, "not JSON"),
    errors.MissingExtraError: ("pyarrow", "parquet"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_survive_pickling(kind: type[errors.SparsearchError]) -> None:
    error = kind(*ARGUMENTS.get(kind, ("what is wrong",)))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    tree = errors.__doc__ or ""
    drawn: list[tuple[int, str, str]] = []
    for line in tree.splitlines():
        found = re.match(r"    ([│ ├└─]*)(\w+Error)(?: \((\w+)\))?", line)
        if found:
            drawn.append((len(found[1]) // 4, found[2], found[3] or ""))
    parents: list[str] = []
    for depth, name, builtin in drawn:
        kind = getattr(errors, name)
        expected = [parents[depth - 1]] if depth else ["Exception"]
        assert [base.__name__ for base in kind.__bases__] == expected + (
            [builtin] if builtin else []
        )
        parents[depth:] = [name]
    assert sorted(name for _, name, _ in drawn) == sorted(kind.__name__ for kind in ERRORS)
    assert set(errors.__all__) == {kind.__name__ for kind in ERRORS} | {"shorten"}


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_says_when_it_is_raised(kind: type[errors.SparsearchError]) -> None:
    assert kind.__doc__


def test_hostile_values_are_cut_in_messages() -> None:
    for value in ("x" * 10**6, ["x" * 10**6], {"a": "b" * 10**6}, 10**1000, "\ud800", "\n"):
        text = errors.shorten(value)
        assert len(text) <= 80
        assert "\n" not in text
        assert text.isprintable()


def _imported_names() -> set[tuple[str, str]]:
    """Every public name that a module of the package takes from another one, with that one."""
    folder = Path(sparsearch.__file__).parent
    return {
        (node.module, alias.name)
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sparsearch.")
        for alias in node.names
        if node.module is not None and not alias.name.startswith("_")
    }


def test_what_modules_take_from_each_other_is_exported() -> None:
    folder = Path(sparsearch.__file__).parent.parent
    missing = []
    for module, name in sorted(_imported_names()):
        path = folder.joinpath(*module.split("."))
        is_submodule = (path / f"{name}.py").exists()
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        exported = re.search(r"__all__ = \[(.*?)\]", source.read_text(), re.DOTALL)
        if not is_submodule and (exported is None or f'"{name}"' not in exported[1]):
            missing.append(f"{module}.{name}")
    assert missing == []
