"""What an endpoint is: one row from which its route, its checks and its page in the OpenAPI document follow.

Invariant: what is not in a row is not served; parameters are read into the row's Struct before the handler runs, and
its result is put into the row's shape before it leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from mbtd.gateway.errors import ApiError, from_refusal, unavailable, unknown_outcome
from mbtd.rpc.wire import ConnectionLost, NoDaemon, RpcRefusal

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Daemon(Protocol):
    """Who is asked."""

    @property
    def stopping(self) -> bool:
        """No more waiting: the gateway is about to end."""

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask and wait."""


class Query(Struct, frozen=True, kw_only=True):
    """Base of query parameters. Unknown ones are ignored, as at Alpaca."""


class Body(Struct, frozen=True, kw_only=True):
    """Base of bodies. Unknown members are ignored, as at Alpaca."""


class Nothing(Query, frozen=True, kw_only=True):
    """No parameters."""


class Who(Struct, frozen=True):
    """Who asks, as the daemon said at this request."""

    account: str
    user_id: str
    tier: str
    lane: str
    archive: bool
    principal: str
    session_id: str | None
    kind: str
    expires_at: str | None
    by_cookie: bool = False


class Answer(Struct):
    """A result with a status of its own, or with headers."""

    result: Any
    status: int = 200
    headers: dict[str, str] = {}


class Request(Struct):
    """One request, read."""

    who: Who
    daemon: Daemon
    path: Mapping[str, str]
    query: Any
    body: Any
    token: str = ""
    """The session's token, where a cookie brought one."""

    async def call(self, method: str, /, **params: Any) -> Any:
        """Ask the daemon about the caller's account. Raises :class:`ApiError`."""
        return await ask(self.daemon, method, {"account": self.who.account, **params})

    async def ask(self, method: str, /, **params: Any) -> Any:
        """Ask the daemon about no account. Raises :class:`ApiError`."""
        return await ask(self.daemon, method, params)


async def ask(daemon: Daemon, method: str, params: Mapping[str, Any]) -> Any:
    """Ask the daemon; its refusals and its silence become Alpaca's errors."""
    try:
        return await daemon.call(method, params)
    except RpcRefusal as refusal:
        raise from_refusal(refusal.error) from None
    except NoDaemon:
        raise unavailable() from None
    except (ConnectionLost, TimeoutError):
        raise unknown_outcome() from None


Handler = Callable[[Request], Awaitable[Any]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """One row."""

    method: Method
    path: str
    handler: Handler
    query: type[Query] = Nothing
    body: type[Body] | None = None
    answer: Any = None
    """The type of the result; None: an empty body."""
    status: int = 200
    summary: str = ""
    open: bool = False
    """Needs no login."""
    costs: int = 1
    """Requests that it takes from the rate."""


def shape(kind: Any, result: Any) -> Any:
    """A result of the daemon in a shape of ours. What does not fit is a fault of ours and not the client's."""
    try:
        return msgspec.convert(result, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(500, 50010000, "internal server error occurred") from error
