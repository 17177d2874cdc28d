"""Models that are no sparse encoder, are damaged, or want to run code: each a clear error."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_models import edit_json

from sparsearch import Encoder
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError

SOURCE = Path(__file__).resolve().parents[2] / "src"


class Bomb:
    """Unpickling it fails the test run."""

    def __reduce__(self) -> tuple[Callable[..., NoReturn], tuple[int]]:
        return os._exit, (1,)


def nan_weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][0, 0] = np.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def no_head(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "transform" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def both(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 1000)


def pickle_in_disguise(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))


def own_modules(folder: Path) -> None:
    write(folder / "modules.json", [{"type": "custom.Evil", "path": ""}])
    (folder / "custom.py").write_text("raise SystemExit")


def own_modules_of_the_hub(folder: Path) -> None:
    write(folder / "modules.json", [{"type": "evil/repo--custom.Evil", "path": ""}])


def modules_of_the_standard_library(folder: Path) -> None:
    write(folder / "modules.json", [{"type": "os.system", "path": ""}])


def nested(folder: Path) -> None:
    """Deep enough for a walk by recursion to fail, not for all readers of JSON."""
    config = (folder / "config.json").read_text().rstrip()
    depth = 1500
    inner = '{"auto_map": {}}'
    deep = '{"a":' * depth + inner + "}" * depth
    (folder / "config.json").write_text(config[:-1] + ', "deep": ' + deep + "}")


def module_path(place: int, path: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[place]["path"] = path
        write(folder / "modules.json", modules)

    return edit


def shards_outside(folder: Path) -> None:
    index = {"weight_map": {"a": "../../model.safetensors"}}
    write(folder / "model.safetensors.index.json", index)


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def no_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def text(name: str, content: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).write_text(content)

    return replace


def edited(name: str, **changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / name, **changes)


POOLING = "1_SpladePooling/config.json"
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "NaN weights": (nan_weights, r"layer\.0\.output\.dense\.weight.*NaN"),
    "no head": (no_head, "lacks the weights .*would be random"),
    "pickle only": (pickle_only, r"pickle \(pytorch_model\.bin\).*never read.*save_pretrained"),
    "weights cut off": (cut_off, "damaged safetensors"),
    "weights garbage": (garbage, "damaged safetensors|cannot be loaded"),
    "pickle called safetensors": (pickle_in_disguise, "damaged safetensors|cannot be loaded"),
    "own code": (own_modules, "Python code of its own.*never run"),
    "own code of the hub": (own_modules_of_the_hub, "Python code of its own.*never run"),
    "any class": (modules_of_the_standard_library, "Python code of its own.*never run"),
    "auto_map": (edited("config.json", auto_map={"AutoModel": "x.Y"}), "auto_map.*never run"),
    "adapter": (text("adapter_config.json", "{}"), "is an adapter.*merge"),
    "path outside": (module_path(1, "../elsewhere"), "a path outside of itself"),
    "absolute path": (module_path(0, "/etc"), "a path outside of itself"),
    "shards outside": (shards_outside, "a path outside of itself"),
    "no weights": (
        no_file("model.safetensors"),
        r"lacks model\.safetensors; .*pickle only .*never downloaded.*save_pretrained",
    ),
    "no config": (no_file("config.json"), r"lacks config\.json"),
    "no pooling": (no_file(POOLING), r"lacks config\.json"),
    "no tokenizer": (no_file("tokenizer.json"), "tokenizer"),
    "tokenizer garbage": (text("tokenizer.json", "{]"), "tokenizer"),
    "config garbage": (text("config.json", "{]"), r"unreadable config\.json"),
    "config no object": (text("config.json", "[1]"), r"malformed config\.json"),
    "modules no list": (text("modules.json", "{}"), r"malformed modules\.json"),
    "modules empty": (text("modules.json", "[]"), "no sparse encoder"),
    "modules of numbers": (text("modules.json", "[1, 2]"), "malformed module"),
    "endless nesting": (text("modules.json", "[" * 100_000), r"unreadable modules\.json"),
    "unknown pooling": (edited(POOLING, pooling_strategy="mean"), "unknown pooling 'mean'"),
    "unknown activation": (edited(POOLING, activation_function="gelu"), "activation 'gelu'"),
    "prompts": (edited("config_sentence_transformers.json", prompts=[1]), "malformed prompts"),
    "path without end": (module_path(0, "x" * 5000), "a path that is too long"),
    "path of no characters": (module_path(0, "\ud800"), "malformed path"),
    "nested without end": (nested, r"unreadable|never run"),
    "pooling of the last token": (edited(POOLING, pooling_strategy="last"), "pooling 'last'"),
    "most terms": (edited("config_sentence_transformers.json", max_active_dims=0), "max_active"),
    "another size": (edited("config.json", hidden_size=64), "another shape"),
    "huge vocabulary": (edited("config.json", vocab_size=10**12), "another shape|cannot be loaded"),
    "negative vocabulary": (edited("config.json", vocab_size=-1), "cannot be loaded"),
    "kernels of the hub": (
        edited("config.json", _attn_implementation="evil/kernel"),
        "code of its own.*never run",
    ),
    "nested kernels": (
        edited("config.json", text_config={"attn_implementation": "evil/kernel"}),
        "code of its own.*never run",
    ),
    "quantised": (edited("config.json", quantization_config={"quant_method": "x"}), "quantised"),
    "longest no number": (edited("sentence_bert_config.json", max_seq_length="x"), "max_seq"),
    "longest of tokenizer": (edited("tokenizer_config.json", model_max_length="x"), "model_max"),
    "longest too short": (edited("tokenizer_config.json", model_max_length=2), "windows is 0"),
    "another architecture": (edited("config.json", model_type="nonsense"), "cannot be loaded"),
    "no attention heads": (edited("config.json", num_attention_heads=0), "cannot be loaded"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_or_hostile_model(models, tmp_path: Path, name: str) -> None:
    damage, message = DAMAGE[name]
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    damage(folder)
    with pytest.raises(EncoderUnavailableError, match=message):
        Encoder.load(folder, backend="torch")


def test_a_pickle_beside_the_weights_is_left_alone(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    both(folder)
    expected = Encoder.load(models("splade"), backend="torch").encode_documents(["cat"])
    assert Encoder.load(folder, backend="torch").encode_documents(["cat"]) == expected


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edited("router_config.json", structure={"query": []}), "no modules for route 'document'"),
        (edited("router_config.json", types=None), "no types"),
        (edited("router_config.json", structure={"document": [1]}), "no modules for route 'doc"),
        (edited("router_config.json", structure={"document": [["a"]]}), "no modules for route"),
        (edited("query_0_SparseStaticEmbedding/config.json", path="gone.json"), "lacks the table"),
        (edited("query_0_SparseStaticEmbedding/config.json", path="/etc/x.json"), "outside"),
        (no_file("query_0_SparseStaticEmbedding/model.safetensors"), "lacks model"),
    ],
)
def test_a_damaged_router(models, tmp_path: Path, damage, message: str) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    damage(folder)
    with pytest.raises(EncoderUnavailableError, match=message):
        Encoder.load(folder, backend="torch")


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_bad_query_weights(models, tmp_path: Path, weight: float) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    path = folder / "query_0_SparseStaticEmbedding" / "model.safetensors"
    weights = load_file(path)["weight"].copy()
    weights[7] = weight
    save_file({"weight": weights}, path, {"format": "pt"})
    encoder = Encoder.load(folder, backend="torch")
    with pytest.raises(EncoderUnavailableError, match="weight of token 7 is"):
        encoder.encode_queries(["cat"])


@pytest.mark.parametrize("weight", ["1" + "0" * 400, "1" * 5000, "1e999", '"x"', "null", "[]"])
def test_bad_query_weights_in_json(models, tmp_path: Path, weight: str) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    table = folder / "query_0_SparseStaticEmbedding"
    (table / "idf.json").write_text(f'{{"cat": {weight}}}')
    edit_json(table / "config.json", path="idf.json")
    encoder = Encoder.load(folder, backend="torch")
    with pytest.raises(EncoderUnavailableError, match=r"idf\.json"):
        encoder.encode_queries(["cat"])


def test_a_tokenizer_of_more_tokens_than_the_model_has(models, tmp_path: Path) -> None:
    """What the model itself fails with is told as one kind of error, in torch as in ONNX."""
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["newest"] = len(tokenizer["model"]["vocab"])
    write(folder / "tokenizer.json", tokenizer)
    for options in ({"backend": "torch"}, {"quantize": False}):
        encoder = Encoder.load(folder, **options)
        with pytest.raises(EncoderError, match="failed on a batch of texts"):
            encoder.encode_documents(["cat", "newest"])


def test_query_tokens_that_are_not_the_documents(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    path = folder / "query_0_SparseStaticEmbedding" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["dogg"] = tokenizer["model"]["vocab"].pop("dog")
    write(path, tokenizer)
    with pytest.raises(EncoderUnavailableError, match="other tokens for queries"):
        Encoder.load(folder, backend="torch")


def test_a_dense_model(models) -> None:
    folder = models("dense")
    for dense in (folder, folder.parent / "bare"):
        for options in ({}, {"backend": "torch"}):
            with pytest.raises(EncoderUnavailableError, match="dense models have no terms"):
                Encoder.load(dense, **options)
    with pytest.raises(EncoderUnavailableError, match="without a masked-LM head"):
        Encoder.load(folder.parent / "bare", recipe="splade")


def test_the_lexical_head_of_bge_m3_as_a_pickle(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("bge-m3"), tmp_path / "model")
    (folder / "sparse_linear.safetensors").unlink()
    (folder / "sparse_linear.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(EncoderUnavailableError, match=r"sparse_linear\.pt.*never read.*save"):
        Encoder.load(folder)


def test_bge_m3_as_it_comes_from_the_hub(models, tmp_path: Path) -> None:
    """Without its lexical head, which is never downloaded."""
    folder = shutil.copytree(models("dense"), tmp_path / "model")
    edit_json(folder / "config.json", model_type="xlm-roberta")
    with pytest.raises(EncoderUnavailableError, match=r"BGE-M3.*sparse_linear\.safetensors"):
        Encoder.load(folder)


def test_a_lexical_head_of_another_size(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("bge-m3"), tmp_path / "model")
    head = {"weight": np.zeros((1, 7), np.float32), "bias": np.zeros(1, np.float32)}
    save_file(head, folder / "sparse_linear.safetensors")
    with pytest.raises(EncoderUnavailableError, match="sparse_linear"):
        Encoder.load(folder, backend="torch")


def test_what_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EncoderUnavailableError, match="is a file; give the folder"):
        Encoder.load(file)
    with pytest.raises(EncoderUnavailableError, match="is no model folder"):
        Encoder.load(empty)
    with pytest.raises(EncoderUnavailableError, match="does not exist"):
        Encoder.load(tmp_path / "gone")
    for wrong in (7, "", b"x"):
        with pytest.raises(InvalidInputError):
            Encoder.load(wrong)  # type: ignore[arg-type]


def test_options(models) -> None:
    folder = models("splade")
    for options, message in (
        ({"backend": "tensorflow"}, "unknown backend"),
        ({"recipe": "splad"}, "unknown recipe"),
        ({"recipe": "splade"}, "pooling of its own"),
        ({"quantize": 1}, "not True or False"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            Encoder.load(folder, **options)
    with pytest.raises(InvalidInputError, match="name one"):
        Encoder.load(backend="torch")
    with pytest.raises(EncoderUnavailableError, match="give recipe='splade'"):
        Encoder.load(models("masked-lm"))


def test_without_torch(models) -> None:
    """A checkpoint needs the extra; whether a folder is dense is found out without it."""
    code = f"""
import sys
sys.modules["torch"] = None
from sparsearch import Encoder
from sparsearch.errors import EncoderUnavailableError, MissingExtraError
try:
    Encoder.load({str(models("splade"))!r})
except MissingExtraError as error:
    print(error.package, error.extra)
try:
    Encoder.load({str(models("dense"))!r})
except EncoderUnavailableError as error:
    print("dense" in str(error))
"""
    assert python(code) == ["torch train", "True"]


def python(code: str, **environment: str) -> list[str]:
    """Run code in a fresh interpreter; return the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hugging Face hub does about models that are gated, missing or broken."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        code, error = 500, ""
        if "gated" in self.path:
            code, error = 403, "GatedRepo"
        elif "missing" in self.path:
            code, error = 404, "RepoNotFound"
        self.send_response(code)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def message_of(name: str, tmp_path: Path, endpoint: str) -> str:
    code = f"""
from sparsearch import Encoder
from sparsearch.errors import EncoderUnavailableError
try:
    Encoder.load({name!r})
except EncoderUnavailableError as error:
    print(error)
"""
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    found = python(code, **environment, NO_PROXY="*", no_proxy="*")
    return " ".join(found)


def test_gated_and_missing_models(hub: str, tmp_path: Path) -> None:
    assert "accept its conditions" in message_of("someone/gated-splade", tmp_path, hub)
    assert "neither a folder here nor a model" in message_of("someone/missing", tmp_path, hub)


def test_no_network(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"  # the discard port: nobody listens
    message = message_of("someone/splade", tmp_path, nowhere)
    assert "someone/splade" in message
    assert "hub cannot be reached" in message
    assert "hf download" in message


def test_a_model_of_the_hub_cache(models, tmp_path: Path) -> None:
    """A model that was downloaded before loads without a network."""
    repository = tmp_path / "hub" / "models--someone--splade"
    commit = "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(models("splade"), repository / "snapshots" / commit)
    code = """
from sparsearch import Encoder
encoder = Encoder.load("someone/splade", backend="torch")
print(encoder.identity["source"], len(encoder.encode_documents(["cat"])))
"""
    offline = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    assert python(code, **offline) == ["someone/splade 1"]


def test_an_installation_without_its_default_encoder(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sparsearch.encoders.default.DEFAULT_FOLDER", tmp_path / "gone")
    with pytest.raises(EncoderUnavailableError, match="install sparsearch again"):
        Encoder.load()
