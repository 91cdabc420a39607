"""Who asks: keys, bearer tokens and cookies, checked by the daemon at every request.

Invariants: nothing about a login is kept here, so a revocation is in force with the next request; exactly one kind of
credential counts, header before cookie; a cookie changes something only for a page of this very host (CSRF): the
browser must say ``Sec-Fetch-Site: same-origin``, or an ``Origin`` that is ours, and speak to a host that we know.
Failed logins are answered late, later with every failure of their source, and only so many may wait at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mbtd.gateway.endpoint import Daemon, Who
from mbtd.gateway.errors import ApiError, forbidden, from_refusal, unauthorized, unavailable
from mbtd.gateway.sessions import COOKIE
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HELD_MAX: Final = 500
_LONGEST: Final = 2_048


class Credentials:
    """What a request brought along."""

    __slots__ = ("by_cookie", "params", "token")

    def __init__(self, params: dict[str, str], token: str = "", by_cookie: bool = False) -> None:
        self.params = params
        self.token = token
        self.by_cookie = by_cookie


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


class Door:
    """Lets requests in."""

    def __init__(self, daemon: Daemon, hosts: Iterable[str]) -> None:
        self._daemon = daemon
        self._hosts = frozenset(host.lower() for host in hosts)
        self._held = 0

    async def verify(self, given: Credentials | None, source: str, cost: int) -> tuple[Who, Mapping[str, Any]]:
        """Who that is, and the account's rate after it. Raises :class:`ApiError`."""
        if given is None:
            raise unauthorized()
        try:
            found = await self._daemon.call("auth.verify", {**given.params, "source": source, "cost": cost})
        except RpcRefusal as refusal:
            if refusal.reason not in ("invalid_credentials", "unknown_account", "invalid_params"):
                raise from_refusal(refusal.error) from None
            await self._hold(refusal.error.data.retry_after_ms or 0)
            raise unauthorized() from None
        except (ConnectionLost, TimeoutError):
            raise unavailable() from None
        who = Who(
            found["account_id"],
            found["user_id"],
            found["tier"],
            found["lane"],
            found["archive"],
            found["principal"],
            found["session_id"],
            found["kind"],
            found["expires_at"],
            given.by_cookie,
        )
        return who, found["rate"]

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
