"""The document says what is served, and what is served keeps to it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings

from mbtd.gateway.app import ENDPOINTS
from mbtd.gateway.openapi import document
from tests.gateway.running import Served, User

DOCUMENT = document(ENDPOINTS)


def test_it_is_served_without_a_key(served: Served) -> None:
    assert requests.get(served.url + "/openapi.json", timeout=10).json() == DOCUMENT


def test_every_endpoint_is_in_it_once() -> None:
    listed = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
    assert sorted(listed) == sorted((endpoint.path, endpoint.method.lower()) for endpoint in ENDPOINTS)


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [v for k, v in value.items() if k == "$ref"] + [r for v in value.values() for r in references(v)]
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    names = {reference.rpartition("/")[2] for reference in references(DOCUMENT)}
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_every_path_of_the_sdk_is_in_it() -> None:
    """The SDK's own sources name the paths that its clients ask for."""
    import inspect

    from alpaca.data.historical import option, stock
    from alpaca.trading import client

    served = {re.sub(r"\{\w+\}", "{}", path) for path in DOCUMENT["paths"]}
    for module, version in ((client, "/v2"), (stock, "/v2"), (option, "/v1beta1")):
        source = inspect.getsource(module)
        found = re.findall(r'(?:self\.\w+\(\s*|path=)f?"(/[^"]*)"', source)
        assert found
        for path in found:
            assert version + re.sub(r"\{[^}]*\}", "{}", path) in served


schemathesis = pytest.importorskip("schemathesis")
schema = schemathesis.openapi.from_dict(DOCUMENT)
CASES = int(os.environ.get("MBTD_GATEWAY_CASES", "3"))
"""Cases for each operation."""


@pytest.fixture(scope="module")
def guinea_pigs(served: Served) -> Iterator[User]:
    """Whose settings may be spoilt, in turns, so that none comes to its limit."""
    return itertools.cycle([served.open(f"guinea pig {number}") for number in range(5)])


@schema.parametrize()
@settings(max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
def test_answers_keep_to_the_document(case: Any, guinea_pigs: Iterator[User]) -> None:
    """No unexpected 5xx, and every answer has a status, a type and a shape that the document names."""
    from schemathesis import checks

    if case.method == "DELETE" and case.path in ("/api/sessions", "/api/keys/{key_id}"):
        return  # would end what the other tests live on
    if case.path == "/v2beta1/events/activities":
        return  # has no end
    guinea_pig = next(guinea_pigs)
    case.headers = {"APCA-API-KEY-ID": guinea_pig.key, "APCA-API-SECRET-KEY": guinea_pig.secret}
    response = case.call(base_url=guinea_pig.served.url)
    case.validate_response(
        response,
        checks=[
            checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ],
    )
