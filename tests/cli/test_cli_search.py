from __future__ import annotations

import json

import pytest
from cli_sources import write_jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.cli._filters import parse_filters
from sparsearch.errors import FilterError
from sparsearch.index import Feedback, Index
from sparsearch.runs import Run


def test_people_see_rank_score_title_text_and_metadata(run, papers):
    outcome = run("search", papers, "sparse", "vectors", "-k", 1)
    assert outcome.code == 0, outcome
    first, *rest = outcome.out.splitlines()
    with Index.open(papers) as index:
        hit = index.search("sparse vectors", 1)[0]
    assert first == f"  1  {hit.score:8.4f}  a  Sparse retrieval"
    assert [line.strip() for line in rest] == ["Learned sparse vectors.", "year: 2019"]


def test_the_id_is_left_out_only_where_the_title_begins_with_it(run, tmp_path):
    titles = {"2": "2024 in review", "3": "3", "m.f": "m.f: effing", "n": "n is not so", "o": ""}
    documents = [{"id": id, "title": title, "text": "word"} for id, title in titles.items()]
    run("index", tmp_path / "i", write_jsonl(tmp_path / "s.jsonl", documents), "--encoder", "bm25")
    lines = run("search", tmp_path / "i", "word").out.splitlines()
    headings = {line[:3].strip(): line[15:] for line in lines if line[:3].strip()}
    expected = {"2  2024 in review", "3", "m.f: effing", "n  n is not so", "o"}
    assert set(headings.values()) == expected


def test_explain_shows_what_each_term_adds(run, papers):
    outcome = run("search", papers, "sparse vectors", "-k", 1, "--explain")
    assert "because spars " in outcome.out
    assert " + vector " in outcome.out


def test_json_lines(run, papers):
    outcome = run("search", papers, "retrieval", "--json", "--explain")
    assert [row["id"] for row in outcome.json] == ["a", "b"]
    for rank, row in enumerate(outcome.json, start=1):
        assert row["rank"] == rank
        assert row["query"] == "retrieval"
        assert row["metadata"] == {"year": 2017 + 2 * rank}
        assert sum(row["terms"].values()) == pytest.approx(row["score"])


def test_no_hits(run, papers):
    assert run("search", papers, "zzz").out == "no document matches\n"
    assert run("search", papers, "zzz", "--json").out == ""


def test_lines_of_standard_input_are_queries(run, papers):
    outcome = run("search", papers, "--json", stdin="sparse\n\n  dense \nzzz\n")
    assert [(row["query"], row["id"]) for row in outcome.json] == [("sparse", "a"), ("dense", "b")]
    outcome = run("search", papers, stdin="sparse\nzzz\n")
    assert outcome.out.startswith("# sparse\n  1  ")
    assert outcome.out.endswith("# zzz\nno document matches\n")


def test_standard_input_that_is_not_utf8(run, papers):
    outcome = run("search", papers, stdin=b"sparse\n\xff\n")
    assert outcome.code == 1
    assert outcome.err == "error: standard input:2: not UTF-8 text\n"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["year>=2020"], "bc"),
        (["year=2019"], "a"),
        (["year != 2019"], "bcd"),
        (["kind=note"], "d"),
        (['kind="note"'], "d"),
        (['{"year": {"in": [2019]}}'], "a"),
        (["year>2018", "year<2020"], "a"),
        (["year>=2020", '{"not": {"year": 2021}}'], ""),
    ],
)
def test_filters(run, papers, filters, found):
    options = [part for text in filters for part in ("--filter", text)]
    query = "sparse dense vectors index café"
    outcome = run("search", papers, query, "--json", *options)
    assert outcome.code == 0, outcome
    assert sorted(row["id"] for row in outcome.json) == list(found)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("year", 2, "cannot read the filter 'year'"),
        ("", 2, "cannot read the filter"),
        (">=3", 2, "cannot read the filter"),
        ('{"year": ', 2, "not JSON"),
        ("{}", 1, "the filter is empty"),
        ('{"year": {"~": 1}}', 1, "unknown operator '~'"),
        (
            "color=red",
            1,
            "no document has a field 'color' that can be filtered on; known are: kind, year",
        ),
        ("year>true", 1, "takes a number or a string"),
        ("year=>2019", 2, "'=>' is no operator"),
        ("year<>2019", 2, "'<>' is no operator"),
        ("year>=2019,year<2021", 1, "give a number, as the documents do"),
        ('{"year": 2019, "year": 2021}', 2, "key 'year' is given twice"),
    ],
)
def test_bad_filters(run, papers, text, code, reason):
    outcome = run("search", papers, "sparse", "--filter", text)
    assert outcome.code == code
    assert reason in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [["-k", "0"], ["-k", "x"], ["--run", "out.trec"], ["--queries", "q.jsonl", "--json"]],
)
def test_usage_errors(run, papers, arguments):
    assert run("search", papers, *arguments).code == 2


def test_a_missing_index_tells_how_to_make_one(run, tmp_path):
    outcome = run("search", tmp_path / "no such", "x")
    assert outcome.code == 1
    assert f"make one with: sparsearch index '{tmp_path}/no such' SOURCE" in outcome.err


def test_control_characters_of_documents_do_not_reach_the_terminal(run, papers):
    outcome = run("search", papers, "café")
    assert "Étude du café" in outcome.out
    assert "東京" in outcome.out
    assert "\x1b" not in outcome.out
    assert "\u202e" not in outcome.out


# ---- files of queries


@pytest.mark.parametrize("name", ["q.jsonl", "q.tsv", "q.txt"])
def test_a_file_of_queries_gives_a_run(run, papers, tmp_path, name):
    texts = {"q1": "sparse retrieval", "q2": "zzz", "q3": "index"}  # blank lines mean nothing
    path = tmp_path / name
    if name.endswith("jsonl"):
        write_jsonl(path, [{"_id": query, "text": text} for query, text in texts.items()])
    else:
        lines = "\n".join(f"{query}\t{text}\n" for query, text in texts.items())
        path.write_text(f"\n{lines} \t\n")
    outcome = run("search", papers, "--queries", path, "--run", tmp_path / "out.trec", "-k", 5)
    assert outcome.code == 0, outcome
    with Index.open(papers) as index:
        expected = index.search_batch(texts, 5)
    found = Run.read_trec(tmp_path / "out.trec")
    assert {query: found[query] for query in found} == {q: expected[q] for q in ("q1", "q3")}
    assert (
        run("search", papers, "--queries", path, "-k", 5).out == (tmp_path / "out.trec").read_text()
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("q.tsv", "q1 sparse\n", "q.tsv:1: cannot read 'q1 sparse' as a query"),
        ("q.tsv", "q1\ta\nq1\tb\n", "q.tsv:2: query 'q1' is given twice"),
        ("q.jsonl", '{"_id": "1", "text": "a"}\n' * 2, "query '1' is given twice"),
        ("q.jsonl", '{"_id": "1", "title": "a"}\n', "query '1' has no text"),
        ("q.jsonl", "[]\n", "q.jsonl:1: not a JSON object"),
    ],
)
def test_malformed_queries(run, papers, tmp_path, name, content, reason):
    (tmp_path / name).write_text(content)
    outcome = run("search", papers, "--queries", tmp_path / name)
    assert outcome.code == 1
    assert reason in outcome.err
    assert outcome.out == ""


# ---- explain


def test_explain(run, papers):
    outcome = run("explain", papers, "sparse dense retrieval", "a")
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[:2] == ["query     sparse dense retrieval", "document  a"]
    assert lines[4].split()[0] == "spars"
    assert "████" in lines[4]
    assert lines[-1] == "not in the document: dens"


def test_explain_json(run, papers):
    (row,) = run("explain", papers, "sparse retrieval", "a", "--json").json
    assert row["missing"] == []
    assert [term["term"] for term in row["terms"]] == ["spars", "retriev"]
    assert sum(term["contribution"] for term in row["terms"]) == pytest.approx(row["score"])
    for term in row["terms"]:
        product = term["query_weight"] * term["document_weight"]
        assert term["contribution"] == pytest.approx(product, rel=1e-3)


def test_explain_without_a_match_and_without_a_document(run, papers):
    assert "no term of the query is in the document" in run("explain", papers, "zzz", "a").out
    outcome = run("explain", papers, "sparse", "nope")
    assert (outcome.code, outcome.err) == (1, "error: no document has the id 'nope'\n")


@pytest.mark.parametrize("option", [("--filter", "year=2019"), ("--recall", "0.9")])
def test_explain_refuses_what_only_feedback_uses(run, papers, option):
    outcome = run("explain", papers, "sparse", "a", *option)
    assert outcome.code == 2
    assert option[0] in outcome.err
    assert "needs --feedback" in outcome.err
    assert run("explain", papers, "sparse", "a", *option, "--feedback").code == 0


# ---- anything typed


words = st.text(st.characters(exclude_characters="\0"), max_size=30)
conditions = st.one_of(
    words,
    st.tuples(
        st.sampled_from(["year", "kind", "x", " year "]),
        st.sampled_from(["=", "==", "!=", "<", "<=", ">", ">="]),
        words | st.sampled_from(["2020", "-1e999", "NaN", "[]", "null", '"note"', "9" * 5000]),
    ).map("".join),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | words,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["year", "and", "or", "not", ">=", "in", "exists", "zz"]), inner
            )
        ),
        max_leaves=8,
    ).map(json.dumps),
)


@settings(max_examples=250, deadline=None)
@given(query=words, filters=st.lists(conditions, max_size=2), explain=st.booleans())
def test_anything_typed_ends_in_hits_or_in_an_error(run, papers, query, filters, explain):
    arguments = [part for text in filters for part in ("--filter", text)]
    arguments += ["--explain"] if explain else []
    outcome = run("search", *arguments, "--", papers, query)
    assert outcome.code in (0, 1, 2)
    assert ("error" in outcome.err.lower()) == (outcome.code != 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(conditions, max_size=3))
def test_filters_are_parsed_or_refused(texts):
    try:
        parsed = parse_filters(texts)
    except FilterError:
        return
    assert isinstance(parsed, dict) or (parsed is None and not texts)


@given(
    st.sampled_from(["year", "a b", "naïve"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.integers() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_the_shorthand_says_the_same_as_json(field, operator, value):
    text = f"{field} {operator} {json.dumps(value)}"
    assert parse_filters([text]) == {field: {operator: value}}


@settings(max_examples=100, deadline=None)
@given(query=words | conditions)
def test_anything_as_a_vector(run, papers, query):
    outcome = run("search", "--vector", "--", papers, query)
    assert outcome.code in (0, 1)


def test_feedback_finds_more(run, papers):
    plain = run("search", papers, "sparse", "--json").json
    widened = run("search", papers, "sparse", "--feedback", "--explain", "--json").json
    assert {row["id"] for row in widened} > {row["id"] for row in plain}
    for row in widened:
        assert sum(row["terms"].values()) == pytest.approx(row["score"])
    (why,) = run("explain", papers, "sparse", widened[-1]["id"], "--feedback", "--json").json
    assert why["score"] == pytest.approx(widened[-1]["score"])
    with Index.open(papers) as index:
        expected = index.search("sparse", feedback=Feedback())
    assert [row["id"] for row in widened] == [hit.id for hit in expected]


def test_feedback_for_a_file_of_queries(run, papers, tmp_path):
    (tmp_path / "q.tsv").write_text("q1\tsparse\nq2\tnothing known\n")
    outcome = run("search", papers, "--queries", tmp_path / "q.tsv", "--feedback")
    with Index.open(papers) as index:
        expected = index.search("sparse", feedback=Feedback())
    assert [line.split()[2] for line in outcome.out.splitlines()] == [hit.id for hit in expected]
