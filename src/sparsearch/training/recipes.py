"""The methods of the literature, each a choice of parts. Nothing here needs torch.

A `Recipe` says what encodes queries and documents, what is learned from, and what keeps the vectors
sparse. `RECIPES` holds one for each published method, with its paper; a method of one's own is
another `Recipe`, usually made with `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsearch.errors import InvalidInputError, shorten

__all__ = [
    "ACTIVATIONS",
    "ENCODERS",
    "LOSSES",
    "POOLINGS",
    "RECIPES",
    "REGULARISERS",
    "EncoderPart",
    "LossPart",
    "Recipe",
    "RegulariserPart",
    "recipe_named",
]

ENCODERS = (
    "binary",  # 1 for each term of the text
    "idf",  # its inverse document frequency
    "table",  # a learned weight a term
    "term_weights",  # a learned weight for each token of the text, from its hidden state
    "masked_lm",  # the masked-language-model head: weights for all terms of the vocabulary
    "tied",  # the same without the head's transform: hidden states against input embeddings
    "epic",  # EPIC's gated head
    "echo",  # a decoder that reads the text twice; the second copy goes through a tied head
    "prompt_reps",  # a decoder asked for one word; its logits for the words of the text
)
POOLINGS = ("max", "sum", "last")
ACTIVATIONS = (
    "identity",
    "relu",
    "log1p",  # log(1 + relu(x))
    "log1p_log1p",  # log(1 + log(1 + relu(x)))
    "log1p_softplus",  # log(1 + softplus(x))
    "sparsemax",  # over the vocabulary, after pooling
    "entmax15",  # the same, alpha = 1.5
)
LOSSES = ("infonce", "candidates", "margin_mse", "kl", "term_recall", "anti_zero")
REGULARISERS = ("flops", "l1", "df_flops")


@dataclass(frozen=True)
class EncoderPart:
    """What turns queries, or documents, into vectors.

    Parameters
    ----------
    kind : str
        One of `ENCODERS`.
    pooling : str
        From weights a token to weights a text: one of `POOLINGS`. Only for heads over the whole
        vocabulary; the others take the largest weight of a term's occurrences.
    activation : str
        One of `ACTIVATIONS`.
    """

    kind: str
    pooling: str = "max"
    activation: str = "log1p"

    def __post_init__(self) -> None:
        _one_of("encoder", self.kind, ENCODERS)
        _one_of("pooling", self.pooling, POOLINGS)
        _one_of("activation", self.activation, ACTIVATIONS)

    @property
    def inference_free(self) -> bool:
        """Whether encoding takes a tokenizer and a table only."""
        return self.kind in ("binary", "idf", "table")


@dataclass(frozen=True)
class LossPart:
    """One term of the ranking loss: its kind, one of `LOSSES`, and its weight."""

    kind: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _one_of("loss", self.kind, LOSSES)


@dataclass(frozen=True)
class RegulariserPart:
    """What keeps vectors sparse.

    Parameters
    ----------
    kind : str
        One of `REGULARISERS`.
    weight : float
        Its weight in the loss, reached at the end of the ramp.
    ramp : float
        Share of all steps over which the weight grows, quadratically, from 0.
    threshold : int, optional
        The l0 mask: vectors with no more non-zeros than that are left alone (``flops`` only).
    """

    kind: str
    weight: float
    ramp: float = 1 / 3
    threshold: int | None = None

    def __post_init__(self) -> None:
        _one_of("regulariser", self.kind, REGULARISERS)


@dataclass(frozen=True)
class Recipe:
    """A method: encoders, losses, regularisers, and the settings its paper gives.

    Parameters
    ----------
    name : str
    title, paper, url : str
        What it is called in print, who published it where, and a link.
    query, document : EncoderPart
    losses : tuple of LossPart
        Empty for a method that is not trained.
    query_regulariser, document_regulariser : RegulariserPart, optional
    shared : bool
        Whether queries and documents go through one and the same model.
    top_k : int, optional
        Non-zeros kept of each vector.
    learning_rate : float
        Peak learning rate.
    lora_rank : int, optional
        Rank of low-rank adapters, in place of training all weights.
    note : str
        Where the recipe departs from the paper.
    """

    name: str
    title: str
    paper: str
    url: str
    query: EncoderPart
    document: EncoderPart
    losses: tuple[LossPart, ...]
    query_regulariser: RegulariserPart | None = None
    document_regulariser: RegulariserPart | None = None
    shared: bool = False
    top_k: int | None = None
    learning_rate: float = 2e-5
    lora_rank: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.shared and self.query != self.document:
            reason = "a shared model encodes queries and documents alike"
            raise InvalidInputError(f"recipe {shorten(self.name)}: {reason}; make the parts equal")

    @property
    def needs_scores(self) -> bool:
        """Whether it learns from the scores of a teacher."""
        return any(loss.kind in ("margin_mse", "kl") for loss in self.losses)

    @property
    def needs_negatives(self) -> bool:
        """Whether each query must come with documents that do not answer it."""
        return self.needs_scores or any(loss.kind == "candidates" for loss in self.losses)


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


def _one_of(what: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInputError(f"no {what} {shorten(value)}; there are: {', '.join(allowed)}")


_BINARY, _IDF, _TABLE = EncoderPart("binary"), EncoderPart("idf"), EncoderPart("table")
_SPLADE = EncoderPart("masked_lm", "max", "log1p")
_IMPACTS = EncoderPart("term_weights", "max", "relu")
_INFONCE, _CANDIDATES = (LossPart("infonce"),), (LossPart("candidates"),)


def _flops(weight: float) -> RegulariserPart:
    return RegulariserPart("flops", weight, 1 / 3)


_ALL = (
    Recipe(
        "sparta",
        "SPARTA",
        "T. Zhao, X. Lu and K. Lee. SPARTA: Efficient open-domain question answering via sparse "
        "transformer matching retrieval. NAACL 2021",
        "https://arxiv.org/abs/2009.13013",
        _BINARY,
        EncoderPart("tied", "max", "log1p"),
        _INFONCE,
        top_k=1000,
        note="The head is kept as a table of its own, which starts from the input embeddings.",
    ),
    Recipe(
        "deepct",
        "DeepCT",
        "Z. Dai and J. Callan. Context-aware term weighting for first stage passage retrieval. "
        "SIGIR 2020",
        "https://arxiv.org/abs/1910.10687",
        _BINARY,
        EncoderPart("term_weights", "max", "identity"),
        (LossPart("term_recall"),),
        note="Weights go into the index as they are, in place of made-up term frequencies; "
        "negative ones count as zero.",
    ),
    Recipe(
        "deepimpact",
        "DeepImpact",
        "A. Mallia, O. Khattab, T. Suel and N. Tonellotto. Learning passage impacts for inverted "
        "indexes. SIGIR 2021",
        "https://arxiv.org/abs/2104.12016",
        _BINARY,
        _IMPACTS,
        _CANDIDATES,
        note="Impacts of word pieces, not of whole words. Documents are expanded beforehand.",
    ),
    Recipe(
        "deeperimpact",
        "DeeperImpact",
        "S. Basnet, J. Gou, A. Mallia and T. Suel. DeeperImpact: Optimizing sparse learned index "
        "structures. ReNeuIR at SIGIR 2024",
        "https://arxiv.org/abs/2405.17093",
        _BINARY,
        _IMPACTS,
        (LossPart("candidates"), LossPart("kl")),
        note="As deepimpact, with hard negatives and a teacher.",
    ),
    Recipe(
        "unicoil",
        "uniCOIL",
        "J. Lin and X. Ma. A few brief notes on DeepImpact, COIL, and a conceptual framework for "
        "information retrieval techniques. 2021",
        "https://arxiv.org/abs/2106.14807",
        _IMPACTS,
        _IMPACTS,
        _INFONCE,
        shared=True,
        note="Documents are expanded beforehand.",
    ),
    Recipe(
        "epic",
        "EPIC",
        "S. MacAvaney, F. M. Nardini, R. Perego, N. Tonellotto, N. Goharian and O. Frieder. "
        "Expansion via prediction of importance with contextualization. SIGIR 2020",
        "https://arxiv.org/abs/2004.14245",
        EncoderPart("term_weights", "max", "log1p_softplus"),
        EncoderPart("epic"),
        _CANDIDATES,
        top_k=1000,
    ),
    Recipe(
        "tildev2",
        "TILDEv2",
        "S. Zhuang and G. Zuccon. Fast passage re-ranking with contextualized exact term matching "
        "and efficient passage expansion. 2021",
        "https://arxiv.org/abs/2108.08513",
        _BINARY,
        _IMPACTS,
        _INFONCE,
        note="Documents are expanded beforehand.",
    ),
    Recipe(
        "splade",
        "SPLADE (v1)",
        "T. Formal, B. Piwowarski and S. Clinchant. SPLADE: Sparse lexical and expansion model for "
        "first stage ranking. SIGIR 2021",
        "https://arxiv.org/abs/2107.05720",
        EncoderPart("masked_lm", "sum", "log1p"),
        EncoderPart("masked_lm", "sum", "log1p"),
        _INFONCE,
        _flops(3e-4),
        _flops(1e-4),
        shared=True,
    ),
    Recipe(
        "splade-max",
        "SPLADE-max (SPLADE v2)",
        "T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical and "
        "expansion model for information retrieval. 2021",
        "https://arxiv.org/abs/2109.10086",
        _SPLADE,
        _SPLADE,
        _INFONCE,
        _flops(3e-4),
        _flops(1e-4),
        shared=True,
    ),
    Recipe(
        "splade-doc",
        "SPLADE-doc",
        "T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical and "
        "expansion model for information retrieval. 2021",
        "https://arxiv.org/abs/2109.10086",
        _BINARY,
        _SPLADE,
        _INFONCE,
        None,
        _flops(1e-4),
    ),
    Recipe(
        "distilsplade-max",
        "DistilSPLADE-max",
        "T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. SPLADE v2: Sparse lexical and "
        "expansion model for information retrieval. 2021",
        "https://arxiv.org/abs/2109.10086",
        _SPLADE,
        _SPLADE,
        (LossPart("margin_mse"),),
        _flops(0.1),
        _flops(0.08),
        shared=True,
    ),
    Recipe(
        "splade++",
        "SPLADE++ EnsembleDistil",
        "T. Formal, C. Lassance, B. Piwowarski and S. Clinchant. From distillation to hard "
        "negative sampling: Making sparse neural IR models more effective. SIGIR 2022",
        "https://arxiv.org/abs/2205.04733",
        _SPLADE,
        _SPLADE,
        (LossPart("margin_mse"),),
        _flops(0.5),
        _flops(0.4),
        shared=True,
        note="Negatives and scores come from an ensemble of teachers, which the data or the "
        "`teachers` of the configuration give.",
    ),
    Recipe(
        "splade-v3",
        "SPLADE-v3",
        "C. Lassance, H. Dejean, T. Formal and S. Clinchant. SPLADE-v3: New baselines for SPLADE. "
        "2024",
        "https://arxiv.org/abs/2403.06789",
        _SPLADE,
        _SPLADE,
        (LossPart("kl", 1.0), LossPart("margin_mse", 0.05)),
        _flops(5e-4),
        _flops(5e-4),
        shared=True,
        note="Meant for 8 negatives a query; the weights of the two losses are those that bring "
        "them to about the same size.",
    ),
    Recipe(
        "efficient-splade",
        "Efficient SPLADE",
        "C. Lassance and S. Clinchant. An efficiency study for SPLADE models. SIGIR 2022",
        "https://arxiv.org/abs/2207.03834",
        _SPLADE,
        _SPLADE,
        (LossPart("kl"),),
        RegulariserPart("l1", 5e-4),
        _flops(5e-4),
        note="Two separate models; `query_model` names a smaller one for the queries.",
    ),
    Recipe(
        "idf-aware",
        "Inference-free with IDF-aware FLOPS",
        "Z. Geng, Y. Wang, D. Ru and Y. Yang. Towards competitive search relevance for "
        "inference-free learned sparse retrievers. 2024",
        "https://arxiv.org/abs/2411.04403",
        _IDF,
        _SPLADE,
        (LossPart("kl"),),
        None,
        _flops(0.002),
        note="The IDF is in the score and so in the ranking loss, which FLOPS is weighed against; "
        "FLOPS itself is the plain one, as in the published code.",
    ),
    Recipe(
        "l0",
        "Inference-free with l0 mask",
        "X. Shen, Z. Geng and Y. Yang. Exploring l0 sparsification for inference-free sparse "
        "retrievers. SIGIR 2025",
        "https://arxiv.org/abs/2504.14839",
        _IDF,
        EncoderPart("masked_lm", "max", "log1p_log1p"),
        (LossPart("kl"),),
        None,
        RegulariserPart("flops", 0.08, 0.4, threshold=150),
    ),
    Recipe(
        "li-lsr",
        "Li-LSR",
        "F. M. Nardini, T. Nguyen, C. Rulli, R. Venturini and A. Yates. Effective inference-free "
        "retrieval for learned sparse representations. SIGIR 2025",
        "https://arxiv.org/abs/2505.01452",
        _TABLE,
        _SPLADE,
        (LossPart("kl"),),
        None,
        _flops(5e-4),
        note="The table is trained itself, starting from the IDF and kept non-negative, in place "
        "of a projection that is tabulated afterwards.",
    ),
    Recipe(
        "df-flops",
        "SPLADE-doc with DF-FLOPS",
        "A. Porco, D. Mehra, I. Malioutov, K. Radhakrishnan, M. Keymanesh, D. Preotiuc-Pietro, "
        "S. MacAvaney and P. Cheng. An alternative to FLOPS regularization to effectively "
        "productionize SPLADE-Doc. SIGIR 2025",
        "https://arxiv.org/abs/2505.15070",
        _BINARY,
        _SPLADE,
        _INFONCE,
        None,
        RegulariserPart("df_flops", 1e-3),
    ),
    Recipe(
        "echo-mistral-splade",
        "Echo-Mistral-SPLADE",
        "M. Doshi, V. Kumar, R. Murthy, V. P and J. Sen. Mistral-SPLADE: LLMs for better learned "
        "sparse retrieval. 2024",
        "https://arxiv.org/abs/2408.11119",
        EncoderPart("echo", "max", "log1p"),
        EncoderPart("echo", "max", "log1p"),
        _INFONCE,
        _flops(3e-4),
        _flops(1e-4),
        shared=True,
        learning_rate=1e-4,
        lora_rank=16,
    ),
    Recipe(
        "promptreps",
        "PromptReps",
        "S. Zhuang, X. Ma, B. Koopman, J. Lin and G. Zuccon. PromptReps: Prompting large language "
        "models to generate dense and sparse representations for zero-shot document retrieval. "
        "EMNLP 2024",
        "https://arxiv.org/abs/2404.18424",
        EncoderPart("prompt_reps", "last", "log1p"),
        EncoderPart("prompt_reps", "last", "log1p"),
        (),
        shared=True,
        top_k=128,
        note="Not trained. Only the sparse vectors.",
    ),
)

RECIPES = {recipe.name: recipe for recipe in _ALL}
"""All recipes by name."""
