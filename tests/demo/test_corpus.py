from __future__ import annotations

import json
import subprocess
import sys
import sysconfig

import pytest

from sparsearch.demo.corpus import standard_library_documents
from sparsearch.errors import NotFoundError


@pytest.fixture(scope="module")
def documents():
    return list(standard_library_documents())


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Make a small folder the standard library; returns its documents by id."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))

    def write(files: dict[str, str]):
        for name, source in {"os.py": "", **files}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(source)
        return {document["id"]: document for document in standard_library_documents()}

    return write


def test_several_thousand_documents_with_unique_ids(documents):
    assert 5000 < len(documents) < 15000
    assert len({document["id"] for document in documents}) == len(documents)


def test_documents_are_complete(documents):
    for document in documents:
        assert set(document) == {"id", "title", "text", "kind", "module", "package"}
        assert all(isinstance(value, str) and value.strip() for value in document.values())
        assert document["id"].startswith(document["module"])
        assert document["title"].startswith(document["id"])
        assert document["module"].split(".")[0] == document["package"]
        assert not any(part.startswith("_") for part in document["id"].split("."))
    assert {one["kind"] for one in documents} == {"module", "class", "function", "method"}
    json.dumps(documents, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "name",
    [
        "threading.Timer",
        "tempfile.TemporaryDirectory",
        "shlex.split",
        "shutil.copytree",
        "collections.Counter",
        "collections.Counter.most_common",
        "heapq.merge",
        "functools.lru_cache",
        "difflib.SequenceMatcher",
        # from C
        "math.sqrt",
        "itertools.permutations",
        "builtins.sorted",
        "builtins.str.split",
        "time.sleep",
        # taken over from C or private modules
        "collections.deque",
        "datetime.datetime.isoformat",
        "csv.writer",
        "os.listdir",
        "os.makedirs",
        "os.path.exists",
        "os.path.basename",
        "socket.socket",
        # taken over by a package from its own modules
        "asyncio.run",
        "asyncio.gather",
        "json.loads",
        "json.JSONDecoder",
        "unittest.TestCase.assertEqual",
    ],
)
def test_well_known_names_are_there(documents, name):
    assert name in {document["id"] for document in documents}


def test_taken_over_names_are_not_there_twice(documents):
    ids = {document["id"] for document in documents}
    assert not ids & {"unittest.case.TestCase", "asyncio.runners.run", "json.decoder.JSONDecoder"}


def test_titles_spell_names_out(documents):
    titles = {document["id"]: document["title"] for document in documents}
    assert titles["tempfile.TemporaryDirectory"] == (
        "tempfile.TemporaryDirectory: temporary directory"
    )
    assert titles["functools.lru_cache"] == "functools.lru_cache: lru cache"
    assert titles["shlex.split"] == "shlex.split"
    assert titles["json.JSONDecoder"] == "json.JSONDecoder: json decoder"


def test_the_order_is_always_the_same_nothing_runs_and_nothing_warns(documents):
    script = (
        "import json, sys\n"
        "from sparsearch.demo.corpus import standard_library_documents\n"
        "ids = [document['id'] for document in standard_library_documents()]\n"
        "ran = {'this', 'antigravity', 'tkinter', 'turtle', 'pydoc', 'pdb'} & set(sys.modules)\n"
        "print(json.dumps([ids, sorted(ran)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, check=True, text=True
    )
    ids, ran = json.loads(done.stdout)
    assert ids == [document["id"] for document in documents]
    assert ran == []
    assert done.stderr == ""


def test_the_first_document_comes_at_once():
    assert next(standard_library_documents())["id"] == "abc"


def test_a_python_without_library_sources_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "python.zip"))
    with pytest.raises(NotFoundError, match=r"no Python sources .* in .*python\.zip"):
        list(standard_library_documents())


def test_classes_functions_and_methods_with_their_own_docstrings(library):
    source = '''
"""Module."""
class Lexer(object):
    """A lexer."""
    def __init__(self):
        """Make one."""
    def read(self):
        """
        Read one.
            indented
        """
    def undocumented(self): pass
    def _hidden(self):
        """Hidden."""
class Bare:
    def go(self):
        """Go."""
if True:
    def split():
        """Split."""
else:
    def split():
        """Other."""
async def run():
    """Run."""
def _private():
    """Private."""
def plain(): pass
'''
    found = library({"shlex.py": source})
    texts = {name: one["text"] for name, one in found.items() if one["module"] == "shlex"}
    assert texts == {
        "shlex": "Module.",
        "shlex.Lexer": "A lexer.\n\nMake one.",
        "shlex.Lexer.read": "Read one.\n    indented",
        "shlex.Bare.go": "Go.",
        "shlex.split": "Split.",
        "shlex.run": "Run.",
    }
    assert found["shlex.Lexer.read"]["kind"] == "method"


def test_what_a_module_takes_over_is_its_own(library):
    def function(name: str) -> str:
        return f'def {name}():\n    """{name.title()}."""\n'

    found = library(
        {
            "decimal.py": "try:\n    from _pydecimal import *\nexcept ImportError:\n    pass\n",
            "_pydecimal.py": "__all__ = ['a']\n" + function("a") + function("b"),
            "json/__init__.py": "from .decoder import load as loads, _hidden\n",
            "json/decoder.py": function("load") + function("rest") + function("_hidden"),
            "shlex.py": "from decimal import a\n",
        }
    )
    texts = {name: one["text"] for name, one in found.items()}
    assert texts["decimal.a"] == "A."
    assert texts["json.loads"] == "Load."
    assert texts["json.decoder.rest"] == "Rest."
    assert not texts.keys() & {"decimal.b", "json.decoder.load", "shlex.a", "json._hidden"}
