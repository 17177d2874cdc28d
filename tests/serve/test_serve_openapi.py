"""The OpenAPI description: programs can be generated from it, and it tells the truth."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from serving import Served

pytest.importorskip("schemathesis", reason="requests are made from the description by schemathesis")

from schema_cases import run_cases


@pytest.fixture(scope="module")
def description(served: Served):
    return httpx.get(f"{served.url}/openapi.json").json()


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_requests_made_from_the_description_never_fail_the_server(tmp_path: Path) -> None:
    """Some hundred here; tests/serve/schema_cases.py makes as many as one likes."""
    code, report = run_cases(tmp_path, 5)
    assert code == 0, report[-20_000:]


def test_operations_have_the_names_of_verbs(description) -> None:
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(set(names)) == len(names)
    assert {"search", "search_batch", "upsert_documents", "delete_documents", "facets"} <= set(
        names
    )
    assert all(name.isidentifier() for name in names)


def test_every_operation_is_described_with_its_answer_and_errors(description) -> None:
    error = {"$ref": "#/components/schemas/ErrorResponse"}
    for method, path, operation in operations(description):
        assert operation["description"], path
        answer = operation["responses"]["200"]["content"]
        assert all(content.get("schema") for content in answer.values()), (method, path)
        for status in ("400", "401", "404", "413", "422", "429"):
            body = operation["responses"][status]["content"]["application/json"]
            assert body["schema"] == error, (method, path, status)


def test_nothing_of_the_framework_shows(description) -> None:
    text = json.dumps(description)
    assert "HTTPValidationError" not in text
    assert "ValidationError" not in text


def test_pages_that_load_scripts_from_elsewhere_are_off(served: Served) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert httpx.get(f"{served.url}{path}").status_code == 404
