"""The methods of the literature, each a choice of parts. Nothing here needs torch.

`RECIPES` holds one `Recipe` for each published method, with its paper; a method of one's own is
another `Recipe`, usually made with `dataclasses.replace`.
"""

from __future__ import annotations

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.training.recipe import EncoderPart, LossPart, Recipe, RegulariserPart

__all__ = ["RECIPES", "recipe_named"]

_BINARY, _IDF, _TABLE = EncoderPart("binary"), EncoderPart("idf"), EncoderPart("table")
_SPLADE = EncoderPart("masked_lm", "max", "log1p")
_IMPACTS = EncoderPart("term_weights", "max", "relu")
_INFONCE, _CANDIDATES = (LossPart("infonce"),), (LossPart("candidates"),)


def _flops(weight: float) -> RegulariserPart:
    return RegulariserPart("flops", weight)


_ALL = (
    Recipe(
        name="sparta",
        title="SPARTA",
        paper="T. Zhao, X. Lu and K. Lee. SPARTA: Efficient open-domain question answering via "
        "sparse transformer matching retrieval. NAACL 2021",
        url="https://arxiv.org/abs/2009.13013",
        query=_BINARY,
        document=EncoderPart("tied", "max", "log1p"),
        losses=_INFONCE,
        top_k=1000,
        note="The head is kept as a table of its own, which starts from the input embeddings.",
    ),
    Recipe(
        name="deepct",
        title="DeepCT",
        paper="Z. Dai and J. Callan. Context-aware term weighting for first stage passage "
        "retrieval. SIGIR 2020",
        url="https://arxiv.org/abs/1910.10687",
        query=_BINARY,
        document=EncoderPart("term_weights", "max", "identity"),
        losses=(LossPart("term_recall"),),
        note="Weights go into the index as they are, in place of made-up term frequencies; "
        "negative ones count as zero.",
    ),
    Recipe(
        name="deepimpact",
        title="DeepImpact",
        paper="A. Mallia, O. Khattab, T. Suel and N. Tonellotto. Learning passage impacts for "
        "inverted indexes. SIGIR 2021",
        url="https://arxiv.org/abs/2104.12016",
        query=_BINARY,
        document=_IMPACTS,
        losses=_CANDIDATES,
        note="Impacts of word pieces, not of whole words. Documents are expanded beforehand.",
    ),
    Recipe(
        name="deeperimpact",
        title="DeeperImpact",
        paper="S. Basnet, J. Gou, A. Mallia and T. Suel. DeeperImpact: Optimizing sparse learned "
        "index structures. ReNeuIR at SIGIR 2024",
        url="https://arxiv.org/abs/2405.17093",
        query=_BINARY,
        document=_IMPACTS,
        losses=(LossPart("candidates"), LossPart("kl")),
        note="As deepimpact, with hard negatives and a teacher.",
    ),
    Recipe(
        name="unicoil",
        title="uniCOIL",
        paper="J. Lin and X. Ma. A few brief notes on DeepImpact, COIL, and a conceptual framework "
        "for information retrieval techniques. 2021",
        url="https://arxiv.org/abs/2106.14807",
        query=_IMPACTS,
        document=_IMPACTS,
        losses=_INFONCE,
        shared=True,
        note="Documents are expanded beforehand.",
    ),
    Recipe(
        name="epic",
        title="EPIC",
        paper="S. MacAvaney, F. M. Nardini, R. Perego, N. Tonellotto, N. Goharian and O. Frieder. "
        "Expansion via prediction of importance with contextualization. SIGIR 2020",
        url="https://arxiv.org/abs/2004.14245",
        query=EncoderPart("term_weights", "max", "log1p_softplus"),
        document=EncoderPart("epic"),
        losses=_CANDIDATES,
        top_k=1000,
    ),
    Recipe(
        name="tildev2",
        title="TILDEv2",
        paper="S. Zhuang and G. Zuccon. Fast passage re-ranking with contextualized exact term "
        "matching and efficient passage expansion. 2021",
        url="https://arxiv.org/abs/2108.08513",
        query=_BINARY,
        document=_IMPACTS,
        losses=_INFONCE,
        note="Documents are expanded beforehand.",
    ),
    Recipe(
        name="splade",
        title="SPLADE (v1)",
        paper="T. Formal, B. Piwowarski and S. Clinchant. SPLADE: Sparse lexical and expansion "
        "model for first stage ranking. SIGIR 2021",
        url="https://arxiv.org/abs/2107.05720",
        query=EncoderPart("masked_lm", "sum", "log1p"),
        document=EncoderPart("masked_lm", "sum", "log1p"),
        losses=_INFONCE,
        query_regulariser=_flops(3e-4),
        document_regulariser=_flops(1e-4),
        shared=True,
    ),
    Recipe(
        name="splade-max",
        title="SPLADE-max (SPLADE v2)",
        paper="T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical "
        "and expansion model for information retrieval. 2021",
        url="https://arxiv.org/abs/2109.10086",
        query=_SPLADE,
        document=_SPLADE,
        losses=_INFONCE,
        query_regulariser=_flops(3e-4),
        document_regulariser=_flops(1e-4),
        shared=True,
    ),
    Recipe(
        name="splade-doc",
        title="SPLADE-doc",
        paper="T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical "
        "and expansion model for information retrieval. 2021",
        url="https://arxiv.org/abs/2109.10086",
        query=_BINARY,
        document=_SPLADE,
        losses=_INFONCE,
        document_regulariser=_flops(1e-4),
    ),
    Recipe(
        name="distilsplade-max",
        title="DistilSPLADE-max",
        paper="T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical "
        "and expansion model for information retrieval. 2021",
        url="https://arxiv.org/abs/2109.10086",
        query=_SPLADE,
        document=_SPLADE,
        losses=(LossPart("margin_mse"),),
        query_regulariser=_flops(0.1),
        document_regulariser=_flops(0.08),
        shared=True,
    ),
    Recipe(
        name="splade++",
        title="SPLADE++ EnsembleDistil",
        paper="T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. From distillation to hard "
        "negative sampling: Making sparse neural IR models more effective. SIGIR 2022",
        url="https://arxiv.org/abs/2205.04733",
        query=_SPLADE,
        document=_SPLADE,
        losses=(LossPart("margin_mse"),),
        query_regulariser=_flops(0.5),
        document_regulariser=_flops(0.4),
        shared=True,
        note="Negatives and scores come from an ensemble of teachers, which the data or the "
        "`teachers` of the configuration give.",
    ),
    Recipe(
        name="splade-v3",
        title="SPLADE-v3",
        paper="C. Lassance, H. Dejean, T. Formal and S. Clinchant. SPLADE-v3: New baselines for "
        "SPLADE. 2024",
        url="https://arxiv.org/abs/2403.06789",
        query=_SPLADE,
        document=_SPLADE,
        losses=(LossPart("kl", 1.0), LossPart("margin_mse", 0.05)),
        query_regulariser=_flops(5e-4),
        document_regulariser=_flops(5e-4),
        shared=True,
        note="Meant for 8 negatives a query; the weights of the two losses are those that bring "
        "them to about the same size.",
    ),
    Recipe(
        name="efficient-splade",
        title="Efficient SPLADE",
        paper="C. Lassance and S. Clinchant. An efficiency study for SPLADE models. SIGIR 2022",
        url="https://arxiv.org/abs/2207.03834",
        query=_SPLADE,
        document=_SPLADE,
        losses=(LossPart("kl"),),
        query_regulariser=RegulariserPart("l1", 5e-4),
        document_regulariser=_flops(5e-4),
        note="Two separate models; `query_model` names a smaller one for the queries.",
    ),
    Recipe(
        name="idf-aware",
        title="Inference-free with IDF-aware FLOPS",
        paper="Z. Geng, Y. Wang, D. Ru and Y. Yang. Towards competitive search relevance for "
        "inference-free learned sparse retrievers. 2024",
        url="https://arxiv.org/abs/2411.04403",
        query=_IDF,
        document=_SPLADE,
        losses=(LossPart("kl"),),
        document_regulariser=_flops(0.002),
        note="The IDF is in the score and so in the ranking loss, which FLOPS is weighed against; "
        "FLOPS itself is the plain one, as in the published code.",
    ),
    Recipe(
        name="l0",
        title="Inference-free with l0 mask",
        paper="X. Shen, Z. Geng and Y. Yang. Exploring l0 sparsification for inference-free sparse "
        "retrievers. SIGIR 2025",
        url="https://arxiv.org/abs/2504.14839",
        query=_IDF,
        document=EncoderPart("masked_lm", "max", "log1p_log1p"),
        losses=(LossPart("kl"),),
        document_regulariser=RegulariserPart("flops", 0.08, ramp=0.4, threshold=150),
    ),
    Recipe(
        name="li-lsr",
        title="Li-LSR",
        paper="F. M. Nardini, T. Nguyen, C. Rulli, R. Venturini and A. Yates. Effective "
        "inference-free retrieval for learned sparse representations. SIGIR 2025",
        url="https://arxiv.org/abs/2505.01452",
        query=_TABLE,
        document=_SPLADE,
        losses=(LossPart("kl"),),
        document_regulariser=_flops(5e-4),
        note="The table is trained itself, starting from the IDF and kept non-negative, in place "
        "of a projection that is tabulated afterwards.",
    ),
    Recipe(
        name="df-flops",
        title="SPLADE-doc with DF-FLOPS",
        paper="A. Porco, D. Mehra, I. Malioutov, K. Radhakrishnan, M. Keymanesh, D. "
        "Preotiuc-Pietro, S. MacAvaney and P. Cheng. An alternative to FLOPS regularization to "
        "effectively productionize SPLADE-Doc. SIGIR 2025",
        url="https://arxiv.org/abs/2505.15070",
        query=_BINARY,
        document=_SPLADE,
        losses=_INFONCE,
        document_regulariser=RegulariserPart("df_flops", 1e-3),
    ),
    Recipe(
        name="echo-mistral-splade",
        title="Echo-Mistral-SPLADE",
        paper="M. Doshi, V. Kumar, R. Murthy, V. P and J. Sen. Mistral-SPLADE: LLMs for better "
        "learned sparse retrieval. 2024",
        url="https://arxiv.org/abs/2408.11119",
        query=EncoderPart("echo", "max", "log1p"),
        document=EncoderPart("echo", "max", "log1p"),
        losses=_INFONCE,
        query_regulariser=_flops(3e-4),
        document_regulariser=_flops(1e-4),
        shared=True,
        learning_rate=1e-4,
        lora_rank=16,
    ),
    Recipe(
        name="promptreps",
        title="PromptReps",
        paper="S. Zhuang, X. Ma, B. Koopman, J. Lin and G. Zuccon. PromptReps: Prompting large "
        "language models to generate dense and sparse representations for zero-shot document "
        "retrieval. EMNLP 2024",
        url="https://arxiv.org/abs/2404.18424",
        query=EncoderPart("prompt_reps", "last", "log1p"),
        document=EncoderPart("prompt_reps", "last", "log1p"),
        losses=(),
        shared=True,
        top_k=128,
        note="Not trained. Only the sparse vectors.",
    ),
)

RECIPES = {recipe.name: recipe for recipe in _ALL}
"""All recipes by name."""


def recipe_named(name: str) -> Recipe:
    """Return a recipe of `RECIPES`.

    Raises
    ------
    InvalidInputError
        When there is none of this name; lists those there are.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise InvalidInputError(f"no recipe {shorten(name)}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]
