"""Index real text, search it, filter on metadata, and see why a document matched.

The text is docstrings of Python's standard library, so that nothing need be downloaded: those of a
few packages, as the default encoder's model reads some tens to hundreds a second. Run it with
``python examples/search_docstrings.py``.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss
from sparsearch.demo import standard_library_documents

PACKAGES = {"bisect", "collections", "functools", "heapq", "itertools", "queue", "shutil"}
QUESTION = "merge sorted iterables into one"


def show(hits: list[ss.Hit]) -> None:
    """Print a line per hit."""
    for hit in hits:
        summary = (hit.text or "").partition("\n")[0]
        print(f"  {hit.score:7.4f}  {hit.id:28.28}  {summary[:60]}")


def main() -> None:
    """Index, search, filter, explain."""
    with TemporaryDirectory() as folder, ss.Index.create(Path(folder) / "docstrings") as index:
        count = index.add(d for d in standard_library_documents() if d["package"] in PACKAGES)
        index.optimize()
        print(f"{count:,} docstrings, {index.info().terms:,} terms\n")

        print(QUESTION)
        show(index.search(QUESTION, k=3))

        print(f"\n{QUESTION}, among classes and methods of collections")
        condition = {"package": "collections", "kind": {"in": ["class", "method"]}}
        show(index.search(QUESTION, k=3, filter=condition))

        explanation = index.explain(QUESTION, "heapq.merge")
        print(f"\nheapq.merge has its {explanation.score:.4f} from")
        for term in explanation.terms:
            print(f"  {term.term:10}  {term.query_weight:7.4f} * {term.document_weight:.4f}")


if __name__ == "__main__":
    main()
