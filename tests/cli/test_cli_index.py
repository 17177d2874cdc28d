from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from cli_sources import PAPERS, write_jsonl

from sparsearch.encoders import load_default
from sparsearch.index import Index, IndexConfig


def test_creates_adds_and_says_what_is_next(run, tmp_path, papers_file):
    outcome = run("index", tmp_path / "i", papers_file)
    assert outcome.code == 0, outcome
    assert "added 4 documents" in outcome.out
    assert "holds 4 documents" in outcome.out
    assert f'next: sparsearch search {tmp_path / "i"} "your question"' in outcome.out
    assert outcome.err == ""
    with Index.open(tmp_path / "i") as index:
        assert [document.id for document in index.documents()] == ["a", "b", "c", "d"]
        assert index.get("a").metadata == {"year": 2019}


def test_a_source_that_is_done_is_left_alone(run, tmp_path, papers_file):
    run("index", tmp_path / "i", papers_file)
    outcome = run("index", tmp_path / "i", papers_file)
    assert outcome.code == 0
    assert "already indexed (4 documents)" in outcome.err
    assert "added" not in outcome.out


def test_what_a_source_has_grown_by_is_added(run, tmp_path):
    source = write_jsonl(tmp_path / "s.jsonl", PAPERS)
    run("index", tmp_path / "i", source)
    write_jsonl(source, [*PAPERS, {"id": "e", "text": "later"}])
    outcome = run("index", tmp_path / "i", source)
    assert outcome.code == 0, outcome
    assert "s.jsonl has grown: 4 documents of it were indexed before" in outcome.err
    assert "added 1 document " in outcome.out
    write_jsonl(source, [*PAPERS[:-1], {"id": "f", "text": "instead"}, *PAPERS[-1:]])
    outcome = run("index", tmp_path / "i", source)
    assert outcome.code == 1
    assert "changed since it was indexed (document 5 was 'e', now 'd')" in outcome.err
    assert "--upsert" in outcome.err


def test_what_comes_out_of_a_pipe_is_always_new(program, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name in "ab":
        line = json.dumps({"id": name, "text": "sparse"})
        writer = subprocess.Popen(["sh", "-c", f"echo '{line}' > {pipe}"])
        outcome = program("index", tmp_path / "i", pipe, "--format", "jsonl", "--encoder", "bm25")
        assert writer.wait(10) == 0
        assert outcome.code == 0, outcome
        assert "added 1 document " in outcome.out


def test_upsert_reads_it_again(run, tmp_path):
    source = write_jsonl(tmp_path / "s.jsonl", PAPERS)
    run("index", tmp_path / "i", source)
    write_jsonl(source, [{"id": "a", "text": "new"}, {"id": "e", "text": "newer"}])
    outcome = run("index", tmp_path / "i", source, "--upsert")
    assert outcome.code == 0, outcome
    with Index.open(tmp_path / "i") as index:
        assert len(index) == 5
        assert index.get("a").text == "new"


def ids(folder):
    with Index.open(folder) as index:
        return [document.id for document in index.documents()]


@pytest.mark.parametrize("options", [(), ("--passage-length", "50")])
def test_a_folder_is_mirrored(run, tmp_path, options):
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    for name, text in {"a.txt": "sparse", "sub/b.md": "dense " * 20, "c.txt": "soup"}.items():
        (folder / name).write_text(text)
    mirror = ("index", tmp_path / "i", folder, "--mirror", "--encoder", "bm25", *options)
    outcome = run(*mirror)
    assert "added 3 documents" in outcome.out
    assert "0 documents unchanged, 0 deleted" in outcome.err
    (folder / "a.txt").unlink()
    (folder / "c.txt").write_text("salted soup")
    (folder / "d.txt").write_text("new")
    outcome = run(*mirror)
    assert outcome.code == 0, outcome
    assert "added 2 documents" in outcome.out
    assert "1 document unchanged, 1 deleted" in outcome.err
    found = [name.partition("#")[0] for name in ids(tmp_path / "i")]
    assert list(dict.fromkeys(found)) == ["sub/b.md", "c.txt", "d.txt"]
    (folder / "sub" / "b.md").write_text("dense " * 5)  # fewer passages, all stored already
    assert "added 1 document " in run(*mirror).out
    before = ids(tmp_path / "i")
    (folder / "d.txt").write_bytes(b"\0")  # left out as binary, but still there
    outcome = run(*mirror)
    assert "3 documents unchanged" not in outcome.err
    assert "2 documents unchanged, 0 deleted" in outcome.err
    assert ids(tmp_path / "i") == before


def test_a_mirror_forgets_what_else_was_indexed(run, tmp_path):
    first, second = (write_jsonl(tmp_path / f"{i}.jsonl", [{"id": i, "text": i}]) for i in "ab")
    run("index", tmp_path / "i", first, "--encoder", "bm25")
    assert "1 deleted" in run("index", tmp_path / "i", second, "--mirror").err
    assert "added 1 document " in run("index", tmp_path / "i", first).out
    with Index.open(tmp_path / "i") as index:
        assert sorted(index.ids()) == ["a", "b"]


def test_a_mirror_deletes_nothing_where_it_cannot_know(run, tmp_path):
    source = write_jsonl(tmp_path / "s.jsonl", PAPERS)
    mirror = ("index", tmp_path / "i", source, "--mirror", "--encoder", "bm25")
    run(*mirror)
    source.write_text("not JSON\n" + json.dumps(PAPERS[0]) + "\n")
    outcome = run(*mirror)
    assert outcome.code == 1
    assert len(ids(tmp_path / "i")) == 4
    outcome = run(*mirror, "--skip-invalid")
    assert outcome.code == 0, outcome
    assert "nothing was deleted, since not all records could be used" in outcome.err
    assert len(ids(tmp_path / "i")) == 4
    source.write_text("")
    outcome = run(*mirror)
    assert outcome.code == 1
    assert "s.jsonl holds no documents, so nothing was deleted; if that is meant" in outcome.err
    outcome = run("index", tmp_path / "i", "-", "--mirror", stdin=json.dumps(PAPERS[0]))
    assert outcome.code == 1
    assert "standard input may end early" in outcome.err
    assert "--mirror takes a file or a folder" in outcome.err
    assert len(ids(tmp_path / "i")) == 4
    run("index", tmp_path / "new", "-", "--mirror", stdin=json.dumps(PAPERS[0]))
    assert not (tmp_path / "new").exists()


def test_a_mirror_is_gone_on_from(run, tmp_path):
    source = write_jsonl(tmp_path / "s.jsonl", PAPERS)
    command = ("index", tmp_path / "i", source, "--encoder", "bm25")
    run(*command)
    write_jsonl(source, [PAPERS[0], PAPERS[2]])
    assert "2 deleted" in run(*command, "--mirror").err
    write_jsonl(source, [PAPERS[0], PAPERS[2], {"id": "e", "text": "later"}])
    assert "has grown: 2 documents" in run(*command).err
    write_jsonl(source, PAPERS)
    outcome = run(*command)
    assert outcome.code == 1
    assert "changed since it was indexed" in outcome.err
    assert ids(tmp_path / "i") == ["a", "c", "e"]


def test_a_mirror_names_the_document_that_is_wrong(run, tmp_path):
    source = write_jsonl(tmp_path / "s.jsonl", [*PAPERS[:2], {"id": "x", "text": "t", "n": 2**70}])
    outcome = run("index", tmp_path / "i", source, "--mirror", "--encoder", "bm25")
    assert outcome.code == 1
    assert "document 2 (id 'x')" in outcome.err
    assert ids(tmp_path / "i") == ["a", "b"]


def test_of_documents_of_one_id_the_last_is_mirrored(run, tmp_path):
    twice = [{"id": "a", "text": "first"}, {"id": "b", "text": "b"}, {"id": "a", "text": "last"}]
    source = write_jsonl(tmp_path / "s.jsonl", twice)
    for _ in range(3):
        run("index", tmp_path / "i", source, "--mirror", "--encoder", "bm25")
        with Index.open(tmp_path / "i") as index:
            assert index.get("a").text == "last"
            assert len(index) == 2


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (
            ("--encoder", "bm25"),
            {"k1": 1.2, "b": 0.75, "analysis": {"language": "english", "stop_words": True}},
        ),
        (
            ("--k1", "0.9", "--b", "0.4", "--language", "french", "--stop-words"),
            {"k1": 0.9, "b": 0.4, "analysis": {"language": "french", "stop_words": True}},
        ),
        (("--language", "none"), {"analysis": {"language": None, "stop_words": False}}),
        (("--pair-weight", "0.25"), {"k1": 1.2, "pair_weight": 0.25}),
    ],
)
def test_options_of_the_encoder(run, tmp_path, papers_file, options, settings):
    assert run("index", tmp_path / "i", papers_file, *options).code == 0
    with Index.open(tmp_path / "i") as index:
        encoder = index.info().encoder
        assert {name: encoder[name] for name in settings} == settings
    # the same options may be given again
    again = write_jsonl(tmp_path / "more.jsonl", [{"id": "z", "text": "more"}])
    assert run("index", tmp_path / "i", again, *options).code == 0


def test_the_default_encoder_is_the_default(run, tmp_path, papers_file):
    assert run("index", tmp_path / "i", papers_file).code == 0
    with Index.open(tmp_path / "i") as index, Index.create(tmp_path / "j") as other:
        assert index.info().encoder == other.info().encoder == load_default().identity
        assert index.config.segment_documents == 5_000
    assert run("index", tmp_path / "k", papers_file, "--segment-documents", 9).code == 0
    with Index.open(tmp_path / "k") as index:
        assert index.config.segment_documents == 9


@pytest.mark.parametrize("options", [("--k1", 1), ("--no-stop-words",), ("--language", "dutch")])
def test_options_of_bm25_mean_bm25_and_do_not_go_with_the_default(
    run, tmp_path, papers_file, options
):
    outcome = run("index", tmp_path / "i", papers_file, *options, "--encoder", "default")
    assert outcome.code == 1
    assert "goes with --encoder bm25" in outcome.err
    assert run("index", tmp_path / "i", papers_file, *options).code == 0
    with Index.open(tmp_path / "i") as index:
        assert index.info().encoder["type"] == "bm25"
        assert index.config.segment_documents == 50_000


def test_options_of_the_index(run, tmp_path, papers_file):
    options = ("--weight-bits", 8, "--segment-documents", 2, "--no-optimize")
    assert run("index", tmp_path / "i", papers_file, *options).code == 0
    with Index.open(tmp_path / "i") as index:
        assert index.config.weight_bits == 8
        assert index.config.segment_documents == 2


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("--k1", "2", "k1 1.2"),
        ("--pair-weight", "1", "pair_weight 0.0"),
        ("--language", "none", "language english"),
        ("--weight-bits", "8", "weight_bits 12"),
        ("--no-stop-words", None, "stop_words True"),
    ],
)
def test_an_index_keeps_its_options(run, papers, papers_file, option, value, kept):
    outcome = run("index", papers, papers_file, *filter(None, (option, value)))
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert kept in outcome.err
    assert f"leave out {option}" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--k1", "nan"], "k1 is nan"),
        (["--weight-bits", "9"], "weight_bits is 9"),
        (["--language", "klingon"], "no stemmer for language 'klingon'"),
        (["--segment-documents", "0"], "segment_documents is 0"),
        (["--id-field", "doi"], "papers.jsonl:1: no field 'doi'"),
    ],
)
def test_bad_options_are_one_line(run, tmp_path, papers_file, arguments, reason):
    outcome = run("index", tmp_path / "i", papers_file, *arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1


def test_usage_errors_exit_with_2(run, tmp_path, papers_file):
    for arguments in (["--k1", "x"], ["--format", "doc"], ["--nonsense"]):
        assert run("index", tmp_path / "i", papers_file, *arguments).code == 2
    assert run("index").code == 2
    assert not (tmp_path / "i").exists()


def test_no_source_no_index(run, tmp_path):
    outcome = run("index", tmp_path / "i", tmp_path / "nope.jsonl")
    assert outcome.code == 1
    assert "nope.jsonl: does not exist" in outcome.err
    assert not (tmp_path / "i").exists()


def test_a_folder_of_something_else_is_refused(run, tmp_path, papers_file):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    outcome = run("index", tmp_path / "mine", papers_file)
    assert outcome.code == 1
    assert "is not empty" in outcome.err


def test_fields_by_name(run, tmp_path):
    source = tmp_path / "table.csv"
    source.write_text('doi,name,abstract,body\nx1,Name,"one, two",three\n')
    options = ("--id-field", "doi", "--title-field", "name")
    options += ("--text-field", "abstract", "--text-field", "body")
    assert run("index", tmp_path / "i", source, *options).code == 0
    with Index.open(tmp_path / "i") as index:
        document = index.get("x1")
        assert (document.title, document.text) == ("Name", "one, two\nthree")


def test_a_malformed_line_stops_and_the_mended_file_goes_on(run, tmp_path):
    source = tmp_path / "s.jsonl"
    source.write_text('{"id": "1", "text": "one"}\n{oops\n{"id": "3", "text": "three"}\n')
    outcome = run("index", tmp_path / "i", source)
    assert outcome.code == 1
    assert f"error: {source}:2: not JSON" in outcome.err
    source.write_text('{"id": "1", "text": "one"}\n{"id": "3", "text": "three"}\n')
    outcome = run("index", tmp_path / "i", source)
    assert outcome.code == 0, outcome
    assert "going on after 1 document\n" in outcome.err
    with Index.open(tmp_path / "i") as index:
        assert [document.id for document in index.documents()] == ["1", "3"]


@pytest.mark.parametrize(
    "line",
    [
        '{"doi": "1", "text": "one"}',
        "{oops",
        '{"id": "1", "text": "one", "n": 99999999999999999999}',
        '{"id": "1", "text": "one", "passage": 2}',
    ],
)
@pytest.mark.parametrize("how", [(), ("--upsert",), ("--mirror",)])
def test_of_a_source_that_is_no_good_from_the_start_no_index_is_made(run, tmp_path, line, how):
    source = tmp_path / "s.jsonl"
    source.write_text(line + '\n{"id": "2", "text": "two"}\n')
    outcome = run("index", tmp_path / "i", source, "--passage-length", 50, *how)
    assert outcome.code == 1
    assert outcome.err.count("error: ") == 1
    assert not (tmp_path / "i").exists()
    # so other settings can be given
    source.write_text('{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n')
    outcome = run("index", tmp_path / "i", source, "--k1", 2, *how)
    assert outcome.code == 0, outcome
    assert ids(tmp_path / "i") == ["1", "2"]


def test_a_passage_length_that_will_not_do_is_refused(run, tmp_path, papers_file):
    outcome = run("index", tmp_path / "i", papers_file, "--passage-length", 0)
    assert outcome.code == 1
    assert outcome.err.startswith("error: passage_length is 0")
    assert not (tmp_path / "i").exists()


def test_skip_invalid_reports_each_and_counts_all(run, tmp_path):
    lines = ['{"id": "1", "text": "one"}', "{oops", '{"id": "2"}']
    lines += ['{"id": "3", "text": "x", "n": 99999999999999999999}', '{"id": "4", "text": "four"}']
    source = tmp_path / "s.jsonl"
    source.write_text("\n".join(lines + ["{"] * 20) + "\n")
    outcome = run("index", tmp_path / "i", source, "--skip-invalid")
    assert outcome.code == 0, outcome
    assert f"skipped: {source}:2: not JSON" in outcome.err
    assert "skipped: document 1 (id '3'): field 'n'" in outcome.err
    assert outcome.err.count("skipped:") == 11
    assert "skipped 23 records in all" in outcome.err
    with Index.open(tmp_path / "i") as index:
        assert [document.id for document in index.documents()] == ["1", "4"]


def test_taken_ids_are_an_error_or_skipped(run, tmp_path):
    source = write_jsonl(
        tmp_path / "s.jsonl",
        [{"id": i, "text": t} for i, t in (("1", "a"), ("1", "b"), ("2", "c"), ("0", "d"))],
    )
    first = write_jsonl(tmp_path / "first.jsonl", [{"id": "0", "text": "before"}])
    assert run("index", tmp_path / "i", first).code == 0
    outcome = run("index", tmp_path / "i", source)
    assert outcome.code == 1
    assert "the id '1' is taken" in outcome.err
    assert "--upsert" in outcome.err
    assert "--skip-invalid" in outcome.err
    outcome = run("index", tmp_path / "i", source, "--skip-invalid")
    assert outcome.code == 0, outcome
    for taken in "10":
        reason = f"the id '{taken}' is taken, by the index or by an earlier document"
        assert f"skipped: {source}: {reason}\n" in outcome.err
    assert "skipped 2 records in all" in outcome.err
    assert "added 1 document " in outcome.out
    with Index.open(tmp_path / "i") as index:
        assert [d.text for d in index.documents()] == ["before", "a", "c"]
    assert "already indexed (4 documents)" in run("index", tmp_path / "i", source).err


@pytest.mark.parametrize("after", range(7))
def test_skipped_ids_do_not_disturb_going_on(run, tmp_path, after):
    """Whatever was left out before the interruption: of each id, the first document is kept."""
    documents = [{"id": i, "text": str(n)} for n, i in enumerate("abacbd")]
    source = write_jsonl(tmp_path / "s.jsonl", documents)

    def interrupted():
        yield from documents[:after]
        raise OSError("the network is down")

    left_out = []
    with Index.create(tmp_path / "i", "bm25", IndexConfig(segment_documents=2)) as index:
        index.add([{"id": "c", "text": "before"}])
        with pytest.raises(OSError, match="network"):
            index.add(interrupted(), source=str(source), on_taken=left_out.append)
        assert index.source_progress(str(source)).consumed == after
    outcome = run("index", tmp_path / "i", source, "--skip-invalid")
    assert outcome.code == 0, outcome
    assert outcome.err.count("skipped: ") == 3 - len(left_out)
    with Index.open(tmp_path / "i") as index:
        kept = {document.id: document.text for document in index.documents()}
    assert kept == {"c": "before", "a": "0", "b": "1", "d": "5"}
    assert "already indexed (6 documents)" in run("index", tmp_path / "i", source).err


def test_an_empty_source_is_said_to_be_and_read_again(run, tmp_path):
    source = tmp_path / "s.jsonl"
    source.write_text("")
    for _ in range(2):
        outcome = run("index", tmp_path / "i", source)
        assert outcome.code == 0, outcome
        assert outcome.err == f"{source} holds no documents\n"
    write_jsonl(source, PAPERS)
    assert "added 4 documents" in run("index", tmp_path / "i", source).out


def test_a_partly_indexed_source_that_changed_is_refused(run, tmp_path):
    source = tmp_path / "s.jsonl"
    source.write_text('{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n{oops\n')
    assert run("index", tmp_path / "i", source).code == 1
    for changed, reason in (
        ([{"id": "9", "text": "nine"}, {"id": "8", "text": "eight"}], "was '2', now '8'"),
        ([{"id": "1", "text": "one"}], "it has only 1"),
    ):
        write_jsonl(source, changed)
        outcome = run("index", tmp_path / "i", source)
        assert outcome.code == 1
        assert reason in outcome.err
        assert "--upsert" in outcome.err


def test_standard_input(program, tmp_path):
    lines = "".join(json.dumps(paper) + "\n" for paper in PAPERS).encode()
    outcome = program("index", tmp_path / "i", "-", stdin=lines)
    assert outcome.code == 0, outcome
    assert "added 4 documents" in outcome.out
    # gzip is told by its bytes; and it is not remembered as a source
    outcome = program("index", tmp_path / "i", "-", "--upsert", stdin=gzip.compress(lines))
    assert outcome.code == 0, outcome
    assert "holds 4 documents" in outcome.out


@pytest.fixture
def index_from(environment, tmp_path):
    """Return a function that indexes what a file or socket gives as standard input."""

    def execute(stdin):
        command = [sys.executable, "-m", "sparsearch", "index", str(tmp_path / "i"), "-"]
        command += ["--encoder", "bm25"]
        done = subprocess.run(
            command, stdin=stdin, capture_output=True, env=environment, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return ids(tmp_path / "i")

    return execute


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no pairs of sockets as on Unix")
def test_standard_input_that_is_a_socket(index_from, papers_file):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(papers_file.read_bytes())
        ours.shutdown(socket.SHUT_WR)
        assert index_from(theirs) == ["a", "b", "c", "d"]


def test_standard_input_is_read_from_where_it_stands(index_from, papers_file):
    with open(papers_file, "rb", buffering=0) as file:
        file.seek(len(papers_file.read_bytes().splitlines(keepends=True)[0]))
        assert index_from(file) == ["b", "c", "d"]


def test_a_file_name_that_is_not_utf8(run, tmp_path):
    source = write_jsonl(tmp_path / "plain.jsonl", PAPERS)
    odd = os.fsdecode(os.fsencode(str(tmp_path)) + b"/odd-\xff.jsonl")
    os.rename(source, odd)
    assert run("index", tmp_path / "i", odd).code == 0
    outcome = run("index", tmp_path / "i", odd)
    assert outcome.code == 0
    assert "already indexed" in outcome.err


# ---- interruption


@pytest.fixture(scope="module")
def large_source(tmp_path_factory):
    def documents():
        for i in range(30_000):
            yield {"id": f"d{i}", "text": f"word{i % 977} word{i % 31} term{i}", "year": i % 40}

    return write_jsonl(tmp_path_factory.mktemp("large") / "large.jsonl", documents())


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, run, large_source):
    folder = tmp_path_factory.mktemp("unbroken") / "i"
    options = ("--encoder", "bm25", "--segment-documents", 2000)
    assert run("index", folder, large_source, *options).code == 0
    return folder


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_index_is_finished_by_the_same_command(
    run, interrupt, tmp_path, large_source, unbroken, stop
):
    folder = tmp_path / "i"
    arguments = ["index", str(folder), str(large_source), "--encoder", "bm25"]
    arguments += ["--segment-documents", "2000"]
    broken = interrupt(stop, folder, *arguments)
    if stop == signal.SIGINT:
        assert "stored; the same command goes on after them" in broken.err
    with Index.open(folder) as index:
        assert 0 < len(index) < 30_000
    outcome = run(*arguments)
    assert outcome.code == 0, outcome
    assert "going on after" in outcome.err
    with Index.open(folder) as mended, Index.open(unbroken) as whole:
        assert mended.verify() == []
        assert list(mended.documents()) == list(whole.documents())
        assert mended.vectors() == whole.vectors()
        assert mended.search("word5 term77", 50) == whole.search("word5 term77", 50)
