"""Search with the sparse vectors of a model of your own.

The model here is a toy that expands words by a few related ones, in place of SPLADE: it shows what
expansion does, and needs no download. Whatever makes your vectors, the calls are the same. Run it
with ``python examples/bring_your_own_vectors.py``.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss

DOCUMENTS = {
    "shutil.rmtree": "recursively delete a directory tree",
    "os.remove": "remove a file",
    "os.makedirs": "create a directory and all folders above it",
    "shutil.copytree": "recursively copy a directory tree",
    "glob.glob": "return the paths that match a pattern",
    "tempfile.mkdtemp": "make a temporary directory that the user must erase",
}
RELATED = {
    "delete": {"remove": 0.7, "erase": 0.6},
    "remove": {"delete": 0.7, "erase": 0.5},
    "erase": {"delete": 0.6, "remove": 0.6},
    "directory": {"folder": 0.8},
    "folders": {"folder": 1.0, "directory": 0.8},
    "create": {"make": 0.8},
    "make": {"create": 0.8},
}
IGNORED = frozenset({"a", "all", "and", "it", "must", "of", "that", "the", "user"})


def expand(text: str) -> dict[str, float]:
    """Return the sparse vector of a text, expanded by related words."""
    vector: dict[str, float] = {}
    for word, count in Counter(text.split()).items():
        if word not in IGNORED:
            weight = math.log1p(count)
            for term, share in {word: 1.0, **RELATED.get(word, {})}.items():
                vector[term] = max(vector.get(term, 0.0), weight * share)
    return vector


def words_only(text: str) -> dict[str, float]:
    """Return a query's words, each of weight 1: a query needs no model (inference-free)."""
    return {word: 1.0 for word in text.split() if word not in IGNORED}


def main() -> None:
    """Index vectors, search by a vector, and look at what is stored."""
    vectors = ss.SparseVectors.from_dicts(map(expand, DOCUMENTS.values()))
    fields = [{"text": text} for text in DOCUMENTS.values()]
    with TemporaryDirectory() as name, ss.Index.create(Path(name) / "vectors", None) as index:
        index.add_vectors(list(DOCUMENTS), vectors, fields)

        for query in ("delete folder", "create folder"):
            print(query)
            for hit in index.search(words_only(query), k=3):
                because = index.explain(words_only(query), hit.id).terms
                parts = " + ".join(f"{term.term} {term.contribution:.2f}" for term in because)
                print(f"  {hit.score:.4f}  {hit.id:16}  {hit.text}  ({parts})")

        run = index.search_batch(ss.SparseVectors.from_dicts([words_only("erase file")]), k=2)
        print(f"erase file: {', '.join(run.ids('0'))}")

        given, stored = vectors.to_dicts()[0], index.vectors(0, 1).to_dicts()[0]
        lost = max(given[term] - stored[term] for term in given)
        print(f"stored weights are lower than those given by at most {lost:.6f}")


if __name__ == "__main__":
    main()
