"""One writer and a reader: what is committed is seen by who refreshes, and nobody waits.

Run it with ``python examples/update_while_searching.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import sparsearch as ss

NEWS = (
    {"id": "n1", "text": "The library opens on Sundays from May.", "day": "2024-04-02"},
    {"id": "n2", "text": "Sunday bus service resumes.", "day": "2024-04-03"},
    {"id": "n3", "text": "The museum closes for repairs.", "day": "2024-04-03"},
)


def feed(start: int) -> Iterator[dict[str, str]]:
    """Yield the news from a position on, as a source that is resumed would."""
    yield from NEWS[start:]


def found(index: ss.Index) -> list[str]:
    """Return the ids of the news about Sundays."""
    return [hit.id for hit in index.search("sunday", filter={"day": {">=": "2024-04-01"}})]


def main() -> None:
    """Add, replace and delete while another `Index` searches."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "news"
        with ss.Index.create(folder, "bm25") as writer, ss.Index.open(folder) as reader:
            writer.add([NEWS[0]], source="feed")
            print("writer", found(writer), "reader", found(reader))
            reader.refresh()
            print("reader after refresh", found(reader))

            progress = writer.source_progress("feed")
            stored = progress.consumed if progress else 0
            added = writer.add(feed(stored), source="feed")
            print(f"{added} more after the first {stored}")

            writer.upsert([{**NEWS[0], "text": "The library stays closed on Sundays."}])
            writer.delete(["n2"])
            writer.optimize()
            print("reader, on its snapshot", found(reader))
            reader.refresh()
            print("reader after refresh", found(reader), reader.get("n1").text)
            print("verify:", writer.verify() or "undamaged")


if __name__ == "__main__":
    main()
