"""Make the pictures of the page in docs/images: ``python docs/make_screenshots.py``.

It needs the extra dev and a Chromium (``CHROMIUM=/path/to/it``), and takes two minutes. What it
shows is the docstrings of Python's standard library, twice: indexed by the default encoder and by
BM25.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from sparsearch import Index
from sparsearch.demo import standard_library_documents
from sparsearch.serve import ServeConfig
from sparsearch.serve.server import make_server

IMAGES = Path(__file__).with_name("images")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
COLOURS = 160

DESKTOP = {"viewport": {"width": 1280, "height": 820}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 375, "height": 760}, "device_scale_factor": 2, "is_mobile": True}
PICTURES = {
    "page-light": ("q=decode+json+into+python+objects&c=docstrings", DESKTOP, "light"),
    "page-dark": ("q=temporary+file+removed&c=docstrings&c=bm25", DESKTOP, "dark"),
    "page-phone": ("q=elapsed+time&c=docstrings", PHONE, "light"),
}


def make_indexes(folder: Path) -> dict[str, Path]:
    """Return the two collections."""
    indexes = {"docstrings": "default", "bm25": "bm25"}
    for name, encoder in indexes.items():
        with Index.create(folder / name, encoder) as index:
            index.add(standard_library_documents())
    return {name: folder / name for name in indexes}


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
