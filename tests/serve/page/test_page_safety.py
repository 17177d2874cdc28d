"""The page in a browser: hostile documents, keys, accessibility, phones, colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_documents import HOSTILE
from playwright.sync_api import Page, expect
from serving import Served

from sparsearch.serve import KeyFile

PHONE = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
CONTROLS = {"button", "link", "searchbox", "textbox", "combobox", "checkbox", "radio", "tab",
            "spinbutton", "dialog", "region", "group", "tablist", "tabpanel"}  # fmt: skip

# The ratio of WCAG 2 for each text that can be seen, as [ratio, text]; colours are sRGB, opaque.
CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const disabled = element.closest("label")?.querySelector(":disabled");
    if (!texts.currentNode.data.trim() || disabled || !element.checkVisibility()) continue;
    const pair = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    found.push([(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), texts.currentNode.data]);
  }
  return found;
}"""


def unnamed_controls(page: Page) -> list[str]:
    """Return the controls that a screen reader could not name."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node.get("ignored")]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]
    assert {"searchbox", "combobox", "link"} <= {role for role, _ in roles}
    return [role for role, name in roles if role in CONTROLS and not name.strip()]


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def open_all(page: Page) -> None:
    """Open each hit and each of its tabs; what can be unfolded is."""
    for link in page.locator(".hit h3 a").all():
        link.click()
        dialog = page.get_by_role("dialog")
        for tab in ("Text", "Score", "Vector"):
            dialog.get_by_role("tab", name=tab).click()
            expect(dialog.get_by_role("tabpanel")).not_to_be_empty()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()


def test_hostile_documents_stay_text(open_page) -> None:
    page = open_page("c=hostile&q=hostile")  # what ran is looked for at the end, too
    expect(page.locator(".hit")).to_have_count(len(HOSTILE))
    shown = page.locator("#panes").inner_text()
    assert "<script>window.attacked = true; alert(1)</script> hostile" in shown
    assert "<img src=x onerror=" in shown
    assert "javascript:window.attacked=true" in shown
    open_all(page)
    assert (
        page.locator("#panes :is(script, img, svg, iframe, b b), dialog :is(script, img)").count()
        == 0
    )
    for link in page.locator(".hit a").all():
        assert link.get_attribute("href").startswith("#")
    expect(page.locator("#facets")).to_contain_text("<iframe srcdoc=")
    page.locator("#facets").get_by_label("<iframe srcdoc=").check()
    expect(page.locator(".hit")).to_have_count(1)


def test_a_hostile_address_stays_text(open_page, visit) -> None:
    attack = "%3Cimg%20src%3Dx%20onerror%3Dwindow.attacked%3D1%3E"
    visit.expected = ("Failed to load resource",)
    page = open_page(
        f"q={attack}&c=articles&doc={attack}&filter=%7B%22{attack}%22%3A%7B%22in%22%3A%5B1%5D%7D%7D"
    )
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("<img src=x onerror=window.attacked=1>")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#panes").get_by_role("alert")).to_contain_text("<img src=x")


def test_the_policy_stops_what_a_hole_would_let_in(open_page, visit) -> None:
    visit.expected = ("TrustedHTML", "TrustedScript", "Content Security Policy", "Trusted Type")
    page = open_page("q=sparse&c=articles")
    expect(page.locator(".hit").first).to_be_visible()
    refused = page.evaluate(
        """() => {
          try { document.body.innerHTML = "<img src=x onerror='window.attacked = true'>"; }
          catch (error) { return error.name; }
          return "";
        }"""
    )
    assert refused == "TypeError"
    assert visit.messages  # the console says so


def test_every_control_has_a_name(open_page) -> None:
    page = open_page(
        "q=sparse&c=articles&c=vectors~0.9&filter=%7B%22kind%22%3A%7B%22in%22%3A%5B%22article%22%5D%7D%7D"
    )
    expect(page.get_by_role("region", name="Second").locator(".hit").first).to_be_visible()
    expect(page.locator("#facets fieldset").first).to_be_visible()
    assert unnamed_controls(page) == []
    assert page.locator("html").get_attribute("lang") == "en"
    page.locator(".hit h3 a").first.click()
    for tab in ("Score", "Vector"):
        page.get_by_role("tab", name=tab).click()
        nodes = page.get_by_role("dialog").locator("input, select, button")
        for control in [each for each in nodes.all() if each.is_visible()]:
            assert control.get_attribute("aria-label") or control.inner_text().strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(open_page, scheme: str) -> None:
    page = open_page("q=sparse+inverted+retrieval&c=vectors&c=articles", color_scheme=scheme)
    expect(page.get_by_role("region", name="Second").locator(".hit").first).to_be_visible()
    expect(page.locator("#facets fieldset").first).to_be_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", paper)[0]) < 128) == (scheme == "dark")
    measured = page.evaluate(CONTRASTS)
    page.locator(".hit h3 a").first.click()
    for tab in ("Score", "Vector"):
        page.get_by_role("tab", name=tab).click()
        measured += page.evaluate(CONTRASTS)
    assert len(measured) > 100
    assert [pair for pair in measured if pair[0] < 4.5] == []


def test_the_colours_can_be_chosen_and_are_remembered(open_page) -> None:
    page = open_page(color_scheme="light")
    body = page.locator("body")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    button = page.get_by_role("button", name="Colours")
    button.click()
    expect(body).to_have_css("background-color", light)
    button.click()
    expect(body).not_to_have_css("background-color", light)
    page.reload()
    expect(button).to_have_accessible_name("Colours: dark")
    expect(body).not_to_have_css("background-color", light)
    button.click()
    expect(body).to_have_css("background-color", light)


def test_a_phone_is_wide_enough(open_page) -> None:
    page = open_page("c=hostile&q=hostile", **PHONE)
    expect(page.locator(".hit")).to_have_count(len(HOSTILE))
    assert fits(page)
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#facets")).to_be_visible()
    assert fits(page)
    for number in range(len(HOSTILE)):
        page.locator(".hit h3 a").nth(number).click()
        dialog = page.get_by_role("dialog")
        for tab in ("Text", "Score", "Vector"):
            dialog.get_by_role("tab", name=tab).click()
            expect(dialog.get_by_role("tabpanel")).not_to_be_empty()
            assert dialog.evaluate("(d) => d.scrollWidth <= d.clientWidth"), tab
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="Second")).to_be_visible()
    assert fits(page)


@pytest.mark.parametrize("width", [375, 820, 1024])
def test_the_top_fits_any_width(open_page, width: int) -> None:
    page = open_page("q=sparse&c=articles&c=vectors", viewport={"width": width, "height": 700})
    page.locator("#key").evaluate("(button) => { button.hidden = false; }")
    for part in (*page.locator(".tools button").all(), page.locator(".name")):
        assert part.bounding_box()["height"] <= 40  # one line
    assert page.locator("#query").bounding_box()["width"] >= 300
    assert fits(page)


def test_the_number_of_hits_is_said_aloud_once_typing_stops(open_page) -> None:
    page = open_page("c=articles")
    page.get_by_role("searchbox", name="Search").press_sequentially("soup", delay=20)
    live = page.locator("[aria-live=polite]")
    expect(live).to_have_text("1 hit")
    expect(live).to_have_role("status")


def test_nothing_moves_for_those_who_ask(open_page) -> None:
    assert (
        open_page().locator(".pane").first.evaluate("(e) => getComputedStyle(e).transitionDuration")
        != "0s"
    )
    still = open_page(reduced_motion="reduce").locator(".pane").first
    assert still.evaluate("(e) => getComputedStyle(e).transitionDuration") == "0s"


def test_a_key_is_asked_for_and_kept_for_the_tab(open_page, visit, folders, tmp_path: Path) -> None:
    visit.expected = ("401", "403")
    keys = KeyFile(tmp_path / "keys.json")
    _, token = keys.create("reader", "read", ["articles"])
    with Served(*folders, keys=keys.path) as server:
        page = open_page("q=sparse", url=server.url)
        dialog = page.get_by_role("dialog", name="API key")
        dialog.get_by_label("Key", exact=True).fill("sps_wrong")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog.get_by_role("alert")).to_contain_text("not known")
        dialog.get_by_label("Key", exact=True).fill("schlüssel")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog.get_by_role("alert")).to_contain_text("no key")
        dialog.get_by_label("Key", exact=True).fill(token)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.locator(".hit").first).to_be_visible()
        expect(
            page.get_by_role("region").get_by_label("Collection").locator("option")
        ).to_have_text(["articles"])
        page.reload()
        expect(page.locator(".hit").first).to_be_visible()
        kept = page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]")
        assert kept == [1, 0, ""]
        assert not any(token in address for address in visit.requests)
        page.get_by_role("button", name="Key").click()
        dialog.get_by_role("button", name="Forget it").click()
        expect(dialog).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        page.close()
