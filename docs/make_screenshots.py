"""Make the pictures of the page in docs/images: ``python docs/make_screenshots.py``.

It needs the extra dev and a Chromium (``CHROMIUM=/path/to/it``), and takes about a minute. What it
shows is the docstrings of Python's standard library, twice: as an index of BM25, and as vectors
that are expanded by those of their neighbours (Singhal and Pereira, 1999), so that a document is
found by words that it does not hold.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from sparsearch import Bm25Config, Bm25Encoder, Index, SparseVectors
from sparsearch.demo import standard_library_documents
from sparsearch.encoders import AnalysisConfig
from sparsearch.serve import ServeConfig
from sparsearch.serve.server import make_server

IMAGES = Path(__file__).with_name("images")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NEIGHBOURS = 5
SHARE = 1.0
KEPT = 64
COLOURS = 160

DESKTOP = {"viewport": {"width": 1280, "height": 820}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 375, "height": 760}, "device_scale_factor": 2, "is_mobile": True}
PICTURES = {
    "page-light": ("q=decode+json+into+python+objects&c=docstrings", DESKTOP, "light"),
    "page-dark": ("q=temporary+file+removed&c=docstrings&c=expanded", DESKTOP, "dark"),
    "page-phone": ("q=elapsed+time&c=expanded~0.95", PHONE, "light"),
}
Vector = dict[str, float]


def expanded(vectors: Sequence[Vector], neighbours: Sequence[Sequence[int]]) -> list[Vector]:
    """Return vectors with a share of their neighbours', of each the heaviest terms."""
    found = []
    for own, near in zip(vectors, neighbours, strict=True):
        mixed = Counter(own)
        for other in near:
            for term, weight in vectors[other].items():
                mixed[term] += SHARE / len(near) * weight
        found.append(dict(mixed.most_common(KEPT)))
    return found


def weighted(documents: Sequence[dict[str, Any]], folder: Path) -> list[Vector]:
    """Return the documents' expanded vectors: words, with the weights of BM25."""
    words = Bm25Encoder(Bm25Config(analysis=AnalysisConfig(language=None)))
    with Index.create(folder, encoder=words) as index:
        index.add(documents)
        saturated = index.vectors().to_dicts()
        held = Counter(term for vector in saturated for term in vector)
        rarity = {
            term: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) for term, n in held.items()
        }
        own = [{t: w * rarity[t] for t, w in vector.items()} for vector in saturated]
        heaviest = [dict(Counter(vector).most_common(12)) for vector in own]
        run = index.search_batch(SparseVectors.from_dicts(heaviest), NEIGHBOURS + 1)
        places = {document["id"]: place for place, document in enumerate(documents)}
        near = [[places[identifier] for identifier in run.ids(name)] for name in run]
    others = [[p for p in found if p != place][:NEIGHBOURS] for place, found in enumerate(near)]
    return expanded(own, others)


def make_indexes(folder: Path) -> dict[str, Path]:
    """Return the two collections."""
    documents = list(standard_library_documents())
    with Index.create(folder / "docstrings", "bm25") as index:
        index.add(documents)
    vectors = SparseVectors.from_dicts(weighted(documents, folder / "words"))
    ids = [document.pop("id") for document in documents]
    with Index.create(folder / "expanded", encoder=None) as index:
        index.add_vectors(ids, vectors, documents)
    return {name: folder / name for name in ("docstrings", "expanded")}


@contextmanager
def serving(indexes: dict[str, Path]) -> Iterator[str]:
    """Serve indexes; the value is the address."""
    server = make_server(ServeConfig(indexes, port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


def take(browser: Browser, url: str, name: str) -> None:
    """Take one picture, in few colours."""
    state, device, scheme = PICTURES[name]
    page = browser.new_context(color_scheme=scheme, **device).new_page()  # type: ignore[arg-type]
    for _ in range(3):  # the first answers are slower than those that follow
        page.goto(f"{url}#{state}")
        page.reload(wait_until="networkidle")
    page.locator("#query").blur()
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(make_indexes(Path(folder))) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in PICTURES:
            take(browser, url, name)
        browser.close()


if __name__ == "__main__":
    main()
