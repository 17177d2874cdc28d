"""A real browser, and a real server whose page it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")

from page_documents import ARTICLES, HOSTILE, VECTORS
from playwright import sync_api as api
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request
from serving import Served

from sparsearch import Index

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a screen."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser: {CHROMIUM}")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three indexes: articles, hostile documents, and vectors of some of the articles."""
    folder = tmp_path_factory.mktemp("page")
    for name, documents in (("articles", ARTICLES), ("hostile", HOSTILE)):
        with Index.create(folder / name, "bm25") as index:
            index.add(documents)
    with Index.create(folder / "vectors", encoder=None) as index:
        some = ARTICLES[: len(VECTORS)]
        fields = [{name: value for name, value in d.items() if name != "id"} for d in some]
        index.add_vectors([d["id"] for d in some], VECTORS, fields)
    return [folder / name for name in ("articles", "hostile", "vectors")]


@pytest.fixture(scope="session")
def site(folders: list[Path]) -> Iterator[Served]:
    """A server of them, without API keys."""
    with Served(*folders) as server:
        yield server


@dataclass
class Visit:
    """What a browser saw and did beside what it showed.

    Parameters
    ----------
    expected : tuple of str
        Parts of the console messages that a test provokes.
    """

    expected: tuple[str, ...] = ()
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Take note of all that a page says, asks and sends."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        page.on("request", self._on_request)

        def dismiss(dialog: api.Dialog) -> None:
            self.dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", dismiss)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.messages.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def surprises(self, url: str) -> list[str]:
        """Return what should not have been; violations of the policy are console messages."""
        said = [m for m in self.messages if not any(part in m for part in self.expected)]
        away = [request for request in self.requests if not request.startswith(url)]
        return [*said, *self.dialogs, *away]


Open = Callable[..., Page]


@pytest.fixture
def visit() -> Visit:
    """What the browser of a test saw; a test may say which console messages it provokes."""
    return Visit()


@pytest.fixture
def open_page(browser: Browser, site: Served, visit: Visit) -> Iterator[Open]:
    """Show the page: `open_page(address, **options of the browser)`.

    At the end nothing may have run, been said or been asked for elsewhere.
    """
    contexts: list[BrowserContext] = []

    def show(address: str = "", url: str = site.url, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        visit.watch(page)
        page.goto(f"{url}/#{address}")
        return page

    api.expect.set_options(timeout=15_000)
    yield show
    attacked = [page.evaluate("window.attacked") for c in contexts for page in c.pages]
    for context in contexts:
        context.close()
    assert not any(attacked)
    assert visit.surprises("http://127.0.0.1:") == []
