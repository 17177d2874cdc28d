"""Model folders: what they may hold, and vectors that can be worked out by hand."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="models are made with the onnx package")

from safetensors.numpy import save_file

import sparsearch as ss
from onnx_folders import QUERY_WEIGHTS, SETTINGS, TABLE, TOKENS, write_folder, write_model
from sparsearch.encoders import batches, onnx_encoder, onnx_model
from sparsearch.encoders.batches import batches_at_once
from sparsearch.encoders.onnx_encoder import OnnxEncoder
from sparsearch.encoders.onnx_model import OnnxModel
from sparsearch.errors import EncoderError, FileFormatError, InvalidInputError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    return OnnxEncoder(write_folder(tmp_path_factory.mktemp("model") / "tiny"))


def expected_rows(texts: list[str]) -> list[dict[str, float]]:
    """Max over the tokens of a text, by NumPy."""
    rows = []
    for text in texts:
        ids = [TOKENS.index(word) if word in TOKENS else 1 for word in text.lower().split()]
        best = TABLE[ids].max(axis=0, initial=0.0)
        rows.append({TOKENS[i]: float(best[i]) for i in np.flatnonzero(best > 0)})
    return rows


def test_documents_have_the_largest_weight_of_each_term(tiny: OnnxEncoder) -> None:
    vectors = tiny.encode_documents(["the CAT sat", "dog cat", "mat", "", "unknown words only"])
    assert vectors.to_dicts() == [
        {"cat": 2.0, "dog": 0.5, "sat": 1.0},
        {"cat": 2.0, "dog": 3.0},
        {"mat": 1.5},
        {},
        {},
    ]


def test_a_long_text_is_seen_whole(tiny: OnnxEncoder) -> None:
    vectors = tiny.encode_documents(["sat " * 50 + "dog " + "sat " * 50 + "mat"])
    assert vectors.to_dicts() == [{"cat": 0.25, "dog": 3.0, "sat": 1.0, "mat": 1.5}]


@given(st.lists(st.lists(st.sampled_from(["cat", "dog", "sat", "mat", "cow"]), max_size=30)))
def test_batches_and_windows_never_change_a_vector(texts: list[list[str]]) -> None:
    encoder = _shared()
    joined = [" ".join(words) for words in texts]
    assert encoder.encode_documents(joined).to_dicts() == expected_rows(joined)


_made: list[OnnxEncoder] = []


def _shared() -> OnnxEncoder:
    """One encoder for all examples."""
    return _made[0]


@pytest.fixture(autouse=True, scope="module")
def _share(tiny: OnnxEncoder) -> None:
    _made[:] = [tiny]


def test_batches_are_bounded_and_bucketed_by_length(
    tiny: OnnxEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny._documents
    monkeypatch.setattr(onnx_model, "_BATCH_CELLS", 12 * len(TOKENS))
    lengths = [3, 6, 1, 6, 5, 2, 2, 50]
    batches = [batch.tolist() for batch in model._batches(lengths)]
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 12
    texts = ["cat sat", "dog", "mat mat cat dog dog dog cat", "sat"] * 5
    assert tiny.encode_documents(texts).to_dicts() == expected_rows(texts)


def test_batches_of_one(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_folder(tmp_path, max_batch=1))
    assert [len(batch) for batch in encoder._documents._batches([3, 6, 1, 3])] == [1] * 4
    texts = ["cat sat", "dog", "", "mat " * 20]
    assert encoder.encode_documents(texts).to_dicts() == expected_rows(texts)


def test_portions_never_change_a_vector(tiny: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is tokenised and pooled at a time."""
    texts = ["cat sat", "", "dog " * 40, "mat", "sat mat cow " * 9, "", "cat"]
    whole = tiny.encode_documents(texts)
    assert whole.to_dicts() == expected_rows(texts)
    for characters, windows in ((1, 1), (20, 3), (200, 12)):
        monkeypatch.setattr(onnx_encoder, "_CHARACTERS_AT_ONCE", characters)
        monkeypatch.setattr(onnx_encoder, "_WINDOWS_AT_ONCE", windows)
        assert tiny.encode_documents(texts) == whole
    assert len(tiny.encode_documents([])) == 0


def test_portions_are_bounded() -> None:
    portions = onnx_encoder._portions
    assert list(portions([], 5)) == [(0, 0)]
    assert list(portions([2, 3, 1, 9, 0, 5, 1], 5)) == [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]
    assert list(portions([0, 0, 0, 0, 0], 5, 2)) == [(0, 2), (2, 4), (4, 5)]


def test_as_many_batches_at_once_as_memory_allows() -> None:
    assert batches_at_once([], 30_522) >= 1
    assert batches_at_once([(8, 64), (1, 512)], 30_522) > 32  # of SPLADE and its like
    assert 1 < batches_at_once([(8, 64), (1, 2048)], 30_522) < 16
    assert batches_at_once([(1, 8192)], 250_002) == 1


def test_one_batch_at_a_time_where_memory_is_short(
    tiny: OnnxEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, threads = tiny._documents, set()

    def spied(*arguments: Any) -> Any:
        threads.add(threading.current_thread())
        return OnnxModel._run_batch(model, *arguments)

    monkeypatch.setattr(model, "_run_batch", spied)
    monkeypatch.setattr(model, "_max_batch", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    texts = ["cat", "dog", "mat"]
    assert tiny.encode_documents(texts).to_dicts() == expected_rows(texts)
    assert threading.current_thread() not in threads
    threads.clear()
    monkeypatch.setattr(batches, "_MEMORY", 1)
    assert tiny.encode_documents(texts).to_dicts() == expected_rows(texts)
    assert threads == {threading.current_thread()}


def test_queries_are_a_table(tiny: OnnxEncoder) -> None:
    queries = tiny.encode_queries(["cat cat mat", "", "[CLS]"])
    assert queries.to_dicts()[:2] == [
        {"cat": float(QUERY_WEIGHTS[4]), "mat": float(QUERY_WEIGHTS[7])},
        {},
    ]


def test_queries_by_the_model(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_folder(tmp_path, queries="model"))
    assert encoder.encode_queries(["cat mat"]) == encoder.encode_documents(["cat mat"])


def test_queries_by_a_model_of_their_own(tmp_path: Path) -> None:
    write_folder(tmp_path, queries="model")
    write_model(tmp_path / "query_model.onnx", TABLE * np.float32(2))
    encoder = OnnxEncoder(tmp_path)
    assert encoder.encode_queries(["mat"]).to_dicts() == [{"mat": 3.0}]
    assert encoder.encode_documents(["mat"]).to_dicts() == [{"mat": 1.5}]


def test_tokens_may_stand_for_the_same_term(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, queries="weights")
    apart = OnnxEncoder(folder).encode_queries(["dog sat cat", "cat", "cat cat"]).to_dicts()
    terms = np.arange(len(QUERY_WEIGHTS), dtype=np.int32)
    terms[TOKENS.index("dog")] = TOKENS.index("cat")
    save_file({"weights": QUERY_WEIGHTS, "terms": terms}, folder / "query_weights.safetensors")
    encoder = OnnxEncoder(folder)
    together = encoder.encode_queries(["dog sat cat", "cat", "cat cat"]).to_dicts()
    assert together[0] == {"cat": apart[0]["dog"] + apart[0]["cat"], "sat": apart[0]["sat"]}
    assert together[1:] == apart[1:]
    assert encoder.text_terms("sat dog cat") == {
        TOKENS.index("sat"): "sat",
        TOKENS.index("cat"): "cat",
    }


def test_idf_queries_use_live_statistics(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_folder(tmp_path, queries="idf"))
    with pytest.raises(EncoderError, match="statistics"):
        encoder.encode_queries(["cat"])
    frequencies = {4: 1, 5: 3}
    statistics = SimpleNamespace(
        n_documents=4,
        average_length=1.0,
        document_frequencies=lambda ids: np.array([frequencies.get(int(i), 0) for i in ids]),
    )
    (row,) = encoder.encode_queries(["cat dog mat"], statistics).to_dicts()
    assert row == pytest.approx({"cat": np.log(1 + 3.5 / 1.5), "dog": 1.25 * np.log(1 + 1.5 / 3.5)})


def test_an_index_of_a_model(tmp_path: Path) -> None:
    encoder = OnnxEncoder(write_folder(tmp_path / "model"))
    with ss.Index.create(tmp_path / "index", encoder) as index:
        index.add([{"id": "a", "text": "the cat"}, {"id": "b", "text": "a dog"}])
        assert [hit.id for hit in index.search("dog")] == ["b", "a"]
    with ss.Index.open(tmp_path / "index", OnnxEncoder(tmp_path / "model")) as index:
        assert [hit.id for hit in index.search("cat")] == ["a", "b"]


def test_identity_changes_with_any_file(tmp_path: Path) -> None:
    first = OnnxEncoder(write_folder(tmp_path / "a")).identity
    assert OnnxEncoder(write_folder(tmp_path / "b")).identity == first
    write_model(tmp_path / "b" / "model.onnx", TABLE + np.float32(1))
    assert OnnxEncoder(tmp_path / "b").identity != first
    assert OnnxEncoder(write_folder(tmp_path / "c", overlap=2)).identity != first


def test_terms_without_tokens_are_named_by_their_number(tmp_path: Path) -> None:
    wide = OnnxEncoder(write_folder(tmp_path / "wide", dimension=10, queries="model"))
    assert wide.vocabulary.terms(7) == ["mat", "[token 8]", "[token 9]"]
    latent = write_folder(tmp_path / "latent", terms="latents", queries="model")
    assert OnnxEncoder(latent).encode_documents(["mat"]).to_dicts() == [{"latent 7": 1.5}]


# What is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["sparsearch_encoder.json", "tokenizer.json", "model.onnx", "query_weights.safetensors"],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_folder(tmp_path) / name).unlink()
    with pytest.raises(FileFormatError, match=f"{name}: is missing"):
        OnnxEncoder(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format 2"),
        ({"format": None}, "format None"),
        ({"dimension": None}, "lacks the setting 'dimension'"),
        ({"dimension": 0}, "dimension is 0"),
        ({"dimension": 10**12}, "dimension is 1000000000000"),
        ({"max_length": 2}, "length of windows is 0"),
        ({"overlap": 4}, "cannot overlap by 4"),
        ({"overlap": "1"}, "overlap of windows is '1'"),
        ({"pad_id": -1}, "pad_id is -1"),
        ({"prefix_ids": 2}, "prefix_ids is 2"),
        ({"prefix_ids": [True]}, "prefix_ids is True"),
        ({"queries": "guess"}, "queries is 'guess'"),
        ({"queries": []}, "queries is"),
        ({"terms": "latents"}, "needs terms 'tokens'"),
        ({"surprise": 1}, "unknown setting 'surprise'"),
        ({"name": ""}, "name is ''"),
        ({"max_batch": 0}, "max_batch is 0"),
    ],
)
def test_malformed_settings_are_named(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    write_folder(tmp_path, **change)
    with pytest.raises(FileFormatError, match=r"sparsearch_encoder\.json") as caught:
        OnnxEncoder(tmp_path)
    assert reason in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * (2 << 20)])
def test_settings_that_are_no_object(tmp_path: Path, content: bytes) -> None:
    (write_folder(tmp_path) / "sparsearch_encoder.json").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"sparsearch_encoder\.json"):
        OnnxEncoder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"garbage", b"\x80\x04K\x01."])
@pytest.mark.parametrize("name", ["tokenizer.json", "model.onnx", "query_weights.safetensors"])
def test_files_that_are_garbage(tmp_path: Path, name: str, content: bytes) -> None:
    (write_folder(tmp_path) / name).write_bytes(content)
    encoder = OnnxEncoder(tmp_path)
    used = encoder.encode_queries if name.startswith("query") else encoder.encode_documents
    with pytest.raises(FileFormatError, match=name):
        used(["cat"])


def test_special_tokens_must_exist(tmp_path: Path) -> None:
    write_folder(tmp_path, prefix_ids=[99])
    with pytest.raises(FileFormatError, match="has no token 99"):
        OnnxEncoder(tmp_path).encode_documents(["cat"])


@pytest.mark.parametrize(
    "weights",
    [
        {"weights": QUERY_WEIGHTS[:-1]},
        {"weights": QUERY_WEIGHTS.astype(np.float64)},
        {"other": QUERY_WEIGHTS},
        {"weights": np.where(QUERY_WEIGHTS == 1.0, np.nan, QUERY_WEIGHTS)},
        {"weights": -QUERY_WEIGHTS},
        {"weights": QUERY_WEIGHTS, "terms": np.arange(len(QUERY_WEIGHTS))},
        {"weights": QUERY_WEIGHTS, "terms": np.arange(len(QUERY_WEIGHTS), dtype=np.int32) + 1},
        {"weights": QUERY_WEIGHTS, "terms": np.arange(len(QUERY_WEIGHTS), dtype=np.int32) - 1},
    ],
)
def test_query_weights_are_checked(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    save_file(weights, write_folder(tmp_path) / "query_weights.safetensors")
    with pytest.raises(FileFormatError, match="query_weights"):
        OnnxEncoder(tmp_path).encode_queries(["cat"])


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    table = TABLE.copy()
    table[4, 4] = np.inf
    write_model(write_folder(tmp_path) / "model.onnx", table)
    with pytest.raises(EncoderError, match="term 4 the weight inf"):
        OnnxEncoder(tmp_path).encode_documents(["dog", "cat"])


def test_terms_beyond_the_dimension_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, dimension=7, queries="model")
    with pytest.raises(EncoderError, match="term id 7; it must be below 7"):
        OnnxEncoder(tmp_path).encode_documents(["mat"])


def test_tokens_that_the_model_lacks_fail_with_a_reason(tmp_path: Path) -> None:
    write_model(write_folder(tmp_path) / "model.onnx", TABLE[:5])
    with pytest.raises(EncoderError, match=r"model\.onnx failed on a batch"):
        OnnxEncoder(tmp_path).encode_documents(["mat"])


@pytest.mark.parametrize("texts", ["cat", [1], 5, [None]])
def test_texts_must_be_strings(tiny: OnnxEncoder, texts: object) -> None:
    with pytest.raises(InvalidInputError, match="text"):
        tiny.encode_documents(texts)  # type: ignore[arg-type]


def test_a_lone_surrogate_is_named(tiny: OnnxEncoder) -> None:
    with pytest.raises(InvalidInputError, match="text 1 is not valid Unicode"):
        tiny.encode_documents(["cat", "\ud800"])


@pytest.mark.parametrize("text", ["...", "\x00", "🐈‍⬛ قط 猫", "a" * 1_000_000, "cat " * 50_000])
def test_strange_texts(tiny: OnnxEncoder, text: str) -> None:
    (row,) = tiny.encode_documents([text]).to_dicts()
    assert row == ({"cat": 2.0, "dog": 0.5} if text.startswith("cat") else {})


def test_the_settings_can_be_written(tiny: OnnxEncoder) -> None:
    assert json.loads(tiny.settings.to_json()) == {
        **SETTINGS,
        "max_batch": None,
        "idf_exponent": 1.0,
        "max_query_terms": None,
    }
