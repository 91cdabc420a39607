"""The OpenAPI document of everything that is served, made from the endpoints' rows and their types.

Invariant: nothing in it is written twice: parameters, bodies and answers are the Structs that the gateway reads and
writes with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mbtd import __version__
from mbtd.gateway import schemas as s
from mbtd.gateway.endpoint import Endpoint

_REF: Final = "#/components/schemas/{name}"
_PATH: Final = re.compile(r"\{(\w+)\}")
_ERRORS: Final = {
    "400": "The request is malformed",
    "401": "The key or token opens nothing",
    "403": "Not allowed",
    "404": "There is no such thing",
    "408": "The request did not arrive in time",
    "413": "The body is too large",
    "422": "A value is refused",
    "429": "Too many requests",
    "503": "Try again in a moment",
    "504": "The outcome is not known; repeat with the same client_order_id",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    kinds: list[Any] = [s.ErrorBody]
    for endpoint in endpoints:
        kinds += [kind for kind in (endpoint.query, endpoint.body, endpoint.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mbtd gateway", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key_id": {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
                "secret": {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-mbtd_session"},
            },
        },
        "security": [{"key_id": [], "secret": []}, {"bearer": []}, {"cookie": []}],
    }


def _key(kind: Any) -> Any:
    return repr(kind)


def _operation(endpoint: Endpoint, schema_of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH.findall(endpoint.path)
    ]
    query = components.get(endpoint.query.__name__, {})
    for name, schema in query.get("properties", {}).items():
        parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    answer: dict[str, Any] = {"description": "Done"}
    if endpoint.answer is not None:
        answer["content"] = {endpoint.media: {"schema": schema_of[_key(endpoint.answer)]}}
    error = {"application/json": {"schema": schema_of[_key(s.ErrorBody)]}}
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()} {endpoint.path}",
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            str(endpoint.status): answer,
            **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
        },
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": schema_of[_key(endpoint.body)]}}
        operation["requestBody"] = {"required": False, "content": content}
    return operation
