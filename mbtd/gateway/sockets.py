"""What both kinds of WebSocket share: the live connections, who they belong to, and their ends.

Invariants: a connection whose key or session is revoked is closed as soon as the daemon says so; the number of
connections of one account is bounded, and the newcomer is refused, never the one that was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from mbtd.gateway.endpoint import Who

CONNECTIONS_MAX: Final = {"free": 5, "pro": 20, "pro_plus": 100}
MESSAGE_MAX_BYTES: Final = 1_048_576
NUL_CODE: Final = 1_000


class Live:
    """One connection that has logged in."""

    __slots__ = ("end", "tier_changed", "who")

    def __init__(self, who: Who, end: Callable[[], None], tier_changed: Callable[[str], None]) -> None:
        self.who = who
        self.end = end
        self.tier_changed = tier_changed


class Connections:
    """All connections that have logged in."""

    def __init__(self) -> None:
        self._live: dict[Live, None] = {}
        self._of_account: dict[str, int] = {}

    def admit(self, live: Live) -> bool:
        """Take a connection in, if the account may have one more."""
        count = self._of_account.get(live.who.account, 0)
        if count >= CONNECTIONS_MAX.get(live.who.tier, CONNECTIONS_MAX["free"]):
            return False
        self._of_account[live.who.account] = count + 1
        self._live[live] = None
        return True

    def drop(self, live: Live) -> None:
        """A connection is gone."""
        if self._live.pop(live, 0) is None:
            self._of_account[live.who.account] -= 1
            if not self._of_account[live.who.account]:
                del self._of_account[live.who.account]

    def heard(self, notice: Mapping[str, Any]) -> None:
        """The daemon revoked something or changed a tier."""
        event = notice.get("event")
        for live in list(self._live):
            who = live.who
            if event == "key.revoked":
                gone = who.principal == f"key:{notice['key_id']}"
            else:
                gone = event == "session.revoked" and who.session_id == notice["session_id"]
            if gone:
                live.end()
            elif event == "tier.set" and live.who.account in notice["account_ids"]:
                live.who = msgspec.structs.replace(live.who, tier=notice["tier"], lane=notice["lane"])
                live.tier_changed(notice["lane"])

    def all(self) -> list[Live]:
        """All of them."""
        return list(self._live)

    def __len__(self) -> int:
        return len(self._live)


async def receive(socket: WebSocket, timeout_s: float | None = None) -> bytes | str | None:
    """The next message; ``None`` at the end. Raises TimeoutError."""
    try:
        async with asyncio.timeout(timeout_s):
            message = await socket.receive()
    except WebSocketDisconnect:
        return None
    if message["type"] == "websocket.disconnect":
        return None
    text = message.get("text")
    return text if text is not None else message.get("bytes") or b""


async def close(socket: WebSocket, code: int = NUL_CODE, reason: str = "") -> None:
    """End a connection, whatever state it is in."""
    try:
        async with asyncio.timeout(5):
            await socket.close(code, reason)
    except (RuntimeError, TimeoutError, WebSocketDisconnect, OSError):
        return
