"""The operators' methods (operations §9), in front of the ordinary reads.

Invariants: operators only (``user.export`` and ``user.erase`` also for role service); every one that changes
something is logged with uid and pid; none of them lets an order through that the rules would not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mbtd.console import requests as q
from mbtd.console import show
from mbtd.console.prompt import Prompt
from mbtd.core import Core
from mbtd.covering import barrier
from mbtd.jobs import export, retention
from mbtd.jobs.erasure import NothingToErase, erase_online
from mbtd.logs import LEVELS, Logger, get_logger
from mbtd.metrics import Metrics
from mbtd.rpc.errors import Refusal, make_error, refuse
from mbtd.rpc.server import Server
from mbtd.rpc.session import RequestId, Session
from mbtd.service.app import App, Reader
from mbtd.switchboard import Switchboard
from storage.errors import JobFailed

log = get_logger(subsystem="admin")
_encode = msgspec.json.Encoder().encode
Spawn = Callable[[Callable[[], Awaitable[None]]], None]
SERVICE = frozenset({"user.export", "user.erase"})
QUIET = frozenset({"admin.show", "admin.metrics", "admin.barrier"})
"""Look and change nothing: not worth a line in the log."""
DRAIN_POLL_S = 0.01


class Running(Struct):
    """The parts of a daemon that its operators' methods reach."""

    core: Core
    directory: Path
    switchboard: Switchboard
    metrics: Metrics
    prompt: Prompt
    health: Callable[[], dict[str, Any]]
    reload: Callable[[], dict[str, Any]]
    shutdown: Callable[[], None]
    command: Callable[[list[str]], Awaitable[dict[str, Any]]]
    """Runs ``mbtd …`` beside the daemon and answers its JSON."""
    settings: Callable[[], Any]
    feed: Callable[[], dict[str, Any]]
    servers: list[Server]
    app: App | None = None


class Admin:
    """Answers operators; everything else goes on to the ordinary reader."""

    def __init__(self, running: Running, inner: Reader, spawn: Spawn) -> None:
        self._on = running
        self._inner = inner
        self._spawn = spawn
        self._decoders = {name: msgspec.json.Decoder(kind) for name, kind in q.REQUESTS.items()}
        self._erasing = asyncio.Lock()
        self._now: dict[str, Callable[[Session, Any], Any]] = {
            "admin.show": self._show,
            "admin.switch": self._switch,
            "admin.pause": self._pause,
            "admin.resume": self._resume,
            "admin.reload": lambda session, asked: running.reload(),
            "admin.log_level": self._log_level,
            "admin.kill_client": self._kill,
            "admin.metrics": lambda session, asked: {"text": running.metrics.text(), "slo": running.metrics.slo()},
            "admin.prompt": lambda session, asked: running.prompt.run(session, asked.line),
            "admin.shutdown": self._shutdown,
            "user.export": self._export,
        }
        self._later: dict[str, Callable[[Session, Any], Awaitable[Any]]] = {
            "admin.drain": self._drain,
            "admin.checkpoint": self._checkpoint,
            "admin.barrier": self._barrier,
            "admin.backup": self._backup,
            "admin.verify": lambda session, asked: running.command(["verify"]),
            "admin.purge": lambda session, asked: retention.purge(running.core, dry_run=asked.dry_run),
            "user.erase": self._erase,
        }

    def handles(self, method: str) -> bool:
        """Whether this, or the ordinary reader, knows the method."""
        return method in self._decoders or self._inner.handles(method)

    def request(
        self, session: Session, request_id: RequestId, method: str, params: bytes, deadline_ms: int | None
    ) -> None:
        """Answer, now or later."""
        decoder = self._decoders.get(method)
        if decoder is None:
            self._inner.request(session, request_id, method, params, deadline_ms)
            return
        role = session.peer.role
        if role != "operator" and not (role == "service" and method in SERVICE):
            refuse("not_permitted")
        asked = decoder.decode(params)
        if method not in QUIET:
            log.info("operator.asked", method=method, uid=session.peer.uid, pid=session.peer.pid)
        answer = self._now.get(method)
        if answer is not None:
            body = _encode(answer(session, asked))
            # What a switch did is durable before anybody is told.
            self._on.core.outbox.put(
                self._on.core.engine.seq if method == "admin.switch" else 0, lambda: session.reply(request_id, body)
            )
            return
        self._spawn(lambda: self._run(session, request_id, self._later[method], asked))

    async def _run(
        self, session: Session, request_id: RequestId, work: Callable[[Session, Any], Awaitable[Any]], asked: Any
    ) -> None:
        try:
            session.reply(request_id, _encode(await work(session, asked)))
        except Refusal as refusal:
            session.refuse(request_id, refusal.error)
        except JobFailed as error:
            session.refuse(request_id, make_error("internal_error", str(error)))
        except MemoryError:
            raise
        except Exception as error:
            log.exception("operator.request_failed")
            session.refuse(request_id, make_error("internal_error", f"{type(error).__name__}: {error}"[:300]))

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────

    def _show(self, session: Session, asked: q.Show) -> Any:
        on, core, limit = self._on, self._on.core, asked.limit
        tables: dict[str, Callable[[], Any]] = {
            "accounts": lambda: show.accounts(core, limit),
            "account": lambda: self._show_account(asked.account),
            "mailboxes": lambda: show.mailboxes(core, limit),
            "clients": lambda: show.clients(on.servers, limit),
            "streams": lambda: show.streams(core, limit),
            "tasks": lambda: show.tasks(limit),
            "feed": on.feed,
            "storage": lambda: show.storage(core, on.health()),
            "limits": show.limits,
            "metrics": on.metrics.slo,
            "config": lambda: show.config(on.settings()),
            "switches": on.switchboard.describe,
        }
        return {asked.what: tables[asked.what]()}

    def _show_account(self, name: str | None) -> Any:
        if name is None:
            raise msgspec.ValidationError("Object missing required field `account`")
        account_no = self._on.core.engine.house.find(name)
        if account_no is None or not self._on.core.residency.bring(account_no):
            refuse("unknown_account", field="account")
        return show.account(self._on.core, account_no)

    # ── doing ────────────────────────────────────────────────────────────────────────────────────────────

    def _switch(self, session: Session, asked: q.Switch) -> Any:
        by = f"uid:{session.peer.uid}"
        changed = self._on.switchboard.set(asked.name, "console", asked.on, by, asked.why)
        return {"changed": changed, **self._on.switchboard.describe()[asked.name]}

    def _pause(self, session: Session, asked: Any) -> Any:
        self._on.core.hold(True)
        return {"paused": True}

    def _resume(self, session: Session, asked: Any) -> Any:
        self._on.core.hold(False)
        if self._on.app is not None:
            self._on.app.stopping = False
        return {"paused": False, "draining": False}

    async def _drain(self, session: Session, asked: Any) -> Any:
        assert self._on.app is not None
        self._on.app.stopping = True
        while self._on.core.mailroom.busy:  # noqa: ASYNC110 (the mailroom does not say when it is empty)
            await asyncio.sleep(DRAIN_POLL_S)
        return {"draining": True, "waiting": 0}

    def _log_level(self, session: Session, asked: q.LogLevel) -> Any:
        Logger.threshold = LEVELS[asked.level]
        return {"level": asked.level}

    def _kill(self, session: Session, asked: q.Kill) -> Any:
        everybody = [connection for server in self._on.servers for connection in server.connections]
        found = [each for each in everybody if each.number == asked.client and each is not session]
        for connection in found:
            connection.abort()
        if found:
            return {"killed": asked.client}
        return refuse("not_found", "There is no such client; see `show clients`", field="client")

    async def _checkpoint(self, session: Session, asked: q.Checkpoint) -> Any:
        return {"pages_left": await self._on.core.store.checkpoint(asked.truncate)}

    async def _barrier(self, session: Session, asked: Any) -> Any:
        return {"seq": await barrier(self._on.core), "state": str(self._on.directory.absolute())}

    async def _backup(self, session: Session, asked: Any) -> Any:
        # Done here, since the command cannot open sockets that belong to systemd.
        await barrier(self._on.core)
        return await self._on.command(["backup", "--settled"])

    def _shutdown(self, session: Session, asked: Any) -> Any:
        self._on.shutdown()
        return {"stopping": True}

    # ── users ────────────────────────────────────────────────────────────────────────────────────────────

    def _export(self, session: Session, asked: q.Archive) -> Any:
        engine = self._on.core.engine
        try:
            if asked.table == "user":
                return export.describe(engine, asked.user_id)
            return export.page(self._on.directory, engine, asked)
        except LookupError:
            refuse("not_found", "There is no such user, or the account is another's", field="user_id")

    async def _erase(self, session: Session, asked: q.OfUser) -> Any:
        async with self._erasing:
            try:
                return await erase_online(self._on.core, self._on.directory, asked.user_id)
            except NothingToErase:
                refuse("not_found", "There is no such user", field="user_id")
