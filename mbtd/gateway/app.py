"""The application: routes from the endpoints' rows, and what happens to every request.

Order: who asks, may it (rate, browser), what does it say, do it, answer. Invariants: every answer is JSON or empty
and carries ``X-Request-ID``; every error has Alpaca's shape; what a body or query says never gets into a log.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from mbtd.gateway import account, data, orders, reference, sessions
from mbtd.gateway.endpoint import Answer, Daemon, Endpoint, Request
from mbtd.gateway.errors import ApiError, malformed, unknown_outcome
from mbtd.gateway.login import Door, credentials_of
from mbtd.gateway.values import read_json, read_query
from mbtd.logs import get_logger

log = get_logger(subsystem="gateway")
_encode = msgspec.json.Encoder().encode
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *orders.ENDPOINTS,
    *account.ENDPOINTS,
    *reference.ENDPOINTS,
    *data.ENDPOINTS,
    *sessions.ENDPOINTS,
)
_ODD_ESCAPE: Final = re.compile(rb"%(?:2[ef]|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
QUERY_MAX_FIELDS: Final = 100
_SAFETY: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Gate:
    """Turns an endpoint's row into a handler."""

    def __init__(self, daemon: Daemon, door: Door, *, body_max_bytes: int, request_max_s: float) -> None:
        self._daemon = daemon
        self._door = door
        self._body_max_bytes = body_max_bytes
        self._request_max_s = request_max_s

    def serve(self, endpoint: Endpoint) -> Callable[[HttpRequest], Awaitable[Response]]:
        """The handler of an endpoint."""

        async def handler(http: HttpRequest) -> Response:
            headers = {"X-Request-ID": os.urandom(16).hex(), **_SAFETY}
            try:
                answer = await self._answer(endpoint, http, headers)
            except ApiError as error:
                if error.__cause__ is not None:
                    log.error("request.failed", path=endpoint.path, exc_info=error.__cause__)
                return error_response(error, headers)
            except asyncio.CancelledError:
                # The server stops and has waited long enough: what became of it nobody here knows.
                return error_response(unknown_outcome(), headers)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:
                log.error("request.failed", path=endpoint.path, exc_info=error)
                return error_response(ApiError(500, 50010000, "internal server error occurred"), headers)
            headers |= answer.headers
            if answer.result is None:
                return Response(status_code=answer.status, headers=headers)
            return Response(_encode(answer.result), answer.status, headers, media_type="application/json")

        return handler

    async def _answer(self, endpoint: Endpoint, http: HttpRequest, headers: dict[str, str]) -> Answer:
        given = credentials_of(http.headers)
        source = http.client.host if http.client is not None else ""
        who, rate = await self._door.verify(given, source, endpoint.costs)
        assert given is not None
        headers |= rate_headers(rate)
        if not rate["allowed"]:
            wait = str(-(-rate["retry_after_ms"] // 1000))
            raise ApiError(429, 42910000, "rate limit exceeded", headers={"Retry-After": wait})
        if given.by_cookie:
            self._door.check_browser(http.method, http.headers)
        query = read_query(_pairs(http), endpoint.query)
        body = None
        if endpoint.body is not None:
            body = read_json(await self._body(http, given.by_cookie), endpoint.body)
        request = Request(who, self._daemon, http.path_params, query, body, given.token)
        result = await endpoint.handler(request)
        return result if isinstance(result, Answer) else Answer(result, endpoint.status)

    async def _body(self, http: HttpRequest, by_cookie: bool) -> bytes:
        """The body, whole, in time and not too long. A browser must say that it is JSON, which no form can."""
        if by_cookie and not http.headers.get("content-type", "application/json").startswith("application/json"):
            raise ApiError(415, 41510000, "content type must be application/json")
        length = http.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self._body_max_bytes:
            raise _too_long()
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._request_max_s):
                async for piece in http.stream():
                    size += len(piece)
                    if size > self._body_max_bytes:
                        raise _too_long()
                    pieces.append(piece)
        except TimeoutError:
            raise ApiError(
                408, 40810000, "the request did not arrive in time", headers={"Connection": "close"}
            ) from None
        return b"".join(pieces)


def _too_long() -> ApiError:
    return ApiError(413, 41310000, "request body is too large", headers={"Connection": "close"})


def _pairs(http: HttpRequest) -> list[tuple[str, str]]:
    raw = http.scope["query_string"]
    if not raw:
        return []
    try:
        return parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_MAX_FIELDS
        )
    except ValueError:
        raise malformed() from None


def rate_headers(rate: Any) -> dict[str, str]:
    """Alpaca's three."""
    return {
        "X-RateLimit-Limit": str(rate["limit"]),
        "X-RateLimit-Remaining": str(rate["remaining"]),
        "X-RateLimit-Reset": str(rate["reset"]),
    }


def error_response(error: ApiError, headers: dict[str, str]) -> Response:
    """An error as it leaves."""
    return Response(_encode(error.body()), error.status, {**headers, **error.headers}, media_type="application/json")


async def _refused(http: HttpRequest, error: Exception) -> Response:
    """What the router itself refuses."""
    assert isinstance(error, HTTPException)
    headers = {"X-Request-ID": os.urandom(16).hex(), **_SAFETY, **(error.headers or {})}
    if error.status_code == 405:
        return error_response(ApiError(405, 40510000, "method not allowed"), headers)
    return error_response(
        ApiError(error.status_code, error.status_code * 100_000 + 10_000, "endpoint not found"), headers
    )


def make_app(
    gate: Gate,
    streams: Iterable[WebSocketRoute],
    pages: Iterable[Route],
    life: Callable[[], Any],
) -> ASGIApp:
    """The whole application. ``life`` is what runs beside it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with life():
            yield

    by_path: dict[str, dict[str, Callable[[HttpRequest], Awaitable[Response]]]] = {}
    for endpoint in ENDPOINTS:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = gate.serve(endpoint)
    routes = [Route(path, _by_method(handlers), methods=list(handlers)) for path, handlers in by_path.items()]
    app = Starlette(
        routes=[*routes, *pages, *streams], exception_handlers={HTTPException: _refused}, lifespan=lifespan
    )
    app.router.redirect_slashes = False
    return _PlainPaths(app)


class _PlainPaths:
    """Passes on what has a plain path: an escaped slash, dot, backslash or control character leads nowhere."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if b"%" in scope.get("raw_path", b"") and _ODD_ESCAPE.search(scope["raw_path"]):
            scope["path"] = "/"
        await self._app(scope, receive, send)


def _by_method(
    handlers: dict[str, Callable[[HttpRequest], Awaitable[Response]]],
) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def handler(http: HttpRequest) -> Response:
        return await handlers["GET" if http.method == "HEAD" else http.method](http)

    return handler
