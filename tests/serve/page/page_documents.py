"""Documents for the tests of the page: ordinary ones, hostile ones, and vectors only."""

from __future__ import annotations

from typing import Any

from sparsearch import SparseVectors

ARTICLES: list[dict[str, Any]] = [
    {
        "id": f"a{number}",
        "title": title,
        "text": text,
        "kind": kind,
        "year": year,
        "open": number % 2 == 0,
        "tags": ["search", kind],
    }
    for number, (title, text, kind, year) in enumerate(
        [
            ("Posting lists", "Sparse vectors are kept in posting lists.", "article", 1996),
            ("Sparse retrieval", "Learned sparse vectors expand documents.", "article", 2021),
            ("Dense retrieval", "Dense vectors need other indexes.", "article", 2020),
            ("Searching exactly", "Upper bounds skip postings of sparse vectors.", "note", 1995),
            ("Searching approximately", "Some of the best sparse hits are missed.", "note", 2022),
            ("Filters", "Metadata says which documents are searched.", "manual", 2023),
            ("Segments", "Immutable files; vectors are never changed.", "manual", 2024),
            ("Snapshots", "A reader keeps what it opened.", "manual", 2024),
            ("Scores", "Inner products of sparse vectors.", "article", 2019),
            ("Weights", "Quantised weights of vectors.", "note", 2018),
            ("Terms", "Word pieces are the terms of vectors.", "note", 2017),
            ("Soup", "Salt, pepper, leeks.", "recipe", 1970),
        ]
    )
]

_RUN = "window.attacked = true; alert(1)"
HOSTILE: list[dict[str, Any]] = [
    {
        "id": 'h0"><script>window.attacked = true</script>',
        "title": f"<script>{_RUN}</script> hostile",
        "text": f"<img src=x onerror='{_RUN}'> <svg onload='{_RUN}'> hostile <b>bold</b>",
        "kind": f"<iframe srcdoc='<script>parent.attacked = true</script>'> {_RUN}",
        "<img src=x onerror=window.attacked=1>": "in a field's name",
    },
    {
        "id": "javascript:window.attacked=true",
        "title": "javascript:window.attacked=true hostile",
        "text": "{{constructor.constructor('window.attacked = true')()}} hostile ${alert(1)}",
        "kind": "link",
        "url": "javascript:window.attacked=true",
    },
    {
        "id": "rtl",
        "title": "\u202ehostile backwards\u202c אחזור מידע",
        "text": "שלום עולם hostile \u202e evil \u2067 unclosed",
        "kind": "rtl",
    },
    {
        "id": "emoji",
        "title": "👩🏽‍🚀 hostile 🇺🇦",
        "text": ("🧂" * 400) + " hostile " + ("🥣" * 400),
        "kind": "emoji",
    },
    {
        "id": "long-" + "x" * 400,
        "title": "W" * 600 + " hostile",
        "text": "w" * 5000 + " hostile " + "z" * 5000,
        "kind": "k" * 300,
    },
    {
        "id": "__proto__",
        "title": "hostile names",
        "text": "constructor hasOwnProperty hostile",
        "kind": "constructor",
        "__proto__": {"nested": ["<b>", None, {"deep": True}]},
    },
]

# As a learned encoder would have it: terms that the text does not hold, heavy ones among them.
VECTORS = SparseVectors.from_dicts(
    [
        {"posting": 2.0, "lists": 1.5, "inverted": 1.25, "index": 1.0, "sparse": 0.5},
        {"sparse": 2.5, "retrieval": 1.5, "expand": 1.0, "inverted": 0.75, "splade": 0.5},
        {"dense": 2.0, "retrieval": 1.5, "embedding": 1.0},
    ]
)
