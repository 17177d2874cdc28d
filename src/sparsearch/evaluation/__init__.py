"""Measuring runs against relevance judgements.

>>> from sparsearch.evaluation import compare, evaluate
>>> from sparsearch.runs import Qrels, Run
>>> qrels = Qrels({"q1": {"d1": 1}, "q2": {"d9": 1}})
>>> run = Run({"q1": [("d2", 2.0), ("d1", 1.0)]}, name="bm25")
>>> evaluate(run, qrels, ["RR@10"])["RR@10"]  # q2 is judged, so it counts: as zero
0.25
"""

from __future__ import annotations

from sparsearch.evaluation.datasets import Dataset, Judgements, load_dataset, load_judgements
from sparsearch.evaluation.measures import (
    DEFAULT_MEASURES,
    Evaluation,
    check_measures,
    evaluate,
)
from sparsearch.evaluation.significance import (
    CORRECTIONS,
    TESTS,
    Comparison,
    RunComparison,
    compare,
)

__all__ = [
    "CORRECTIONS",
    "DEFAULT_MEASURES",
    "TESTS",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Judgements",
    "RunComparison",
    "check_measures",
    "compare",
    "evaluate",
    "load_dataset",
    "load_judgements",
]
