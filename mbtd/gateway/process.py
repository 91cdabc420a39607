"""``mbtd gateway``: the process. Its life is: find its socket, serve, follow the daemon, stop when asked.

Invariants: it starts and stays when there is no daemon yet and answers 503 meanwhile; it stops within seconds at
SIGTERM; started by the daemon it ends with it. It opens no file of the daemon's and knows no secret of anybody's.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from mbtd import logs
from mbtd.config import Config, ConfigError, find_config
from mbtd.config.model import Gateway
from mbtd.gateway.app import ENDPOINTS, Gate, plain_error
from mbtd.gateway.http import Reply, Site, protocol
from mbtd.gateway.link import Link
from mbtd.gateway.login import Door
from mbtd.gateway.openapi import document
from mbtd.gateway.sockets import MESSAGE_MAX_BYTES, Connections
from mbtd.gateway.stream_clients import OPTION_FEEDS, STOCK_FEEDS
from mbtd.gateway.stream_market import MarketStreams
from mbtd.gateway.stream_trades import TradeStreams
from mbtd.gateway.websocket import Wire
from mbtd.rpc.wire import encode_json, find_socket
from mbtd.systemd import Notifier, inherited_sockets

log = logs.get_logger(subsystem="gateway")
YIELDING: Final = 5
"""Where both want the processor the daemon's orders come first."""
STOP_MAX_S: Final = 5
BACKLOG: Final = 2_048
_PR_SET_PDEATHSIG: Final = 1
LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")


class GatewayOptions(Struct, frozen=True, kw_only=True):
    """``mbtd gateway``."""

    config: Path | None = None
    socket: Path | None = None
    address: str | None = None
    child: bool = False
    """Started by the daemon: end when it ends."""


def main(options: GatewayOptions) -> int:
    """Run the gateway; the exit status of contracts §1."""
    flags: dict[str, object] = {} if options.address is None else {"gateway.address": options.address}
    path = str(options.config) if options.config is not None else None
    try:
        config = Config.load(find_config(path, os.environ), os.environ, flags).config
    except (ConfigError, OSError) as error:
        return _say(str(error), 78)
    logs.set_up(config.log.level, config.log.format, stream=sys.stderr.buffer)
    if options.child:
        _end_with_parent()
        os.nice(YIELDING)
    settings = config.gateway
    try:
        listeners = _listeners(settings)
    except OSError as error:
        return _say(f"cannot listen on {settings.address}: {error.strerror or error}", 75)
    except ValueError:
        return _say(f"gateway.address is HOST:PORT, not {settings.address!r}", 78)
    if not listeners:
        return _say("gateway.address is off", 78)
    names = {settings.address.rpartition(":")[0], *LOCAL, *settings.hosts}
    app, http, link = build(find_socket(options.socket), settings, names)
    server = _Server(
        uvicorn.Config(
            app,
            http=http,
            ws=Wire,
            ws_max_size=MESSAGE_MAX_BYTES,
            ws_per_message_deflate=False,
            loop="uvloop",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=STOP_MAX_S,
            limit_concurrency=settings.connections_max,
        )
    )
    server.stopping = link.stop
    log.info("gateway.starting", address=settings.address)
    server.run(sockets=listeners)
    return 0


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"mbtd gateway: {text}\n")
    return status


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM when the daemon is gone, however it went."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


def _listeners(settings: Gateway) -> list[socket.socket]:
    """Those handed over, else a new one at the configured address; none when it is off."""
    handed = inherited_sockets(os.environ)
    given = [listener for listeners in handed.values() for listener in listeners]
    if given:
        return given
    if settings.address == "off":
        return []
    host, _, port = settings.address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return [listener]


class _Server(uvicorn.Server):
    """The server, which says when it is told to stop."""

    stopping: Callable[[], None]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for good: a stop that was asked for ends with status 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopping()
        super().handle_exit(sig, frame)


class _Topic(Struct):
    """What an event is about."""

    topic: str


_read_topic: Final = msgspec.json.Decoder(_Topic).decode


def build(path: Path, settings: Gateway, names: set[str]) -> tuple[ASGIApp, type[asyncio.Protocol], Link]:
    """The application for WebSockets and the protocol for requests, joined to the daemon's socket at ``path``."""
    connections = Connections()

    def heard(event: msgspec.Raw) -> None:
        topic = _read_topic(event).topic
        if topic.startswith("tape:"):
            market.heard(event)
        elif topic.startswith("updates:"):
            trades.heard(event)
        elif topic == "auth":
            connections.heard(msgspec.json.decode(event))

    async def connected() -> None:
        await link.call("auth.follow", {})
        await market.resume()
        await trades.resume()

    link = Link(path, heard, connected)
    door = Door(link, names)
    market = MarketStreams(link, door, connections)
    trades = TradeStreams(link, door, connections)
    page = encode_json(document(ENDPOINTS))

    def ready() -> Reply:
        return Reply(200 if link.up else 503, encode_json({"ready": link.up}))

    gate = Gate(link, door, {"/openapi.json": lambda: Reply(200, page), "/ready": ready})
    http = protocol(
        Site(gate.answer, gate.early, plain_error),
        header_max_bytes=settings.header_max_bytes,
        body_max_bytes=settings.body_max_bytes,
        request_max_s=settings.request_max_s,
    )

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        notifier = Notifier.from_environ(os.environ)
        tasks = [asyncio.create_task(link.run()), asyncio.create_task(market.run())]
        notifier.ready("serving")
        log.info("gateway.ready")
        try:
            yield
        finally:
            notifier.stopping("stopping")
            for live in connections.all():
                live.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    streams = [
        WebSocketRoute("/stream", trades.endpoint),
        *(WebSocketRoute(p, market.endpoint) for p in ("/v2/{feed:stock_feed}", "/v1beta1/{feed:option_feed}")),
    ]
    return Starlette(routes=streams, lifespan=life), http, link


def _register_feeds() -> None:
    """Path words for the feeds, so that no other path is taken for one."""
    from starlette.convertors import Convertor, register_url_convertor

    def of(words: tuple[str, ...]) -> Convertor[str]:
        class Feed(Convertor[str]):
            regex = "|".join(words)

            def convert(self, value: str) -> str:
                return value

            def to_string(self, value: str) -> str:
                return value

        return Feed()

    register_url_convertor("stock_feed", of(STOCK_FEEDS))
    register_url_convertor("option_feed", of(OPTION_FEEDS))


_register_feeds()
