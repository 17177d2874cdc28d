"""Collections whose model reads slowly, fails, or is gone."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Served, error_of, process

pytest.importorskip("onnx", reason="models are made with the onnx package")

from onnx_folders import TABLE, write_folder, write_model
from sparsearch import Encoder, Index, SparseVectors
from sparsearch.encoders import OnnxEncoder
from sparsearch.errors import EncoderUnavailableError, FileFormatError, VocabularyMismatchError
from sparsearch.serve import Limits, encoding
from sparsearch.serve.encoding import AheadEncoder
from sparsearch.serve.errors import from_exception
from sparsearch.serve.role import WriterRole
from sparsearch.serve.writes import Put
from sparsearch.serve.writing import GroupWriter


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "model")


def test_a_model_that_fails_is_the_fault_of_the_server(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(model / "model.onnx", TABLE[:7])  # which has no row for "mat", the last token
    Index.create(tmp_path / "cats", Encoder.load(model)).close()
    with Served(tmp_path / "cats") as served:
        url = f"{served.url}/v1/collections/cats/documents"

        def put(text: str) -> httpx.Response:
            body = {"documents": [{"id": text, "text": text}]}
            return httpx.put(url, json=body, timeout=60)

        with caplog.at_level(logging.ERROR):
            refused = put("mat")
        assert (refused.status_code, error_of(refused)["code"]) == (500, "encoder")
        assert str(model) in caplog.text
        assert put("cat").json() == {"stored": 1}


def test_errors_of_models_name_no_files() -> None:
    for error in (
        EncoderUnavailableError("/srv/model changed since it was loaded"),
        VocabularyMismatchError("/srv/model has other terms than the index"),
        FileFormatError("/srv/model/model.onnx", None, "cannot be loaded"),
    ):
        told = from_exception(error)
        assert (told.status_code, told.code) == (500, "encoder")
        assert "/srv" not in told.message


def test_text_for_a_collection_of_vectors_is_refused_everywhere(tmp_path: Path) -> None:
    Index.create(tmp_path / "vectors", None).close()
    with Served(tmp_path / "vectors") as served:
        url = f"{served.url}/v1/collections/vectors"
        given = {"documents": [{"id": "a", "vector": {"soup": 1.0}}]}
        assert httpx.put(f"{url}/documents", json=given, timeout=60).json() == {"stored": 1}
        for path, body in (
            ("search", {"query": "soup"}),
            ("search/batch", {"queries": ["soup"]}),
            ("explain", {"query": "soup", "id": "a"}),
            ("encode", {"texts": ["soup"]}),
        ):
            answer = httpx.post(f"{url}/{path}", json=body, timeout=60)
            assert (answer.status_code, error_of(answer)["code"]) == (422, "encoder_unavailable")
        other = {"documents": [{"id": "b", "vector": {"7": 1.0}}], "term_ids": True}
        answer = httpx.put(f"{url}/documents", json=other, timeout=60)
        assert (answer.status_code, error_of(answer)["code"]) == (422, "vocabulary_mismatch")


def test_a_model_that_is_gone_takes_no_room_in_the_queue(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cats"
    Index.create(folder, Encoder.load(model)).close()
    shutil.rmtree(model)
    with Index.open(folder) as index:
        writer = GroupWriter(index, WriterRole(folder, False), Limits(writes_waiting=1))
        for _ in range(3):
            put = Put([{"id": "a", "text": "cat"}], None, replace=True, for_model=True)
            assert isinstance(writer.submit(put, 1).exception(60), EncoderUnavailableError)
            assert writer.waiting == 0
        writer.close()


class Held(OnnxEncoder):
    """A model that reads nothing until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.going = threading.Event(), threading.Event()
        self.turns: list[list[str]] = []

    def encode_ahead(self, texts: Sequence[str]) -> SparseVectors | None:
        self.turns.append(list(texts))
        self.begun.set()
        assert self.going.wait(60)
        return super().encode_ahead(texts)


@pytest.fixture
def held(model: Path) -> Held:
    return Held(model)


@pytest.fixture
def ahead(held: Held, tmp_path: Path) -> Iterator[AheadEncoder]:
    with Index.create(tmp_path / "held", held) as index:
        encoder = AheadEncoder(index)
        yield encoder
        held.going.set()
        encoder.end(RuntimeError("the test is over"))


class Asked:
    """Documents given to an encoder, and what became of them."""

    def __init__(self, encoder: AheadEncoder, texts: Sequence[str]) -> None:
        self.done = threading.Event()
        self.outcomes: list[object] = []
        documents = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
        encoder.start(documents, self._note, self._note)

    def _note(self, outcome: object) -> None:
        self.outcomes.append(outcome)
        self.done.set()

    def outcome(self) -> object:
        assert self.done.wait(60)
        return self.outcomes[0]


END = RuntimeError("the end")


def test_what_waits_fails_before_the_portion_at_hand_ends(held: Held, ahead: AheadEncoder) -> None:
    first, second = (Asked(ahead, ["cat"] * 20) for _ in range(2))
    assert held.begun.wait(60)
    ahead.refuse(END)
    assert second.outcome() is END
    assert not first.done.is_set()
    held.going.set()
    assert first.outcome() is END
    assert len(held.turns) == 1
    late = Asked(ahead, ["cat"])
    assert late.outcome() is END


def test_a_portion_that_is_over_at_the_end_is_not_lost(held: Held, ahead: AheadEncoder) -> None:
    only = Asked(ahead, ["cat"] * 3)
    assert held.begun.wait(60)
    ahead.refuse(END)
    held.going.set()
    ahead.end(END)
    assert len(only.outcome().vectors) == 3  # type: ignore[attr-defined]


def test_a_portion_without_end_is_given_up(
    held: Held, ahead: AheadEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_LAST_SECONDS", 0.05)
    only = Asked(ahead, ["cat"])
    assert held.begun.wait(60)
    ahead.end(END)
    assert only.outcome() is END
    held.going.set()
    for thread in threading.enumerate():
        if thread.name == "sparsearch-encoder":
            thread.join(60)
    assert only.outcomes == [END]  # nothing that was refused is stored later


def test_turns_are_cut_by_characters_too(held: Held, ahead: AheadEncoder) -> None:
    held.going.set()
    sizes = [10, 40_000, 10, 10, 31_000, 10_000, *[10] * 9]
    assert Asked(ahead, ["cat" + " " * (size - 3) for size in sizes]).outcome() is not END
    turns = [[len(text) for text in turn] for turn in held.turns]
    assert turns == [[10], [40_000], [10, 10, 31_000], [10_000, *[10] * 7], [10, 10]]


def _until(condition: Callable[[], Any]) -> None:
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_server_told_to_end_waits_for_no_endless_document(
    tmp_path: Path, told: signal.Signals
) -> None:
    """Its model would read it for many minutes."""
    folder = tmp_path / "notes"
    Index.create(folder).close()
    text = " ".join(f"word{i} of a long note" for i in range(500_000))
    body = {"documents": [{"id": "endless", "text": text}]}
    with process(folder) as server, ThreadPoolExecutor(1) as pool:
        url = f"{server.url}/v1/collections/notes/documents"
        waiting = pool.submit(httpx.put, url, json=body, timeout=120)
        _until(lambda: 'writes_waiting{collection="notes"} 1.0' in _metrics(server.url))
        server.signal(told)
        _until(lambda: _metrics(server.url) == "")
        answer = waiting.result(60)
        assert (answer.status_code, error_of(answer)["code"]) == (503, "shutting_down")
        assert server.wait() in (0, -signal.SIGTERM, 130)


def _metrics(url: str) -> str:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/metrics").text
    return ""
