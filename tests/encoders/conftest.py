"""Tiny models, made once."""

from __future__ import annotations

import pytest
import tiny_models


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return the folder of a tiny model by its name; it is made when it is first asked for."""
    pytest.importorskip("sentence_transformers", reason="makes the models; extra train")
    root = tmp_path_factory.mktemp("models")
    makers = {
        "splade": tiny_models.splade,
        "inference-free": tiny_models.inference_free,
        "bge-m3": tiny_models.bge_m3,
        "dense": tiny_models.dense,
        "masked-lm": tiny_models.masked_lm,
    }

    made = {}

    def model(name, *arguments, **options):
        label = "-".join([name, *arguments, *options.values()])
        if label not in made:
            made[label] = makers[name](root / label, *arguments, **options)
        return made[label]

    return model


@pytest.fixture(scope="session")
def exported(models, tmp_path_factory):
    """Return the folder of a tiny inference-free model in ONNX, of 8-bit integers."""
    from sparsearch.encoders import export_model

    folder = tmp_path_factory.mktemp("exported") / "model"
    export_model(models("inference-free"), folder)
    return folder
