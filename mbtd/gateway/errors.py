"""Errors in Alpaca's shape: ``{"code", "message"}`` and the numbers beside them (alpaca-api §0.1).

Invariants: every error body has a code whose first three digits are a status; a refusal of the daemon that carries
Alpaca's triple is answered with exactly that one; nothing the daemon says about accounts of others comes through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from mbtd.rpc.errors import RpcError

NOT_FOUND: Final = 40410000
UNAUTHORIZED: Final = 40110000
FORBIDDEN: Final = 40310000
INVALID: Final = 40010001


class ApiError(Exception):
    """Raised wherever a request ends in an error."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more or {}
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """What the client reads."""
        return {"code": self.code, "message": self.message, **self.more}


def malformed() -> ApiError:
    """The body is not what it should be at all."""
    return ApiError(400, 40010000, "request body format is invalid")


def invalid(message: str) -> ApiError:
    """A value that Alpaca refuses with 422 and its general code."""
    return ApiError(422, INVALID, message)


def not_found(message: str = "endpoint not found") -> ApiError:
    """404."""
    return ApiError(404, NOT_FOUND, message)


def unauthorized() -> ApiError:
    """401, with a code although Alpaca has none (traps §7.13)."""
    return ApiError(401, UNAUTHORIZED, "unauthorized.", headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str = "forbidden.") -> ApiError:
    """403."""
    return ApiError(403, FORBIDDEN, message)


def unavailable() -> ApiError:
    """The daemon cannot be asked now; nothing was done."""
    return ApiError(503, 50310000, "service is restarting, try again", headers={"Retry-After": "1"})


def unknown_outcome() -> ApiError:
    """Whether it was done is not known: 504, which the SDK repeats with the same client order id (§0)."""
    return ApiError(504, 50410000, "outcome unknown, repeat with the same client_order_id")


_STATUS: Final[dict[str, tuple[int, int, str]]] = {
    "invalid_params": (422, INVALID, ""),
    "parse_error": (400, 40010000, "request body format is invalid"),
    "unknown_account": (401, UNAUTHORIZED, "unauthorized."),
    "invalid_credentials": (401, UNAUTHORIZED, "unauthorized."),
    "not_permitted": (403, FORBIDDEN, "forbidden."),
    "not_entitled": (403, FORBIDDEN, "subscription does not permit querying this data"),
    "account_closed": (403, FORBIDDEN, "account is not authorized to trade"),
    "account_quarantined": (403, FORBIDDEN, "account is not authorized to trade"),
    "not_found": (404, NOT_FOUND, "not found"),
    "method_not_found": (404, NOT_FOUND, "endpoint not found"),
    "no_quote": (404, NOT_FOUND, "no data found"),
    "unknown_symbol": (404, NOT_FOUND, "symbol not found"),
    "mailbox_full": (429, 42910000, "too many requests are waiting"),
    "overloaded": (503, 50310000, "service is busy, try again"),
    "too_many_in_flight": (503, 50310000, "service is busy, try again"),
    "shutting_down": (503, 50310000, "service is restarting, try again"),
    "storage_full": (503, 50310000, "service cannot store anything now, nothing was done"),
    "deadline_exceeded": (503, 50310000, "service is busy, nothing was done"),
    "feed_down": (503, 50310000, "market data is not available"),
    "outcome_unknown": (504, 50410000, "outcome unknown, repeat with the same client_order_id"),
}


_NOT_SAID: Final = ("code", "message", "most")
"""Numbers that stay here: what the body has of its own, and how many legs the native protocol takes."""


class _Entry(Protocol):
    status: int
    body: dict[str, Any] | None


_E = TypeVar("_E", bound=_Entry)


def with_errors(entries: list[_E]) -> list[_E]:
    """A list of what became of several things, the daemon's refusals among them as Alpaca's error objects (§2.10)."""
    for entry in entries:
        if entry.status != 200 and entry.body is not None:
            entry.body = from_refusal(msgspec.convert(entry.body, RpcError)).body()
    return entries


def from_refusal(error: RpcError) -> ApiError:
    """Alpaca's answer for a refusal of the daemon."""
    data = error.data
    if data.alpaca is not None:
        more = dict(data.numbers or {})
        for name in _NOT_SAID:
            more.pop(name, None)
        if "related_orders" in more:
            more["related_orders"] = more["related_orders"].split(",")
        return ApiError(data.alpaca.status, data.alpaca.code, data.alpaca.message, more=more)
    status, code, message = _STATUS.get(data.reason, (500, 50010000, "internal server error occurred"))
    headers = {}
    if status in (429, 503) and data.retry_after_ms:
        headers["Retry-After"] = str(-(-data.retry_after_ms // 1000))
    if data.reason == "invalid_params" and not message:
        field = f"{data.field}: " if data.field and data.field not in error.message else ""
        message = f"invalid request parameter, {field}{error.message}"
    return ApiError(status, code, message, headers=headers)
