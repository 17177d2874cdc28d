"""Test collections from folders and from ir_datasets."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sparsearch.errors import (
    FileFormatError,
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
)
from sparsearch.evaluation import evaluate, load_dataset, load_judgements
from sparsearch.runs import Run

CORPUS = [
    {"_id": "d1", "title": "One", "text": "first", "metadata": {"year": 1}},
    {"_id": "d2", "title": "", "text": "second"},
]
QUERIES = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}]
QRELS = "query-id\tcorpus-id\tscore\nq2\td2\t2\n"


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(lines(CORPUS))
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(lines(QUERIES).encode()))
    (folder / "qrels" / "test.tsv").write_text(QRELS)
    (folder / "qrels" / "dev.tsv.gz").write_bytes(gzip.compress(QRELS.replace("2", "1").encode()))
    return folder


def test_a_beir_folder(beir: Path) -> None:
    dataset = load_dataset(beir)
    assert dataset.name == "tiny"
    assert dataset.queries == {"q1": "one", "q2": "two"}
    assert dataset.judged_queries() == {"q2": "two"}
    assert dict(dataset.qrels["q2"]) == {"d2": 2}
    documents = list(dataset.documents())
    assert documents[0] == {"id": "d1", "title": "One", "text": "first", "year": 1}
    assert [document["id"] for document in dataset.documents()] == ["d1", "d2"]
    assert dict(load_dataset(str(beir), "dev").qrels) == {"q1": {"d1": 1}}
    assert repr(dataset).startswith("Dataset(name='tiny'")


def test_a_missing_split_lists_those_there_are(beir: Path) -> None:
    for split in ("train", "../qrels/test", ""):
        with pytest.raises(NotFoundError, match="it has dev, test"):
            load_dataset(beir, split)


@pytest.mark.parametrize("name", ["queries.jsonl.gz", "qrels/test.tsv qrels/dev.tsv.gz"])
def test_a_folder_in_another_layout_is_refused(beir: Path, name: str) -> None:
    for path in name.split():
        (beir / path).unlink()
    with pytest.raises(InvalidInputError, match="not in BEIR layout"):
        load_dataset(beir)


def test_a_folder_without_corpus_can_still_be_evaluated_against(beir: Path) -> None:
    (beir / "corpus.jsonl").unlink()
    dataset = load_dataset(beir)
    assert evaluate(Run({"q2": [("d2", 1.0)]}), dataset.qrels, ["AP"])["AP"] == 1.0
    with pytest.raises(InvalidInputError, match=r"no corpus\.jsonl"):
        next(dataset.documents())


def test_judgements_need_neither_queries_nor_documents(beir: Path) -> None:
    (beir / "corpus.jsonl").unlink()
    (beir / "queries.jsonl.gz").unlink()
    judgements = load_judgements(beir)
    assert (judgements.name, dict(judgements.qrels)) == ("tiny", {"q2": {"d2": 2}})
    assert dict(load_judgements(str(beir), "dev").qrels) == {"q1": {"d1": 1}}
    with pytest.raises(NotFoundError, match="it has dev, test"):
        load_judgements(beir, "train")
    with pytest.raises(NotFoundError, match="not a folder"):
        load_judgements(beir / "none")


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([*QUERIES, QUERIES[0]], InvalidInputError, "query 'q1' is given twice"),
        ([*QUERIES, {"_id": "q3", "title": "x"}], InvalidInputError, "query 'q3' has no text"),
        ([*QUERIES, {"_id": "q3", "text": 5}], FileFormatError, ":3: "),
        ([QUERIES[0]], InvalidInputError, "1 judged queries have no text, such as 'q2'"),
    ],
)
def test_malformed_queries_are_named(
    beir: Path, records: list[dict[str, Any]], error: type[Exception], message: str
) -> None:
    (beir / "queries.jsonl").write_text(lines(records))
    with pytest.raises(error, match=message):
        load_dataset(beir)


def test_what_is_no_folder_and_no_id_is_refused(beir: Path) -> None:
    with pytest.raises(NotFoundError, match="not a folder"):
        load_dataset(beir / "corpus.jsonl")
    with pytest.raises(NotFoundError, match="not a folder"):
        load_dataset(str(beir / "corpus.jsonl"))
    with pytest.raises(NotFoundError, match="not a folder"):
        load_dataset(beir / "none")


class Titled(NamedTuple):
    """A document with title and text."""

    doc_id: str
    title: str
    text: str


class Fielded(NamedTuple):
    """A document with fields of other names."""

    doc_id: str
    title: str
    body: str

    def default_text(self) -> str:
        return f"{self.title}: {self.body}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The registry of ir_datasets with some small datasets of our own in it."""
    home = tmp_path_factory.mktemp("ir_datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(home))
        ir_datasets = pytest.importorskip("ir_datasets")
        (home / "docs").write_text("d1\tfirst\nd2\tsecond\n")
        (home / "titled").write_text("d1\tOne\tfirst\nd2\t\tsecond\n")
        (home / "queries").write_text("q1\tone\nq2\ttwo\n")
        (home / "qrels").write_text("q2 0 d2 2\nq2 0 d1 -1\n")
        (home / "subtopics").write_text("q2 1 d2 2\nq2 2 d2 0\n")
        (home / "broken").write_text("q2 0 d2\n")

        def register(name: str, docs: object, queries: object, qrels: object) -> None:
            parts = (docs, queries, qrels)
            ir_datasets.registry.register(name, ir_datasets.Dataset(*parts))

        formats, util = ir_datasets.formats, ir_datasets.util

        def local(name: str) -> Any:
            return util.LocalDownload(home / name)

        docs, queries = formats.TsvDocs(local("docs")), formats.TsvQueries(local("queries"))
        qrels = formats.TrecQrels(local("qrels"), {})
        nowhere = util.Download([util.RequestsDownload("http://127.0.0.1:9/none", tries=1)])
        register("own", docs, queries, None)
        register("own/test", docs, queries, qrels)
        register("own/dev", docs, queries, qrels)
        register("own-judged", docs, queries, qrels)
        register("own-bare", docs, queries, None)
        register("own-undocumented", None, queries, qrels)
        register("own-subtopics", docs, queries, formats.TrecQrels(local("subtopics"), {}))
        register("own-broken", docs, queries, formats.TrecQrels(local("broken"), {}))
        register("own-remote", docs, formats.TsvQueries(nowhere), qrels)
        register("own-titled", formats.TsvDocs(local("titled"), Titled), queries, qrels)
        register("own-fielded", formats.TsvDocs(local("titled"), Fielded), queries, qrels)
        yield ir_datasets.registry


@pytest.mark.usefixtures("registry")
def test_an_id_of_ir_datasets() -> None:
    dataset = load_dataset("own-judged")
    assert dataset.name == "own-judged"
    assert dataset.queries == {"q1": "one", "q2": "two"}
    assert dict(dataset.qrels) == {"q2": {"d2": 2, "d1": -1}}
    assert dataset.judged_queries() == {"q2": "two"}
    expected = [{"id": "d1", "text": "first"}, {"id": "d2", "text": "second"}]
    assert list(dataset.documents()) == list(dataset.documents()) == expected


@pytest.mark.usefixtures("registry")
def test_splits_of_ir_datasets() -> None:
    assert load_dataset("own").name == "own/test"
    assert load_dataset("own", "dev").name == "own/dev"
    assert load_dataset("own/dev").name == "own/dev"
    with pytest.raises(NotFoundError, match="no split 'train'; ids with judgements: own/dev, own/"):
        load_dataset("own", "train")
    with pytest.raises(NotFoundError, match="no split 'dev'"):
        load_dataset("own-judged", "dev")
    with pytest.raises(NotFoundError, match="it has no judgements"):
        load_dataset("own-bare")


@pytest.mark.usefixtures("registry")
def test_judgements_of_ir_datasets() -> None:
    assert load_judgements("own", "dev").name == "own/dev"
    for name in ("own-judged", "own-undocumented", "own-remote"):
        assert dict(load_judgements(name).qrels) == {"q2": {"d2": 2, "d1": -1}}


@pytest.mark.usefixtures("registry")
def test_documents_of_ir_datasets_have_title_and_text_or_their_default_text() -> None:
    first, second = load_dataset("own-titled").documents()
    assert first == {"id": "d1", "title": "One", "text": "first"}
    assert second == {"id": "d2", "text": "second"}
    fielded = next(load_dataset("own-fielded").documents())
    assert fielded == {"id": "d1", "text": "One: first"}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere-to-be-found", NotFoundError, "neither a folder nor an id of ir_datasets"),
        ("", InvalidInputError, "names no file or folder"),
        ("nul\0", InvalidInputError, "names no file or folder"),
        ("long" * 2000, NotFoundError, "neither a folder"),
        ("own-undocumented", NotFoundError, "no documents or no queries"),
        ("own-remote", NotFoundError, "cannot provide own-remote.*check the network connection"),
        ("own-broken", NotFoundError, "cannot provide own-broken: expected 4 columns, got 3"),
        ("own-subtopics", InvalidInputError, "'q2' gives document 'd2' two grades"),
    ],
)
def test_what_ir_datasets_cannot_give_is_a_typed_error(
    name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_dataset(name)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtraError, match=r"ir-datasets .* 'sparsearch\[eval\]'"):
        load_dataset("vaswani")


def test_a_real_collection(collections_dir: Path) -> None:
    dataset = load_dataset(collections_dir / "cranfield")
    assert (dataset.name, len(dataset.queries)) == ("cranfield", 225)
    assert (len(dataset.qrels), dataset.qrels.judgement_count) == (225, 1836)
    documents = {document["id"] for document in dataset.documents()}
    assert len(documents) == 1398
    assert all(documents >= set(grades) for grades in dataset.qrels.values())
    ideal = Run(
        {
            query: [(id, float(grade)) for id, grade in grades.items()]
            for query, grades in dataset.qrels.items()
        }
    )
    evaluation = evaluate(ideal, dataset.qrels)
    assert evaluation.mean == pytest.approx(dict.fromkeys(evaluation.mean, 1.0))
