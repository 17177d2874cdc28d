"""``sparsearch export-onnx``: a model as a folder that loads without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparsearch.cli._arguments import Quantize, Recipe
from sparsearch.cli._console import human_bytes, quoted, working

EXAMPLES = (
    "sparsearch export-onnx naver/splade-v3 splade-v3",
    "sparsearch export-onnx my-model/ my-model-onnx --no-quantize",
)


def export_onnx(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a sparse encoder, or its name on the Hugging Face hub.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder to write: new, or empty.", show_default=False
        ),
    ],
    recipe: Recipe = None,
    quantize: Quantize = True,
) -> None:
    """Write a model as a folder that loads without torch.

    The folder holds an ONNX graph with pooling and activation, the tokenizer, and for models with
    inference-free queries the table of their weights.
    """
    from sparsearch.encoders import export_model

    with working("exporting"):
        export_model(model, folder, recipe=recipe, quantize=quantize)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder} holds the model in {human_bytes(size)}")
    print(f"next: sparsearch encode papers.jsonl vectors.jsonl --encoder {quoted(folder)}")
