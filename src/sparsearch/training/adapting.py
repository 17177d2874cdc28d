"""Adapting the default encoder to a corpus, without labels, queries or another model.

The default encoder gives each term, which one or several tokens stand for, a direction, such that
the sum over the tokens of a text points where its model puts the text (see `training.directions`).
A field of its own uses words in its own way; so the directions are fitted once more, to what the
corpus itself says: its texts, their sentences, and some words in a row of each. Nothing else of the
encoder changes.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sparsearch.encoders import HybridEncoder, OnnxEncoder
from sparsearch.encoders.default import DEFAULT_FOLDER
from sparsearch.encoders.hybrid_folder import load_hybrid
from sparsearch.encoders.model_folder import MODEL_NAME, SETTINGS_NAME
from sparsearch.encoders.onnx_model import open_session
from sparsearch.errors import InvalidInputError, MissingExtraError, TrainingError
from sparsearch.index.documents import check_documents
from sparsearch.training.config import FitConfig

__all__ = ["AdaptingStep", "adapt_default", "pieces_of"]

_DIRECTIONS: Final = "directions"
_LARGEST_CODE: Final = 64
"""Of 7 bits: with 8, sums of two products overflow in the fast kernels of some processors."""

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n")
_FEWEST_WORDS, _MOST_WORDS = 4, 30
_FEWEST_PIECES: Final = 100
_LONGEST_BAG: Final = 128


@dataclass(frozen=True)
class AdaptingStep:
    """How far adapting got.

    Parameters
    ----------
    stage : {"encoding", "fitting"}
        Dense vectors of what the corpus says come first, then passes over them.
    done, total : int
        Pieces, or passes.
    loss : float, optional
        Of a pass that is done: the mean of 1 - cosine.
    """

    stage: Literal["encoding", "fitting"]
    done: int
    total: int
    loss: float | None = None


def adapt_default(
    documents: Iterable[Mapping[str, Any]],
    output: str | Path,
    *,
    config: FitConfig | None = None,
    most_pieces: int = 20_000,
    report: Callable[[AdaptingStep], None] = lambda step: None,
) -> HybridEncoder:
    """Fit the default encoder's directions to a corpus, and write the encoder to a folder.

    Parameters
    ----------
    documents : iterable of mapping
        As for `Index.add`. Of more than `most_pieces`, so many are drawn by chance and kept in
        memory.
    output : str or Path
        A folder that does not exist yet; `Encoder.load` loads it afterwards.
    config : FitConfig, optional
    most_pieces : int
        Sentences and words in a row that are used, drawn by chance; and a quarter as many texts.
    report : callable, optional
        Called after each step.

    Returns
    -------
    HybridEncoder

    Raises
    ------
    MissingExtraError
        When onnx or torch is not installed.
    InvalidDocumentError
        At the first malformed document.
    InvalidInputError
        When `most_pieces` is too small.
    TrainingError
        When `output` exists, or there is too little text.
    """
    try:
        import onnx

        from sparsearch.training.directions import Bags, fit_directions
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    folder, config = Path(output), config or FitConfig()
    if folder.exists():
        raise TrainingError(f"{folder} exists; give another folder")
    texts = (record.content for record in check_documents(documents))
    pieces = pieces_of(texts, most_pieces, config.seed)
    graph = onnx.load(DEFAULT_FOLDER / MODEL_NAME, load_external_data=False)
    encoder = OnnxEncoder(DEFAULT_FOLDER)
    head = _Head(graph, encoder.settings.dimension)
    windows, bags = _windows_and_bags(encoder, pieces, head.terms)

    def encoded(count: int) -> None:
        report(AdaptingStep("encoding", count, len(windows)))

    def fitted(epoch: int, loss: float) -> None:
        report(AdaptingStep("fitting", epoch, config.epochs, loss))

    vectors = _vectors(graph, encoder, windows, encoded)
    report(AdaptingStep("fitting", 0, config.epochs))
    head.replace(fit_directions(head.directions, Bags.of(bags, vectors), config, fitted))
    _write(graph, folder, config, len(windows))
    return load_hybrid(folder, str(folder.resolve()))


def pieces_of(texts: Iterable[str], most: int, seed: int) -> list[str]:
    """Return what a corpus says: sentences, words in a row of them, and whole texts.

    Parameters
    ----------
    texts : iterable of str
    most : int
        Of sentences and words in a row, and four times the number of whole texts.
    seed : int

    Raises
    ------
    TrainingError
        When there are too few to learn from.
    """
    if most < _FEWEST_PIECES:
        raise InvalidInputError(f"most_pieces is {most}; it must be at least {_FEWEST_PIECES}")
    chance = random.Random(seed)
    whole = _drawn((text for text in texts if text.strip()), most, chance)
    short: dict[str, None] = {}
    for text in whole:
        for sentence in _SENTENCE_END.split(text):
            words = sentence.split()
            if len(words) >= _FEWEST_WORDS:
                short[" ".join(words[:_MOST_WORDS])] = None
                count = chance.randint(3, 9)
                first = chance.randrange(max(1, len(words) - count + 1))
                short[" ".join(words[first : first + count])] = None
    if len(short) < _FEWEST_PIECES:
        raise TrainingError(
            f"the texts have {len(short)} sentences of {_FEWEST_WORDS} words and more; at least "
            f"{_FEWEST_PIECES} are needed to adapt to them"
        )
    drawn = chance.sample(list(short), min(most, len(short)))
    return drawn + chance.sample(whole, min(most // 4, len(whole)))


def _drawn(texts: Iterable[str], most: int, chance: random.Random) -> list[str]:
    """Return all texts, or so many of them, each as likely as any other (Vitter's algorithm R)."""
    kept: list[str] = []
    for number, text in enumerate(texts):
        if number < most:
            kept.append(text)
        elif (place := chance.randrange(number + 1)) < most:
            kept[place] = text
    return kept


class _Head:
    """The directions in the ONNX graph of the default encoder: codes of 7 bits, scales per token.

    Parameters
    ----------
    graph : onnx.ModelProto
    dimension : int
        Size of the vocabulary.
    """

    def __init__(self, graph: Any, dimension: int) -> None:
        from onnx.numpy_helper import to_array

        self._arrays = {array.name: array for array in graph.graph.initializer}
        codes = to_array(self._arrays[f"{_DIRECTIONS}_quantized"]).astype(np.float32)
        scales = to_array(self._arrays[f"{_DIRECTIONS}_scale"])
        (self.terms,) = [
            to_array(array)
            for array in graph.graph.initializer
            if list(array.dims) == [len(scales)] and array.data_type == array.INT64
        ]
        self.directions = np.zeros((dimension, len(codes)), np.float32)
        self.directions[self.terms] = (codes * scales).T

    def replace(self, directions: NDArray[np.float32]) -> None:
        """Put other directions into the graph."""
        from onnx.numpy_helper import from_array

        own = directions[self.terms].T
        scales = np.maximum(np.abs(own).max(axis=0) / _LARGEST_CODE, np.finfo(np.float32).tiny)
        codes = np.clip(np.rint(own / scales), -_LARGEST_CODE, _LARGEST_CODE)
        for part, values in (
            ("quantized", codes.astype(np.int8)),
            ("scale", scales.astype(np.float32)),
            ("zero_point", np.zeros(len(scales), np.int8)),
        ):
            name = f"{_DIRECTIONS}_{part}"
            self._arrays[name].CopyFrom(from_array(np.ascontiguousarray(values), name))


def _windows_and_bags(
    encoder: OnnxEncoder, pieces: Sequence[str], known: NDArray[np.int64]
) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int64]]]:
    """Return the first window of each piece that has known terms, and these terms.

    Raises
    ------
    TrainingError
        When too few pieces have any.
    """
    terms, length = encoder.query_terms, encoder.settings.windows.length
    windows = [row[:length] for row in encoder.tokens(pieces)]
    bags = [np.intersect1d(terms[window], known)[:_LONGEST_BAG] for window in windows]
    filled = [i for i, bag in enumerate(bags) if len(bag)]
    if len(filled) < _FEWEST_PIECES:
        raise TrainingError(
            f"{len(filled)} of {len(pieces)} sentences and texts have words that the default "
            f"encoder knows (English ones); at least {_FEWEST_PIECES} are needed to adapt to them"
        )
    return [windows[i] for i in filled], [bags[i] for i in filled]


def _vectors(
    graph: Any,
    encoder: OnnxEncoder,
    windows: Sequence[NDArray[np.int32]],
    report: Callable[[int], None],
) -> NDArray[np.float32]:
    """Return what the head sees of each window of tokens: its pooled, unit-normed state."""
    import onnx

    settings = encoder.settings
    made_by = {name: node for node in graph.graph.node for name in node.output}
    (product,) = [node for node in graph.graph.node if f"{_DIRECTIONS}_quantized" in node.input]
    pooled = made_by[product.input[0]].input[0]
    shortened = onnx.ModelProto()
    shortened.CopyFrom(graph)
    del shortened.graph.output[:]
    kind = onnx.TensorProto.FLOAT
    shortened.graph.output.append(onnx.helper.make_tensor_value_info(pooled, kind, [None, None]))
    session = open_session(shortened.SerializeToString())

    def vector(window: NDArray[np.int32]) -> NDArray[np.float32]:
        ids = [*settings.prefix_ids, *window.tolist(), *settings.suffix_ids]
        inputs = np.array([ids], np.int64)
        feeds = {"input_ids": inputs, "attention_mask": np.ones_like(inputs)}
        state: NDArray[np.float32] = session.run([pooled], feeds)[0][0]
        return state

    vectors = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for made in pool.map(vector, windows):
            vectors.append(made)
            report(len(vectors))
    return np.stack(vectors)


_CARD: Final = """# The default encoder of sparsearch, adapted

Made by `sparsearch adapt` (version {version}) from the encoder that comes with the package, whose
directions were fitted once more to {pieces:,} sentences, word sequences and texts of a corpus; base
model, thresholds, weights and licence are the default encoder's, whose card comes with sparsearch.
What `training.json` says under "adapted" is of this encoder, all else of the one it was made from.
How well it does has not been measured: `sparsearch evaluate` tells, with judged queries.
"""


def _write(graph: Any, folder: Path, config: FitConfig, n_pieces: int) -> None:
    """Write the default encoder with another graph: whole or not at all, whenever this ends."""
    import onnx

    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as parent:
        made = shutil.copytree(DEFAULT_FOLDER, Path(parent) / folder.name)
        onnx.save(graph, made / MODEL_NAME)
        _rename(made, config, n_pieces)
        made.rename(folder)


def _rename(folder: Path, config: FitConfig, n_pieces: int) -> None:
    """Say in the folder's files that this is another encoder."""
    card = _CARD.format(version=version("sparsearch"), pieces=n_pieces)
    (folder / "README.md").write_text(card, encoding="utf-8")
    path = folder / SETTINGS_NAME
    settings = json.loads(path.read_text("utf-8"))
    settings["name"] += ", adapted"
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    path = folder / "training.json"
    facts = json.loads(path.read_text("utf-8"))
    facts["adapted"] = {"pieces": n_pieces, **asdict(config)}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
