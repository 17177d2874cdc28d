"""The files of the page, as they are served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest
from serving import Served, error_of, raw

STATIC = {entry.name: entry for entry in (files("sparsearch.serve") / "static").iterdir()}
_ADDRESS = re.compile(r"""(?:href|src)="([^"#]+)"|from "\./([^"]+)\"""")


@pytest.fixture(scope="module")
def web(site: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url) as connection:
        yield connection


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def test_the_page_lets_nothing_inline_and_nobody_else_run(web: httpx.Client) -> None:
    answer = web.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    allowed = policy(answer)
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == "'self'"
    assert allowed["require-trusted-types-for"] == "'script'"
    assert allowed["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_markup_has_no_inline_code_and_names_no_other_host() -> None:
    markup = STATIC["index.html"].read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", markup) == []
    for name, file in STATIC.items():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", text), name


@pytest.mark.parametrize(
    "sink", ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "write("]
)
def test_no_script_turns_text_into_markup(sink: str) -> None:
    assert [name for name, file in STATIC.items() if sink in file.read_text("utf-8")] == []


def test_every_file_that_a_file_names_is_served(web: httpx.Client) -> None:
    named = {"index.html"}
    for file in STATIC.values():
        for address, module in _ADDRESS.findall(file.read_text("utf-8")):
            named.add(module or address.removeprefix("static/"))
    assert named == set(STATIC)
    for name in named:
        answer = web.get(f"/static/{name}")
        assert answer.status_code == 200
        assert answer.content == STATIC[name].read_bytes()
        assert "charset=utf-8" in answer.headers["content-type"] or name.endswith(".svg")


def test_an_unchanged_file_is_not_sent_again(web: httpx.Client) -> None:
    first = web.get("/static/style.css")
    assert first.headers["cache-control"] == "no-cache"
    again = web.get("/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert web.head("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "../page.py",
        "..%2fpage.py",
        "%2e%2e/page.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "index.html/",
        "no.js",
        "",
        ".",
        "style.css%00",
    ],
)
def test_there_is_nothing_else(site: Served, path: str) -> None:
    request = f"GET /static/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(site.port, request.encode()).startswith(b"HTTP/1.1 404 ")


def test_the_page_is_for_localhost_without_keys_like_the_rest(web: httpx.Client) -> None:
    answer = web.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    error_of(answer)


def test_the_description_of_the_api_leaves_the_page_out(web: httpx.Client) -> None:
    assert not {"/", "/static/{name}"} & set(web.get("/openapi.json").json()["paths"])
