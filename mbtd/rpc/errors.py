"""Every error of the protocol that is not an order refusal, in one table, and the shape all errors share.

Invariants: ``data.reason`` is the contract and never changes its meaning; numbers (codes) are never reused;
texts may change. Order refusals (3xxx) have the same shape; their reasons come from the rules' own table.

======= =======================================
range   subject
======= =======================================
-32xxx  JSON-RPC: parse, request, method, params
1xxx    session and its limits
2xxx    identity
3xxx    order refusals
4xxx    overload and deadlines
5xxx    storage
6xxx    market data
======= =======================================
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct


class AlpacaError(Struct, frozen=True, kw_only=True):
    """What Alpaca's REST interface answers in the same case (alpaca-api §0.1)."""

    status: int
    """HTTP status."""
    code: int
    message: str


class ErrorData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of an error that programs may rely on. Absent members do not apply."""

    reason: str
    retryable: bool
    """The same request can succeed later without being changed."""
    field: str | None = None
    """Which parameter is meant, as a path such as ``take_profit.limit_price``."""
    numbers: dict[str, Any] | None = None
    """The figures behind the decision: decimal texts, or lists of ids."""
    retry_after_ms: int | None = None
    remedy: str | None = None
    """What a person can do, one sentence."""
    alpaca: AlpacaError | None = None


class RpcError(Struct, frozen=True, kw_only=True):
    """The ``error`` member of a response."""

    code: int
    message: str
    data: ErrorData


class Refusal(Exception):
    """Raised by whoever cannot do what was asked; the connection answers with :attr:`error`."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.message)
        self.error = error


class ErrorKind(Struct, frozen=True):
    """One row of the table."""

    code: int
    reason: str
    message: str
    remedy: str
    retryable: bool = False
    retry_after_ms: int | None = None


_KINDS: Final = (
    ErrorKind(-32700, "parse_error", "The line is not JSON", "Send one JSON object a line, in UTF-8."),
    ErrorKind(
        -32600,
        "invalid_request",
        "The line is not a request",
        "Send jsonrpc, id, method, and as you need them params and deadline_ms; no batches.",
    ),
    ErrorKind(-32601, "method_not_found", "There is no such method", "Check the method's name."),
    ErrorKind(-32602, "invalid_params", "The parameters do not fit the method", "Correct the named field."),
    ErrorKind(
        -32603,
        "internal_error",
        "The daemon failed at this request",
        "Report it to the operator; the daemon's log has the cause.",
    ),
    ErrorKind(1001, "line_too_long", "The line is longer than allowed", "Split the request; use paging."),
    ErrorKind(
        1002,
        "too_many_in_flight",
        "Too many requests are unanswered",
        "Read answers before sending more.",
        True,
        100,
    ),
    ErrorKind(
        1003,
        "slow_consumer",
        "Events were not read fast enough",
        "Connect again and continue from the last number seen.",
        True,
        100,
    ),
    ErrorKind(
        1004,
        "shutting_down",
        "The daemon is stopping",
        "Connect again in a moment.",
        True,
        1_000,
    ),
    ErrorKind(
        1005,
        "unfinished_line_timeout",
        "A line was begun and not finished in time",
        "Send whole lines.",
    ),
    ErrorKind(
        1006,
        "too_many_connections",
        "There are too many connections",
        "Close connections that are not used, then try again.",
        True,
        1_000,
    ),
    ErrorKind(
        1007,
        "response_too_large",
        "The answer is larger than allowed",
        "Ask for less: use limit and page_token.",
    ),
    ErrorKind(
        1008,
        "duplicate_request_id",
        "A request with this id is still unanswered",
        "Use a new id for every request.",
    ),
    ErrorKind(
        1009,
        "too_many_subscriptions",
        "The connection has too many subscriptions",
        "Unsubscribe from topics that are not needed.",
    ),
    ErrorKind(
        1010,
        "resync_required",
        "The events after that number are no longer kept",
        "Subscribe without from_n and start from the snapshot.",
    ),
    ErrorKind(1011, "unknown_topic", "There is no such topic", "Use account:<id> or quotes:<symbol>."),
    ErrorKind(
        2001,
        "not_permitted",
        "This user may not do that",
        "Ask the operator to give your user or group a role in the configuration.",
    ),
    ErrorKind(2002, "unknown_account", "There is no such account", "See `mbtd account list`."),
    ErrorKind(2003, "account_closed", "The account is closed", "Use another account."),
    ErrorKind(2004, "account_quarantined", "The account is read-only after an internal fault", "Ask the operator."),
    ErrorKind(2005, "name_taken", "An account with this name exists", "Choose another name."),
    ErrorKind(2006, "not_found", "There is no such thing", "Check the id."),
    ErrorKind(2007, "invalid_credentials", "The key or token opens nothing", "Check it, or get a new one."),
    ErrorKind(2008, "not_entitled", "The user's tier does not include this data", "See the tiers, or ask for less."),
    ErrorKind(4001, "mailbox_full", "The account has too many commands waiting", "Send more slowly.", True, 50),
    ErrorKind(
        4002,
        "deadline_exceeded",
        "The deadline passed before the request was started; nothing was done",
        "Send it again, with a longer deadline_ms if need be.",
        True,
    ),
    ErrorKind(4003, "overloaded", "The daemon has too much to do", "Try again in a moment.", True, 250),
    ErrorKind(
        5001,
        "storage_full",
        "The disk is full; nothing was done",
        "The operator must free disk space; then send it again.",
        True,
        5_000,
    ),
    ErrorKind(
        5002,
        "outcome_unknown",
        "The outcome is not known yet",
        "Repeat the request with the same client_order_id; it is never done twice.",
        True,
        5_000,
    ),
    ErrorKind(5003, "storage_fault", "The storage failed", "Ask the operator."),
    ErrorKind(6001, "feed_down", "The market data feed is down", "Wait until `mbtd status` is ok.", True, 5_000),
    ErrorKind(6002, "no_quote", "There is no quote for this symbol yet", "Try again later.", True, 1_000),
    ErrorKind(6003, "unknown_symbol", "There is no such symbol", "See `mbtd asset list` for what can be traded."),
)

KINDS: Final[dict[str, ErrorKind]] = {kind.reason: kind for kind in _KINDS}


def make_error(
    reason: str,
    message: str | None = None,
    *,
    field: str | None = None,
    numbers: dict[str, Any] | None = None,
    retry_after_ms: int | None = None,
) -> RpcError:
    """An error of the table; ``message`` replaces the table's sentence. Unknown reasons raise KeyError."""
    kind = KINDS[reason]
    return RpcError(
        code=kind.code,
        message=kind.message if message is None else message,
        data=ErrorData(
            reason=reason,
            retryable=kind.retryable,
            field=field,
            numbers=numbers,
            retry_after_ms=kind.retry_after_ms if retry_after_ms is None else retry_after_ms,
            remedy=kind.remedy,
        ),
    )


def order_refusal(
    code: int,
    reason: str,
    message: str,
    *,
    alpaca: AlpacaError,
    field: str | None = None,
    numbers: dict[str, Any] | None = None,
    retryable: bool = False,
    remedy: str | None = None,
) -> RpcError:
    """A refusal of an order (3xxx); the rules' table supplies the values."""
    data = ErrorData(reason=reason, retryable=retryable, field=field, numbers=numbers, remedy=remedy, alpaca=alpaca)
    return RpcError(code=code, message=message, data=data)


def refuse(reason: str, message: str | None = None, *, field: str | None = None) -> NoReturn:
    """Raise a :class:`Refusal` of the table."""
    raise Refusal(make_error(reason, message, field=field))


def _between(text: str, start: str, end: str) -> str | None:
    _, found, rest = text.partition(start)
    name, closed, _ = rest.partition(end)
    return name if found and closed else None


def describe_mismatch(error: Exception) -> tuple[str, str | None]:
    """The sentence and the field of a decoding failure, both shortened.

    Where it failed stands only in msgspec's text (``… - at `$.legs[0].symbol```), so it is read from there.
    """
    text = str(error)
    where = (_between(text, " - at `$", "`") or "").lstrip(".")
    name = _between(text, "unknown field `", "`") or _between(text, "required field `", "`")
    parts = [part for part in (where, name) if part]
    sentence = text.partition(" - at `")[0]
    return sentence[:200], (".".join(parts)[:100] or None)


def params_error(error: Exception) -> RpcError:
    """The answer to parameters that a typed decoder did not take (any msgspec error, or RecursionError)."""
    if isinstance(error, RecursionError):
        return make_error("invalid_params", "The parameters are nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        sentence, field = describe_mismatch(error)
        return make_error("invalid_params", sentence, field=field)
    return make_error("parse_error", "The parameters are not JSON in UTF-8")
