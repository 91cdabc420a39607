"""Who asks: keys, bearer tokens and cookies, checked by the daemon at every request.

The first thing that a request asks of the daemon carries its credentials, so that login, rate and answer cost one
round trip (docs/adr/0025). Invariants: nothing about a login is kept here, so a revocation is in force with the next
request; nothing is done for a request that is not let in; exactly one kind of
credential counts, header before cookie; a cookie changes something only for a page of this very host (CSRF): the
browser must say ``Sec-Fetch-Site: same-origin``, or an ``Origin`` that is ours, and speak to a host that we know.
Failed logins are answered late, later with every failure of their source, and only so many may wait at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from mbtd.gateway.endpoint import Who
from mbtd.gateway.errors import ApiError, forbidden, from_refusal, unauthorized, unavailable
from mbtd.gateway.sessions import COOKIE
from mbtd.rpc.errors import RpcError
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

_NOTHING: Final = ""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HELD_MAX: Final = 500
_LONGEST: Final = 2_048


class Line(Protocol):
    """The line to the daemon."""

    async def call_for(
        self, asked: Mapping[str, Any], method: str, params: Mapping[str, Any], own: bool
    ) -> msgspec.Raw: ...

    async def call_raw(self, method: str, params: Mapping[str, Any]) -> msgspec.Raw: ...


class Credentials:
    """What a request brought along."""

    __slots__ = ("by_cookie", "params", "token")

    def __init__(self, params: dict[str, str], token: str = "", by_cookie: bool = False) -> None:
        self.params = params
        self.token = token
        self.by_cookie = by_cookie

    def mark(self) -> str:
        """What tells this caller from others: a hash."""
        return sha256("\0".join(self.params.values()).encode()).hexdigest()


def credentials_of(headers: Mapping[str, str]) -> Credentials | None:
    """The one credential that counts; ``None`` when there is none."""
    key_id = headers.get("apca-api-key-id")
    if key_id is not None:
        return Credentials({"key_id": key_id[:256], "secret": headers.get("apca-api-secret-key", "")[:256]})
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given:
        return of_token(given.strip())
    token = cookie(headers.get("cookie", ""))
    return Credentials({"token": token[:256]}, token[:256], by_cookie=True) if token else None


def of_token(token: str) -> Credentials:
    """A session's token, or a signed one."""
    if token.count(".") == 2:
        return Credentials({"access_token": token[:_LONGEST]})
    return Credentials({"token": token[:256]}, token[:256])


def cookie(header: str) -> str:
    """Our cookie's value; none when it is there twice with different values."""
    found = {
        value.strip()
        for name, _, value in (part.partition("=") for part in header.split(";"))
        if name.strip() == COOKIE
    }
    return found.pop() if len(found) == 1 else ""


class Rate(Struct, frozen=True, array_like=True):
    """The account's rate after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after_ms: int


class Said(Struct, frozen=True):
    """What the daemon answers to ``auth.call``."""

    who: Who
    rate: Rate
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: RpcError | None = None


_read_said: Final = msgspec.json.Decoder(Said).decode


class Door:
    """Lets requests in."""

    def __init__(self, line: Line, hosts: Iterable[str]) -> None:
        self._line = line
        self._hosts = frozenset(host.lower() for host in hosts)
        self._held = 0

    async def verify(self, given: Credentials | None, source: str) -> Who:
        """Who that is; takes nothing from the rate. Raises :class:`ApiError`."""
        if given is None:
            raise unauthorized()
        return await Caller(self, given, source, 0).identify()

    async def call(
        self, given: Credentials, source: str, cost: int, method: str, params: Mapping[str, Any], own: bool
    ) -> Said:
        """Ask for somebody in one breath: who that is, what is left of the rate, and the thing itself."""
        line = self._line
        asked = {**given.params, "source": source, "cost": cost}
        try:
            return _read_said(await line.call_for(asked, method, params, own))
        except RpcRefusal as refusal:
            if refusal.reason not in ("invalid_credentials", "unknown_account", "invalid_params"):
                raise from_refusal(refusal.error) from None
            await self._hold(refusal.error.data.retry_after_ms or 0)
            raise unauthorized() from None

    async def later(self, method: str, params: Mapping[str, Any]) -> msgspec.Raw:
        """Ask once more for somebody who has been let in."""
        return await self._line.call_raw(method, params)

    async def _hold(self, wait_ms: int) -> None:
        """Keep a failed login waiting."""
        if not wait_ms:
            return
        if self._held >= HELD_MAX:
            raise ApiError(429, 42910000, "too many failed logins", headers={"Retry-After": "5"})
        self._held += 1
        try:
            await asyncio.sleep(wait_ms / 1000)
        finally:
            self._held -= 1

    def check_browser(self, method: str, headers: Mapping[str, str]) -> None:
        """What a cookie asks for must come from a page of ours. Raises 403."""
        host = headers.get("host", "").lower()
        if not self.knows(host):
            raise forbidden("unknown host")
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host:
            raise forbidden("request from another origin")
        if site is not None and site not in ("same-origin", "none"):
            raise forbidden("request from another site")
        if method not in SAFE and site != "same-origin" and origin is None:
            raise forbidden("request of unknown origin")

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header names us."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name in self._hosts


class Caller:
    """The caller of one request."""

    __slots__ = ("_cost", "_door", "_given", "_source", "asked", "rate", "who")

    def __init__(self, door: Door, given: Credentials, source: str, cost: int) -> None:
        self._door = door
        self._given = given
        self._source = source
        self._cost = cost
        self.asked = False
        """The daemon has been asked about him, whatever it said."""
        self.rate: Rate | None = None
        self.who: Who | None = None

    async def send(self, method: str, params: Mapping[str, Any], *, own: bool) -> msgspec.Raw:
        """See :class:`mbtd.gateway.endpoint.Asker`."""
        if self.who is not None:
            return await self._door.later(method, {"account": self.who.account_id, **params} if own else params)
        self.asked = True
        said = await self._door.call(self._given, self._source, self._cost, method, params, own)
        self.rate = said.rate
        if not said.rate.allowed:
            wait = str(-(-said.rate.retry_after_ms // 1000))
            raise ApiError(429, 42910000, "rate limit exceeded", headers={"Retry-After": wait})
        self.who = said.who
        if said.error is not None:
            raise RpcRefusal(said.error)
        return said.result

    def renewed(self) -> Caller:
        """See :class:`mbtd.gateway.endpoint.Asker`."""
        return Caller(self._door, self._given, self._source, 0)

    async def identify(self) -> Who:
        """See :class:`mbtd.gateway.endpoint.Asker`."""
        if self.who is None:
            try:
                await self.send(_NOTHING, {}, own=False)
            except (ConnectionLost, TimeoutError):
                raise unavailable() from None
        assert self.who is not None
        return self.who
