"""What an endpoint is: one row from which its route, its checks and its page in the OpenAPI document follow.

Invariant: what is not in a row is not served; parameters are read into the row's Struct before the handler runs, and
its result is put into the row's shape before it leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct

from mbtd.gateway.errors import ApiError, from_refusal, unavailable, unknown_outcome
from mbtd.rpc.wire import ConnectionLost, NoDaemon, RpcRefusal

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
T = TypeVar("T")


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

    account_id: str
    user_id: str
    tier: str
    lane: str
    archive: bool
    principal: str
    session_id: str | None
    kind: str
    expires_at: str | None

    @property
    def account(self) -> str:
        """The account."""
        return self.account_id


class Answer(Struct):
    """A result with a status of its own, or with headers."""

    result: Any
    status: int = 200
    headers: dict[str, str] = {}
    stream: AsyncGenerator[bytes, None] | None = None
    """In place of a result: what is sent as it comes."""


class Asker(Protocol):
    """The caller of one request, who is told apart by the daemon with the first thing that is asked for him."""

    async def send(self, method: str, params: Mapping[str, Any], *, own: bool) -> msgspec.Raw:
        """Ask the daemon, about the caller's account if ``own``. Raises what the line raises, and :class:`ApiError`
        when the caller is not let in."""

    async def identify(self) -> Who:
        """Who that is."""

    def renewed(self) -> Asker:
        """The same caller, to be let in once more; takes nothing from the rate."""


class Request(Struct):
    """One request, read."""

    asker: Asker
    daemon: Daemon
    path: Mapping[str, str]
    query: Any
    body: Any
    token: str = ""
    """The session's token, where there is one."""
    by_cookie: bool = False
    mark: Callable[[], str] = str
    """Tells callers apart before the daemon has: of no meaning, and no secret."""

    async def who(self) -> Who:
        """Who asks. Raises :class:`ApiError`."""
        return await self.asker.identify()

    async def call(self, method: str, /, **params: Any) -> Any:
        """Ask the daemon about the caller's account. Raises :class:`ApiError`."""
        return msgspec.json.decode(await self._ask(method, params, own=True))

    async def ask(self, method: str, /, **params: Any) -> Any:
        """Ask the daemon about no account. Raises :class:`ApiError`."""
        return msgspec.json.decode(await self._ask(method, params, own=False))

    async def read(self, kind: type[T], method: str, /, **params: Any) -> T:
        """Ask the daemon about the caller's account, for a result that is in a shape of ours already."""
        return read(kind, await self._ask(method, params, own=True))

    async def again(self, method: str, /, *, own: bool = True, **params: Any) -> Any:
        """Ask the daemon with the caller's credentials once more, as at a new request. Raises :class:`ApiError`."""
        return msgspec.json.decode(await self._ask(method, params, own=own, asker=self.asker.renewed()))

    async def _ask(
        self, method: str, params: Mapping[str, Any], *, own: bool, asker: Asker | None = None
    ) -> msgspec.Raw:
        try:
            return await (asker or self.asker).send(method, params, own=own)
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
    media: str = "application/json"
    """What the answer is."""
    costs: int = 1
    """Requests that it takes from the rate."""


@lru_cache(maxsize=256)
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def read(kind: type[T], raw: msgspec.Raw) -> T:
    """The daemon's words in a shape of ours. What does not fit is a fault of ours and not the client's."""
    try:
        found: T = _decoder(kind).decode(raw)  # type: ignore[arg-type]
        return found
    except msgspec.ValidationError as error:
        raise ApiError(500, 50010000, "internal server error occurred") from error


def shape(kind: Any, result: Any) -> Any:
    """A result of the daemon in a shape of ours. What does not fit is a fault of ours and not the client's."""
    try:
        return msgspec.convert(result, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(500, 50010000, "internal server error occurred") from error
