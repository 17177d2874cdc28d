"""The page in a browser: searching, filters, comparison, documents, keys of the keyboard."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from page_documents import ARTICLES, HOSTILE, VECTORS
from playwright.sync_api import Locator, Page, Route, expect
from serving import Served

from sparsearch import Index

MANUALS = quote(json.dumps({"kind": {"in": ["manual"]}}))


def search(page: Page, text: str) -> None:
    page.get_by_role("searchbox", name="Search").fill(text)


def titles(page: Page, side: str = "Results") -> Locator:
    return page.get_by_role("region", name=side, exact=True).locator(".hit h3")


def state_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).fragment)


def expected_titles(site: Served, query: object, **body: object) -> list[str]:
    """Return what the API itself finds among the articles."""
    answer = httpx.post(f"{site.url}/v1/collections/articles/search", json={"query": query, **body})
    return [hit["title"] for hit in answer.json()["hits"]]


def test_results_come_as_one_types(open_page, site) -> None:
    page = open_page()
    box = page.get_by_role("searchbox", name="Search")
    expect(box).to_be_focused()
    box.press_sequentially("sparse", delay=20)
    expect(titles(page)).to_have_text(expected_titles(site, "sparse"))
    box.press_sequentially(" lists", delay=20)
    expect(titles(page)).to_have_text(expected_titles(site, "sparse lists"))
    assert state_of(page) == {"q": ["sparse lists"], "c": ["articles"]}
    assert page.title().startswith("sparse lists")


def test_an_answer_that_comes_too_late_is_dropped(open_page, visit, site) -> None:
    page = open_page()
    held: list[Route] = []
    lost: list[str] = []
    page.on("requestfailed", lambda request: lost.append(request.post_data))

    def hold(route: Route) -> None:
        if '"soup"' in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/search", hold)
    with page.expect_request("**/search"):
        search(page, "soup")
    expect(page.locator(".pane").first).to_have_attribute("aria-busy", "true")
    search(page, "sparse")
    expect(titles(page)).to_have_text(expected_titles(site, "sparse"))
    assert len(held) == len(lost) == 1
    assert '"soup"' in lost[0]
    assert page.locator("[aria-busy]").count() == 0


def test_matched_words_are_marked_as_they_stand(open_page) -> None:
    page = open_page("q=vector+posting")
    first = page.locator(".hit").filter(has_text="Posting lists")
    expect(first.locator("h3 mark")).to_have_text(["Posting"])
    expect(first.locator(".snippet mark")).to_have_text(["vectors", "posting"])


def test_of_a_long_text_a_snippet_is_sent_and_the_rest_when_it_is_opened(open_page) -> None:
    page = open_page()
    with page.expect_response("**/search") as answered:
        page.goto(page.url.partition("#")[0] + "#c=hostile&q=hostile")
    assert all("text" not in hit for hit in answered.value.json()["hits"])
    whole = next(d["text"] for d in HOSTILE if d["id"].startswith("long-"))
    item = page.locator(".hit").filter(has_text="WWW")
    expect(item.locator(".snippet mark")).to_have_text("hostile")
    assert len(item.locator(".snippet").inner_text()) < 350 < len(whole)
    item.get_by_role("link").click()
    expect(page.get_by_role("dialog").locator(".full-text")).to_have_text(whole)


def test_an_address_given_while_the_page_writes_its_own_is_followed(open_page) -> None:
    """The event that tells of it comes later, and then the address is the page's again."""
    page = open_page("c=articles")
    expect(page.locator("#facets fieldset").first).to_be_attached()
    with page.expect_response("**/search"):
        page.evaluate(
            """() => {
                const before = location.hash;
                location.hash = "#c=hostile&q=hostile";
                history.replaceState(null, "", before);
            }"""
        )
    expect(page.locator("#query")).to_have_value("hostile")


def test_bars_are_as_long_as_contributions(open_page, folders) -> None:
    page = open_page("q=sparse+retrieval+vectors")
    item = page.locator(".hit").filter(has_text="Learned sparse")
    with Index.open(folders[0]) as index:
        terms = index.explain("sparse retrieval vectors", "a1").terms
    rows = item.locator(".terms .in-text").filter(has=page.locator(".bar"))
    expect(rows.locator(".term")).to_have_text([term.term for term in terms])
    widths = [box.bounding_box()["width"] for box in rows.locator(".fill").all()]
    expected = [widths[0] * term.contribution / terms[0].contribution for term in terms]
    assert widths == pytest.approx(expected, abs=1)
    assert page.locator(".expansion.fill").count() == 0  # BM25 adds no terms


def test_terms_that_do_not_stand_in_the_text_look_otherwise(open_page) -> None:
    page = open_page("c=vectors&q=sparse+inverted:2")
    first = page.locator(".hit").filter(has_text="Posting lists")
    expect(first.locator(".terms .expansion .term")).to_have_text("inverted")
    expect(first.locator(".terms .in-text .term")).to_have_text("sparse")
    expect(page.locator("#legend")).to_be_visible()
    expect(page.get_by_text("holds vectors only")).to_be_visible()
    expect(first.locator(".total .value")).to_have_text("3.00")  # 0.5 + 2 * 1.25


def test_facets_filter(open_page, site) -> None:
    page = open_page("q=vectors")
    kinds = page.get_by_role("group", name="kind")
    expect(kinds.locator(".value-row")).to_have_text(["article4", "note4", "manual3", "recipe1"])
    kinds.get_by_label("manual").check()
    manuals = {"kind": {"in": ["manual"]}}
    expect(titles(page)).to_have_text(expected_titles(site, "vectors", filter=manuals))
    expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
    # Counted among the others' filters, so that one sees what choosing more would give.
    expect(kinds.locator(".value-row")).to_have_text(["article4", "note4", "manual3", "recipe1"])
    expect(page.get_by_role("group", name="open").locator(".value-row")).to_have_text(
        ["false2", "true1"]
    )
    expect(kinds.get_by_label("manual")).to_be_focused()
    kinds.get_by_label("note").check()
    assert json.loads(state_of(page)["filter"][0]) == {"kind": {"in": ["manual", "note"]}}
    page.get_by_role("button", name="Clear").click()
    expect(titles(page)).to_have_text(expected_titles(site, "vectors"))


def test_numbers_are_filtered_by_range(open_page, site) -> None:
    page = open_page("q=vectors")
    page.get_by_label("year from").fill("2019")
    page.get_by_label("year to").fill("2021")
    page.keyboard.press("Tab")
    years = {"year": {">=": 2019, "<=": 2021}}
    expected = expected_titles(site, "vectors", filter=years)
    assert len(expected) == 3
    expect(titles(page)).to_have_text(expected)


def test_nothing_found_offers_to_drop_the_filters(open_page, site) -> None:
    page = open_page(f"q=soup&filter={MANUALS}")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.get_by_role("button", name="Search without filters").click()
    expect(titles(page)).to_have_text(["Soup"])


def test_exact_and_approximate_say_how_long_they_took(open_page) -> None:
    page = open_page("c=vectors&q=sparse")
    pane = page.get_by_role("region", name="Results")
    expect(pane.locator(".status")).to_have_text(
        re.compile(r"2 hits · search [\d.]+ ms · round trip [\d.]+ ms")
    )
    with page.expect_request("**/search") as asked:
        pane.get_by_label("Approximate").check()
    assert json.loads(asked.value.post_data)["recall"] == 0.9
    with page.expect_request("**/search") as asked:
        pane.get_by_label("recall").select_option("0.99")
    assert json.loads(asked.value.post_data)["recall"] == 0.99
    assert state_of(page)["c"] == ["vectors~0.99"]
    pane.get_by_label("Collection").select_option("articles")
    expect(pane.get_by_label("Approximate")).to_be_disabled()
    expect(pane.get_by_label("Exact")).to_be_checked()


def test_feedback_widens_the_query(open_page, site) -> None:
    page = open_page("q=posting&c=articles")
    switch = page.get_by_role("region", name="Results").get_by_label("Feedback")
    expect(titles(page)).to_have_text(expected_titles(site, "posting"))
    wider = expected_titles(site, "posting", feedback={})
    assert len(wider) > len(expected_titles(site, "posting"))
    with page.expect_request("**/search") as asked:
        switch.check()
    assert json.loads(asked.value.post_data)["feedback"] == {}
    expect(titles(page)).to_have_text(wider)
    assert state_of(page)["c"] == ["articles~feedback"]
    last = page.locator(".hit").last
    score = last.locator(".total .value").inner_text()
    last.get_by_role("link").click()
    page.get_by_role("tab", name="Score").click()
    expect(page.get_by_role("dialog").locator("caption b")).to_have_text(score)
    page.reload()
    page.get_by_role("button", name="Close").click()
    expect(switch).to_be_checked()


def test_two_collections_side_by_side(open_page) -> None:
    page = open_page("q=sparse+retrieval")
    expect(titles(page)).not_to_have_count(0)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("region", name="Second").get_by_label("Collection").select_option("vectors")
    expect(titles(page, "Second results")).to_have_text(
        ["Sparse retrieval", "Dense retrieval", "Posting lists"]
    )
    left = titles(page, "First results").all_inner_texts()
    notes = page.get_by_role("region", name="First").locator(".other").all_inner_texts()
    right = ["Sparse retrieval", "Dense retrieval", "Posting lists"]
    assert notes == [
        f"#{right.index(title) + 1} in the other list" if title in right else "only here"
        for title in left
    ]
    both = len(set(left) & set(right))
    expect(page.get_by_text(f"{both} of {len(left)} hits in both lists")).to_be_visible()
    assert state_of(page)["c"] == ["articles", "vectors"]
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="Second")).to_have_count(0)
    expect(page.locator(".other").first).to_be_empty()


def test_the_keyboard_is_enough(open_page) -> None:
    page = open_page("q=vectors&c=articles&c=vectors")
    expect(titles(page, "First results")).not_to_have_count(0)
    box = page.get_by_role("searchbox", name="Search")
    keys = page.keyboard
    keys.press("/")
    expect(box).to_be_focused()
    keys.type("sparse retrieval")
    links = titles(page, "First results").get_by_role("link")
    expect(links.first).to_have_text("Sparse retrieval")
    keys.press("ArrowDown")
    expect(links.first).to_be_focused()
    keys.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    keys.press("ArrowRight")
    expect(titles(page, "Second results").get_by_role("link").nth(1)).to_be_focused()
    keys.press("ArrowLeft")
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(links.nth(1).inner_text())
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(links.nth(1)).to_be_focused()
    keys.press("Home")
    expect(links.first).to_be_focused()
    keys.press("Escape")
    expect(box).to_be_focused()


def test_a_document_shows_its_score_and_its_whole_vector(open_page) -> None:
    page = open_page("c=vectors&q=sparse:3+splade+zebra")
    page.get_by_role("link", name="Sparse retrieval").click()
    dialog = page.get_by_role("dialog", name="Sparse retrieval")
    expect(dialog.get_by_text(ARTICLES[1]["text"])).to_be_visible()
    dialog.get_by_role("tab", name="Score").click()
    rows = dialog.locator("tbody tr")
    expect(rows).to_have_text(
        [re.compile("sparse.*sparse.*3.00.*2.50.*7.50"), re.compile("splade.*expansion.*0.50")]
    )
    expect(dialog.locator("caption")).to_contain_text("Score 8.00")
    expect(dialog.get_by_text("Not in the document: zebra")).to_be_visible()
    dialog.get_by_role("tab", name="Score").press("ArrowRight")
    stored = VECTORS.to_dicts()[1]
    by_weight = sorted(stored, key=lambda term: -stored[term])
    terms = dialog.locator(".vector .term")
    expect(terms).to_have_text(by_weight)
    dialog.get_by_label("Order").select_option("by term")
    expect(terms).to_have_text(sorted(stored))
    dialog.get_by_label("Find a term").fill("SPA")
    expect(terms).to_have_text(["sparse"])
    expect(dialog.get_by_role("status")).to_have_text("1 of 5 terms")
    page.go_back()
    expect(dialog).to_be_hidden()


def test_an_address_shows_the_same_again(open_page, site) -> None:
    page = open_page(f"q=vectors&c=articles&filter={MANUALS}&doc=a6&k=20")
    dialog = page.get_by_role("dialog", name="Segments")
    expect(dialog.locator("mark")).to_have_text(["vectors"])
    dialog.get_by_role("button", name="Close the document").click()
    page.wait_for_url(lambda url: "doc=" not in url)  # the browser learns of it a moment later
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("vectors")
    expect(page.get_by_role("group", name="kind").get_by_label("manual")).to_be_checked()
    page.reload()
    expect(titles(page)).to_have_text(["Segments"])
    assert "doc" not in state_of(page)


@pytest.mark.parametrize(
    "address",
    [
        "filter=[1]&q=sparse",
        "filter={&c=nope&q=sparse",
        "k=-5&c=articles~x&q=sparse",
        "%E0%A4%A&q=sparse",
        'filter={"year":{">=":"x"},"kind":{"in":[{}]}}&q=sparse',
        "c=articles&c=nope&q=sparse",
    ],
)
def test_an_address_that_makes_no_sense_still_searches(open_page, site, address: str) -> None:
    page = open_page(address)
    expect(titles(page)).to_have_text(expected_titles(site, "sparse"))


def test_more_hits(open_page) -> None:
    page = open_page("q=documents+vectors+sparse+reader+salt+word+metadata+weights+hits+postings")
    expect(titles(page)).to_have_count(10)
    page.get_by_role("button", name="More hits").click()
    expect(titles(page)).to_have_count(12)
    expect(page.get_by_role("button", name="More hits")).to_be_hidden()


def test_a_server_that_is_not_there_yet_is_asked_again(open_page, visit) -> None:
    visit.expected = ("Failed to load resource",)
    page = open_page("q=sparse")
    page.route("**/v1/collections", lambda route: route.abort())
    page.reload()
    alert = page.get_by_role("alert").filter(has_text="does not answer")
    expect(alert).to_be_visible()
    page.unroute("**/v1/collections")
    page.get_by_role("button", name="Try again").click()
    expect(titles(page)).not_to_have_count(0)
    expect(alert).to_be_hidden()


def test_errors_are_said_and_can_be_tried_again(open_page, visit) -> None:
    visit.expected = ("Failed to load resource",)
    page = open_page("q=sparse")
    expect(titles(page)).not_to_have_count(0)
    page.route("**/search", lambda route: route.abort())
    search(page, "vectors")
    alert = page.get_by_role("alert").filter(has_text="does not answer")
    expect(alert).to_be_visible()
    expect(titles(page)).to_have_count(0)
    page.unroute("**/search")
    alert.get_by_role("button", name="Try again").click()
    expect(titles(page)).not_to_have_count(0)
    search(page, "x:1e999")
    page.get_by_role("region").get_by_label("Collection").select_option("vectors")
    expect(page.get_by_role("alert").filter(has_text="query")).to_be_visible()
