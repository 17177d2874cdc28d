"""Command lines, valid and spoiled, and the folder that they work in."""

from __future__ import annotations

from pathlib import Path
from random import Random

from mutations import distinct, json_line, mutated_arguments, mutated_bytes

from sparsearch import Index
from sparsearch.vectors import VectorFile, read_json_vectors, save_npz, write_bigann_csr

__all__ = ["prepare", "random_commands"]

# Valid, and together they use every verb that is not slow by intention, and most options.
VALID_COMMANDS = [
    line.split()
    for line in (
        "search papers sparse vectors -k 2 --explain",
        "search papers vectors --filter year>=2020 --filter kind=note --json",
        'search papers inverted --filter {"year":{"in":[2019,2021]}} --recall 0.9',
        "search papers --queries queries.jsonl --run out.trec -k 5",
        "search papers --queries queries.tsv --filter year=2021",
        "search vectors --vector {\"sparse\":1.5,\"search\":0.7} --recall 0.95 --explain",
        "search vectors --queries vectors.jsonl --recall 1 -k 3",
        "explain papers sparse a --json",
        "explain vectors --vector {\"sparse\":1} v1",
        "index papers more.jsonl --upsert --skip-invalid",
        "index papers table.csv --id-field key --text-field body --no-optimize",
        "index new more.jsonl --language german --k1 0.9 --b 0.4 --weight-bits 8 --no-stop-words",
        "index new bad.jsonl --skip-invalid --segment-documents 2",
        "index new bad.csv --format csv --title-field title",
        "import vectors vectors.npz --upsert",
        "import new vectors.csr --weight-bits 8 --segment-documents 3",
        "import new bad.jsonl --format jsonl",
        "import vectors bad.npz",
        "import vectors bad.csr --no-optimize",
        "export papers out.jsonl.gz",
        "export vectors out.npz --what vectors --format npz",
        "export papers -",
        "delete papers a b --missing-ok",
        "delete vectors v1",
        "evaluate papers collection --split test -m nDCG@10 -k 5 --json",
        "evaluate papers collection --queries queries.jsonl --run out.trec --per-query out.tsv",
        "compare qrels.tsv a.trec b.trec -m AP --test randomization --alpha 0.1 --json",
        "compare qrels.tsv a.trec b.trec --test wilcoxon --correction bonferroni",
        "info papers --json",
        "verify papers",
        "optimize vectors",
        "tune papers --queries queries.jsonl -k 5 --json",
    )
]  # fmt: skip
SLOW_VERBS = ("demo", "warmup", "bench")
POOL = [
    *dict.fromkeys(argument for command in VALID_COMMANDS for argument in command),
    "--no-such-option", "--help", "-h", "--", "-k", "--k=0", "--recall", "--filter", "--vector",
    "missing", "missing.jsonl", "0", "-1", "1", "8", "1.5", "1e400", "nan", "inf", "-inf", "",
    " ", "99999999999999999999", "1000000000", "true", "\udcff", "\udcff.jsonl", "\u202e", "{",
    "{}", "[]", "null", '{"sparse":NaN}', '{"sparse":1e999}', '{"\\ud800":1}', '{"year":{"~":1}}',
    '{"or":[]}', "year>=x", "color=red", ">=3", "year", "x" * 3000, "[" * 3000, '{"a":' * 3000,
]  # fmt: skip
TABLE = b'key,title,body,year\nk1,T,"a, b",2020\nk2,,c,\n'
JUDGEMENTS = b"query-id\tcorpus-id\tscore\nq1\ta\t1\nq2\tc\t2\n"
PAPERS = [
    {"id": "a", "title": "Sparse retrieval", "text": "Learned sparse vectors.", "year": 2019},
    {"id": "b", "title": "Dense retrieval", "text": "Dense vectors, and graphs.", "year": 2021},
    {"id": "c", "text": "An inverted index holds posting lists.", "year": 2021},
    {"id": "d", "title": "\u00c9tude", "text": "ein Caf\u00e9 \x1b[31m\u202e", "kind": "note"},
]
QUERIES = [{"_id": "q1", "text": "sparse retrieval"}, {"_id": "q2", "text": "posting lists"}]
VECTORS = [
    {"id": "v1", "contents": "one", "vector": {"sparse": 1.5, "search": 0.5}, "year": 2020},
    {"id": "v2", "contents": "two", "vector": {"search": 2.0}},
    {"id": "v3", "contents": "", "vector": {}},
]


def random_commands(count: int, rng: Random) -> list[list[str]]:
    """Return spoiled command lines.

    Slow verbs come with an option that is refused; no path leads out of the folder; and nothing
    reads ``/dev/stdin``, which may be a terminal.
    """

    def make() -> list[str]:
        if rng.random() < 0.03:
            return [rng.choice(SLOW_VERBS), *rng.choices(POOL, k=2), "--no-such-option"]
        command = mutated_arguments(rng.choice(VALID_COMMANDS), rng, POOL)
        command = [argument.replace("/", "_").replace("\0", "") for argument in command]
        slow = any(argument in SLOW_VERBS for argument in command)
        reads_stdin = command[:1] == ["index"] and "-" in command
        return ["search"] if slow or reads_stdin else command

    return distinct(make, count)


def prepare(folder: Path, rng: Random) -> None:
    """Fill a folder with two indexes and with files, good and bad, for the commands."""
    (folder / "collection" / "qrels").mkdir(parents=True)
    lines = {
        name: b"".join(json_line(list(record.items()), rng) + b"\n" for record in records)
        for name, records in (("papers", PAPERS), ("queries", QUERIES), ("vectors", VECTORS))
    }
    files = {
        "more.jsonl": lines["papers"] + b'{"id": "e", "text": "more of it"}\n',
        "bad.jsonl": lines["papers"] + mutated_bytes(lines["vectors"] + lines["papers"], rng),
        "queries.jsonl": lines["queries"],
        "queries.tsv": b"q1\tsparse\nq2\tposting lists\n",
        "vectors.jsonl": lines["vectors"],
        "table.csv": TABLE,
        "bad.csv": mutated_bytes(TABLE, rng),
        "qrels.tsv": JUDGEMENTS,
        "a.trec": b"q1 Q0 a 1 2.0 a\nq2 Q0 b 1 1.0 a\n",
        "b.trec": b"q1 Q0 b 1 2.0 b\nq2 Q0 c 1 1.0 b\n",
        "collection/corpus.jsonl": lines["papers"],
        "collection/queries.jsonl": lines["queries"],
        "collection/qrels/test.tsv": JUDGEMENTS,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (batch,) = read_json_vectors(folder / "vectors.jsonl")
    save_npz(folder / "vectors.npz", VectorFile(batch.vectors, batch.ids))
    write_bigann_csr(folder / "vectors.csr", batch.vectors)
    for suffix in ("npz", "csr"):
        spoiled = mutated_bytes((folder / f"vectors.{suffix}").read_bytes(), rng)
        (folder / f"bad.{suffix}").write_bytes(spoiled)
    with (
        Index.create(folder / "papers", "bm25") as papers,
        Index.create(folder / "vectors", None) as index,
    ):
        papers.add(PAPERS)
        index.add_vectors(batch.ids, batch.vectors, batch.metadata)
