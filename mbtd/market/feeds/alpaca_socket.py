"""The WebSocket under an Alpaca stream, and the ports through which a test replaces it.

Invariants: every way in which a socket can end or fail to open is one exception, :class:`SocketEnded`, with a
text that contains no key. The library's own log of frames is off: the authentication is a frame. Redirects
are not followed: the key pair would go along.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

FRAGMENT_BYTES: Final = 32_768
"""Alpaca's servers take messages in pieces of this size."""
_MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_OPEN_TIMEOUT_S: Final = 10.0
_PING_INTERVAL_S: Final = 10.0
_PING_TIMEOUT_S: Final = 20.0
_CLOSE_TIMEOUT_S: Final = 2.0
_BUSY_STATUSES: Final = frozenset((429, 503))

_silent_logger = logging.getLogger("mbtd.market.alpaca.socket")
_silent_logger.setLevel(logging.WARNING)


class SocketEnded(Exception):
    """The socket closed, broke, or could not be opened; ``busy`` when the server asks for patience."""

    def __init__(self, text: str, *, busy: bool = False) -> None:
        super().__init__(text)
        self.busy = busy


class Socket(Protocol):
    """One open connection; both methods raise :class:`SocketEnded`."""

    async def receive(self) -> bytes | str:
        """The next message."""

    async def send(self, message: bytes) -> None:
        """Send one message, in pieces if it is long."""


Connector = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a socket to a URL; raises :class:`SocketEnded`."""


class FeedClock(Protocol):
    """Time, as the feed needs it."""

    def now(self) -> int:
        """Wall time in nanoseconds UTC."""

    def elapsed(self) -> float:
        """Seconds on a clock that never jumps."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The host's clock."""

    def now(self) -> int:
        """Wall time in nanoseconds UTC."""
        return time.time_ns()

    def elapsed(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


Draw = Callable[[int, int], int]
"""A whole number between two, both included: the jitter of the backoff."""
system_draw: Final[Draw] = random.SystemRandom().randint


class _WebSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes | str:
        try:
            return await self._connection.recv()
        except (ConnectionClosed, OSError) as error:
            raise SocketEnded(_closed_text(error)) from None

    async def send(self, message: bytes) -> None:
        pieces: bytes | Sequence[bytes] = message
        if len(message) > FRAGMENT_BYTES:
            pieces = [message[i : i + FRAGMENT_BYTES] for i in range(0, len(message), FRAGMENT_BYTES)]
        try:
            await self._connection.send(pieces)
        except (ConnectionClosed, OSError) as error:
            raise SocketEnded(_closed_text(error)) from None


def _closed_text(error: Exception) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        return f"closed by the server: {error.rcvd}"
    return "the connection broke"


class _ConnectThere(connect):
    """Connects where it was told to, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def open_websocket(url: str) -> AsyncIterator[Socket]:
    """Connect and ask for MessagePack."""
    try:
        connection = await _ConnectThere(
            url,
            additional_headers={"Content-Type": "application/msgpack"},
            compression=None,
            max_size=_MESSAGE_BYTES_MAX,
            open_timeout=_OPEN_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            logger=_silent_logger,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise SocketEnded(f"the server answered HTTP {status}", busy=status in _BUSY_STATUSES) from None
    except TimeoutError:
        raise SocketEnded("the server did not answer in time") from None
    except (WebSocketException, OSError) as error:
        raise SocketEnded(f"cannot connect: {type(error).__name__}") from None
    async with connection:
        yield _WebSocket(connection)
