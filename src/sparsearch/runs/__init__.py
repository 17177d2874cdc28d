"""What a search returns and what it is measured against.

`Hit` is one search result, `Run` the rankings of a set of queries, `Qrels` the relevance
judgements. Runs and qrels are read and written in the formats of TREC and BEIR, whose tools
(trec_eval, ir-measures, ranx, pyserini) can be used on both sides.
"""

from __future__ import annotations

from sparsearch.runs.hit import Hit
from sparsearch.runs.qrels import Qrels
from sparsearch.runs.run import Run

__all__ = ["Hit", "Qrels", "Run"]
