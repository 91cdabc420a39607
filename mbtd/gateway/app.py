"""From a request to its answer: the endpoints' rows, and what happens to every request.

Order: who asks, may it (browser), what does it say, do it (the daemon checks login and rate with the first thing it
is asked), answer. Invariants: nothing is done for whoever is not let in, and he hears that before anything else about
his request; every answer is JSON or empty and carries ``X-Request-ID``; every error has Alpaca's shape; what a body
or query says never gets into a log.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from mbtd.gateway import account, corporate, data, events, orders, reference, sessions
from mbtd.gateway.endpoint import Answer, Daemon, Endpoint, Request
from mbtd.gateway.errors import ApiError, malformed, unauthorized, unknown_outcome
from mbtd.gateway.http import Exchange, Reply
from mbtd.gateway.login import Caller, Credentials, Door, Rate, credentials_of
from mbtd.gateway.values import read_json, read_query
from mbtd.logs import get_logger

log = get_logger(subsystem="gateway")
_encode = msgspec.json.Encoder().encode
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *orders.ENDPOINTS,
    *account.ENDPOINTS,
    *reference.ENDPOINTS,
    *data.ENDPOINTS,
    *corporate.ENDPOINTS,
    *events.ENDPOINTS,
    *sessions.ENDPOINTS,
)
QUERY_MAX_FIELDS: Final = 100
_SAFETY: Final = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_NONE: Final[Mapping[str, Any]] = {}
Page = Callable[[], Reply]


class Routes:
    """Finds the endpoint of a path: plain paths in one look, those with parameters among the few like them."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._like: dict[tuple[int, str], list[tuple[re.Pattern[str], dict[str, Endpoint]]]] = {}
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        for path, methods in by_path.items():
            if "{" not in path:
                self._plain[path] = methods
                continue
            pieces = _PARAMETER.split(path)
            pattern = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
            self._like.setdefault(_kind(path), []).append((re.compile(pattern + r"\Z"), methods))

    def find(self, path: str, method: str) -> tuple[Endpoint, Mapping[str, str]] | frozenset[str]:
        """The endpoint and the path's parameters; else the methods that the path has, none for no such path."""
        methods = self._plain.get(path, _NONE)
        endpoint = methods.get(method)
        if endpoint is not None:
            return endpoint, _NONE
        allowed = frozenset(methods)
        for pattern, methods in self._like.get(_kind(path), ()):
            found = pattern.match(path)
            if found is not None:
                endpoint = methods.get(method)
                if endpoint is not None:
                    return endpoint, found.groupdict()
                allowed |= frozenset(methods)
        return allowed


def _kind(path: str) -> tuple[int, str]:
    pieces = path.split("/", 3)
    return path.count("/"), pieces[2] if len(pieces) > 2 else ""


class Gate:
    """Answers requests."""

    def __init__(self, daemon: Daemon, door: Door, pages: Mapping[str, Page]) -> None:
        self._daemon = daemon
        self._door = door
        self._pages = pages
        self._routes = Routes(ENDPOINTS)

    def early(self, exchange: Exchange, body_comes: bool) -> Reply | None:
        """Whoever brings nothing to log in with has no body read."""
        if body_comes and credentials_of(exchange.headers) is None:
            return error_reply(unauthorized(), None)
        return None

    async def answer(self, exchange: Exchange) -> Reply:
        """The answer to a request; never raises."""
        caller: Caller | None = None
        try:
            page = self._pages.get(exchange.path)
            if page is not None:
                return page() if exchange.method in ("GET", "HEAD") else _not_allowed(("GET",))
            found = self._routes.find(exchange.path, "GET" if exchange.method == "HEAD" else exchange.method)
            if isinstance(found, frozenset):
                if found:
                    return _not_allowed(found)
                raise ApiError(404, 40410000, "endpoint not found")
            endpoint, path = found
            given = credentials_of(exchange.headers)
            if given is None:
                raise unauthorized()
            caller = Caller(self._door, given, exchange.source, endpoint.costs)
            answer = await self._do(endpoint, path, exchange, given, caller)
            if answer.stream is not None:
                head = head_of(caller.rate) + f"content-type: {endpoint.media}\r\n".encode()
                return Reply(answer.status, None, answer.headers, head, stream=answer.stream)
            body = _encode(answer.result) if answer.result is not None else None
            return Reply(answer.status, body, answer.headers, head_of(caller.rate))
        except ApiError as error:
            if error.__cause__ is not None:
                log.error("request.failed", path=exchange.path[:64], exc_info=error.__cause__)
            return error_reply(error, caller.rate if caller is not None else None)
        except asyncio.CancelledError:
            # The server stops and has waited long enough: what became of it nobody here knows.
            return error_reply(unknown_outcome(), None)
        except Exception as error:
            log.error("request.failed", path=exchange.path[:64], exc_info=error)
            return error_reply(ApiError(500, 50010000, "internal server error occurred"), None)

    async def _do(
        self,
        endpoint: Endpoint,
        path: Mapping[str, str],
        exchange: Exchange,
        given: Credentials,
        caller: Caller,
    ) -> Answer:
        if given.by_cookie:
            self._door.check_browser(exchange.method, exchange.headers)
        try:
            query = read_query(_pairs(exchange.query), endpoint.query) if exchange.query else endpoint.query()
            body = None
            if endpoint.body is not None:
                body = read_json(_body(exchange, given.by_cookie), endpoint.body)
            request = Request(caller, self._daemon, path, query, body, given.token, given.by_cookie, given.mark)
            result = await endpoint.handler(request)
        except ApiError:
            # What is wrong with a request is said only to somebody who may make it.
            if not caller.asked:
                await caller.identify()
            raise
        if not caller.asked:
            await caller.identify()
        return result if isinstance(result, Answer) else Answer(result, endpoint.status)


def _body(exchange: Exchange, by_cookie: bool) -> bytes:
    """The body. A browser must say that it is JSON, which no form can."""
    kind = exchange.headers.get("content-type", "application/json")
    if by_cookie and not kind.startswith("application/json"):
        raise ApiError(415, 41510000, "content type must be application/json")
    return bytes(exchange.body)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_MAX_FIELDS
        )
    except ValueError:
        raise malformed() from None


def head_of(rate: Rate | None) -> bytes:
    """The header lines of every answer, with Alpaca's three about the rate where one was counted."""
    lines = f"X-Request-ID: {os.urandom(16).hex()}\r\n{_SAFETY}"
    if rate is not None:
        lines += (
            f"X-RateLimit-Limit: {rate.limit}\r\nX-RateLimit-Remaining: {rate.remaining}\r\n"
            f"X-RateLimit-Reset: {rate.reset}\r\n"
        )
    return lines.encode("ascii")


def error_reply(error: ApiError, rate: Rate | None) -> Reply:
    """An error as it leaves."""
    return Reply(error.status, _encode(error.body()), error.headers, head_of(rate))


def _not_allowed(methods: Iterable[str]) -> Reply:
    allowed = sorted({*methods, *(("HEAD",) if "GET" in methods else ())})
    error = ApiError(405, 40510000, "method not allowed", headers={"Allow": ", ".join(allowed)})
    return error_reply(error, None)


def plain_error(status: int, message: str) -> Reply:
    """An error about what is no whole request; the connection ends with it."""
    reply = error_reply(ApiError(status, status * 100_000 + 10_000, message), None)
    reply.close = True
    return reply


__all__ = ["ENDPOINTS", "Gate", "Page", "plain_error"]
