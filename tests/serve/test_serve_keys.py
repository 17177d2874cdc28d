"""API keys: what they open, how they are kept, and how guessing them is slowed down."""

from __future__ import annotations

import json
import re
import shutil
import stat
import threading
import time
from pathlib import Path

import httpx
import pytest
from serving import Served, error_of, raw
from typer.testing import CliRunner

from sparsearch.cli import app
from sparsearch.errors import FileFormatError, InvalidInputError, NotFoundError
from sparsearch.serve import KeyFile, Limits, ServeConfig
from sparsearch.serve.auth import Gate, Guesses
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.keys import Key, KeyRing


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_key_is_kept_as_a_digest_that_only_its_owner_may_read(keys: KeyFile) -> None:
    key, token = keys.create("app", "read", ["papers"])
    content = keys.path.read_text()
    assert token not in content
    prefix, identifier, secret = token.split("_", 2)  # what is secret may have a "_" too
    assert (prefix, identifier) == ("sps", key.id)
    assert secret not in content
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    ring = KeyRing(keys.read())
    assert ring.find(token) == key
    for wrong in ("", token[:-1], token + "x", token.replace(key.id, "0" * 12), key.digest, "é"):
        assert ring.find(wrong) is None


def test_keys_are_created_and_revoked_one_by_one(keys: KeyFile) -> None:
    made = [keys.create(f"key {i}", "write")[0] for i in range(3)]
    assert keys.read() == made
    assert keys.revoke(made[1].id) == made[1]
    assert keys.read() == [made[0], made[2]]
    with pytest.raises(NotFoundError):
        keys.revoke(made[1].id)


def test_keys_made_at_the_same_time_are_all_kept(keys: KeyFile) -> None:
    threads = [threading.Thread(target=keys.create, args=(f"k{i}", "read")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in keys.read()} == {f"k{i}" for i in range(8)}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 2, "keys": []}', b'{"version": 1, "keys": [{}]}', b"\xff",
     b'{"version": 1, "keys": [{"id": 1, "name": "n", "role": "admin", "collections": [],'
     b' "digest": "", "created": ""}]}'],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(keys: KeyFile, content: bytes) -> None:
    keys.path.write_bytes(content)
    with pytest.raises(FileFormatError, match="sparsearch keys create"):
        keys.read()


@pytest.mark.parametrize(
    "change",
    [{"name": 5}, {"name": ["a"]}, {"role": ["read"]}, {"collections": "papers"},
     {"collections": {"papers": 1}}, {"collections": [1]}, {"digest": 7}, {"id": 7},
     {"created": None}, {"more": 1}],
)  # fmt: skip
def test_a_malformed_entry_lets_nobody_in(keys: KeyFile, change: dict[str, object]) -> None:
    _, token = keys.create("app", "read")
    keys.create("other", "read")
    gate = Gate(keys.path, 60)
    assert gate.admit(token, "::1", "read") is not None
    content = json.loads(keys.path.read_text())
    content["keys"] = [{**content["keys"][1], **change}]
    keys.path.write_text(json.dumps(content))
    with pytest.raises(FileFormatError):
        keys.read()
    time.sleep(1.05)
    for _ in range(2):  # the second time the file is not read again
        with pytest.raises(ServiceError, match="not known"):
            gate.admit(token, "::1", "read")


def test_a_link_to_the_file_is_followed(keys: KeyFile, tmp_path: Path) -> None:
    key, _ = keys.create("app", "read")
    link = tmp_path / "link.json"
    link.symlink_to(keys.path)
    KeyFile(link).create("more", "read")
    KeyFile(link).revoke(key.id)
    assert link.is_symlink()
    assert [kept.name for kept in keys.read()] == ["more"]
    assert not link.with_name("link.json.lock").exists()


def test_revoking_in_no_file_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist; make one with"):
        KeyFile(tmp_path / "none.json").revoke("abc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101])
def test_names_that_cannot_be_shown(keys: KeyFile, name: str) -> None:
    with pytest.raises(InvalidInputError):
        keys.create(name, "read")


def test_the_command_line_makes_lists_and_revokes(tmp_path: Path) -> None:
    runner, file = CliRunner(), str(tmp_path / "keys.json")

    def run(*arguments: str) -> str:
        result = runner.invoke(app, ["keys", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    token = run("create", file, "--name", "my app", "--role", "write", "--collection", "papers")
    key = KeyRing(KeyFile(Path(file)).read()).find(token.strip())
    assert key is not None
    assert (key.name, key.role, key.collections) == ("my app", "write", ("papers",))
    assert re.match(rf"{key.id}  write  papers  \S+  my app\n", run("list", file))
    (listed,) = map(json.loads, run("list", file, "--json").splitlines())
    assert listed["id"] == key.id
    assert "digest" not in listed
    assert run("revoke", file, key.id) == f"revoked {key.id} (my app)\n"
    assert run("list", file) == ""
    assert runner.invoke(app, ["keys", "revoke", file, key.id]).exit_code == 1
    assert runner.invoke(app, ["keys", "create", file, "--name", "x", "--role", "y"]).exit_code == 2


def test_other_than_loopback_needs_keys(papers: Path, keys: KeyFile) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.org", ""):
        with pytest.raises(InvalidInputError, match="API keys"):
            ServeConfig({"papers": papers}, host=host)
        ServeConfig({"papers": papers}, host=host, keys=keys.path)
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        ServeConfig({"papers": papers}, host=host)


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "other"))


def test_what_keys_open(papers: Path, other: Path, keys: KeyFile) -> None:
    _, reader = keys.create("reader", "read")
    _, writer = keys.create("writer", "write", ["papers"])
    body = {"documents": [{"id": "x", "text": "t"}]}
    with Served(papers, other, keys=keys.path) as served:

        def ask(token: str | None, method: str, path: str, json: object = None) -> httpx.Response:
            headers = bearer(token) if token else {}
            url = f"{served.url}{path}"
            return httpx.request(method, url, json=json, headers=headers, timeout=60)

        papers_url, other_url = "/v1/collections/papers", "/v1/collections/other"
        assert ask(reader, "GET", "/v1/collections").json()["collections"] == ["papers", "other"]
        assert ask(writer, "GET", "/v1/collections").json()["collections"] == ["papers"]
        for url in (papers_url, other_url):
            assert ask(reader, "POST", f"{url}/search", {"query": "sparse"}).status_code == 200
            refused = ask(reader, "PUT", f"{url}/documents", body)
            assert (refused.status_code, error_of(refused)["code"]) == (403, "key_may_not")
        assert ask(writer, "PUT", f"{papers_url}/documents", body).status_code == 200
        metrics = {key: ask(key, "GET", "/metrics").text for key in (reader, writer)}
        assert 'sparsearch_documents{collection="other"}' in metrics[reader]
        assert 'sparsearch_documents{collection="papers"}' in metrics[writer]
        assert 'collection="other"' not in metrics[writer]
        # A collection that a key does not open looks as one that is not there.
        hidden = ask(writer, "PUT", f"{other_url}/documents", body)
        absent = ask(writer, "PUT", "/v1/collections/absent/documents", body)
        assert (hidden.status_code, absent.status_code) == (404, 404)
        assert error_of(hidden)["code"] == error_of(absent)["code"] == "collection_not_found"

        for token in (None, "wrong", reader[:-1] + "~"):
            for method, path in (
                ("GET", "/v1/collections"), ("GET", papers_url), ("POST", f"{papers_url}/search"),
                ("PUT", f"{papers_url}/documents"), ("GET", "/metrics"),
                ("PUT", f"{papers_url}/documents/stream"),
            ):  # fmt: skip
                answer = ask(token, method, path)
                assert answer.status_code in (401, 429), (token, path)
                error_of(answer)
        for method in ("GET", "HEAD"):
            assert ask(None, method, "/health").status_code == 200
            assert ask(None, method, "/ready").status_code == 200
        assert ask(None, "GET", "/openapi.json").status_code == 200


def test_without_a_key_no_body_is_read(papers: Path, keys: KeyFile) -> None:
    keys.create("app", "write")
    head = b"PUT /v1/collections/papers/documents%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    body = b"Content-Type: application/json\r\nContent-Length: 10000000\r\n\r\n"
    with Served(papers, keys=keys.path) as served:
        for path in (b"", b"/stream"):
            assert raw(served.port, head % path + body).startswith(b"HTTP/1.1 401 ")


def test_a_revoked_key_stops_working_soon(papers: Path, keys: KeyFile) -> None:
    key, token = keys.create("app", "read")
    _, later_token = keys.create("other", "read")
    with Served(papers, keys=keys.path) as served:
        url = f"{served.url}/v1/collections"
        assert httpx.get(url, headers=bearer(token)).status_code == 200
        keys.revoke(key.id)
        status = 200
        for _ in range(100):
            status = httpx.get(url, headers=bearer(token)).status_code
            if status != 200:
                break
            threading.Event().wait(0.05)
        assert status == 401
        assert httpx.get(url, headers=bearer(later_token)).status_code == 200
        # Whom to let in is unknown while the file is damaged: nobody.
        keys.path.write_text("damaged")
        threading.Event().wait(1.1)
        assert httpx.get(url, headers=bearer(later_token)).status_code == 401


def test_a_key_revoked_while_the_file_is_read_is_noticed(
    keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, token = keys.create("app", "read")
    keys.create("other", "read")
    read = KeyFile.read

    def read_and_revoke(self: KeyFile) -> list[Key]:
        found = read(self)
        monkeypatch.setattr(KeyFile, "read", read)
        keys.revoke(key.id)
        return found

    monkeypatch.setattr(KeyFile, "read", read_and_revoke)
    gate = Gate(keys.path, 10)
    monkeypatch.setattr("sparsearch.serve.auth._LOOK_SECONDS", 0.0)
    with pytest.raises(ServiceError, match="not known, or was revoked"):
        gate.admit(token, "127.0.0.1", "read")


def test_guessing_is_slowed_down(papers: Path, keys: KeyFile) -> None:
    _, token = keys.create("app", "read")
    with Served(papers, keys=keys.path, limits=Limits(failures=5)) as served:
        url = f"{served.url}/v1/collections"
        codes = [httpx.get(url, headers=bearer(f"guess{i}")).status_code for i in range(20)]
        assert codes == [401] * 5 + [429] * 15
        # From this address not even the right key is looked at any more, for a while.
        blocked = httpx.get(url, headers=bearer(token))
        assert (blocked.status_code, error_of(blocked)["code"]) == (429, "too_many_wrong_keys")
        assert 1 <= int(blocked.headers["retry-after"]) <= 60
        # What a client says of its address is not believed.
        forged = {**bearer("another guess"), "x-forwarded-for": "10.1.2.3", "forwarded": "for=1"}
        assert httpx.get(url, headers=forged).status_code == 429


def test_guesses_are_forgiven_with_time_and_counted_by_network() -> None:
    now = [1000.0]
    guesses = Guesses(3, clock=lambda: now[0])
    for _ in range(3):
        assert guesses.wait("10.0.0.1") == 0
        guesses.wrong("10.0.0.1")
    assert 0 < guesses.wait("10.0.0.1") <= 20
    assert guesses.wait("10.0.0.2") == 0
    assert guesses.wait("::ffff:10.0.0.1") == guesses.wait("10.0.0.1")
    now[0] += 20
    assert guesses.wait("10.0.0.1") == 0
    for host in range(3):
        guesses.wrong(f"2001:db8::{host}")
    assert guesses.wait("2001:db8::ffff") > 0
    assert guesses.wait("2001:db8:0:1::1") == 0
    now[0] += 1e9
    assert guesses.wait("2001:db8::ffff") == 0


def test_addresses_that_guess_do_not_fill_the_memory() -> None:
    guesses = Guesses(3)
    for i in range(30_000):
        guesses.wrong(f"10.{i // 65536}.{i // 256 % 256}.{i % 256}")
    assert len(guesses._seen) <= 10_000
