"""``mbtd serve``: the life of the daemon (operations §6).

Start: configuration, lock, recovery, writer, listeners, ready; the feed connects afterwards and its absence is a
degraded state. Stop: no new orders, drain, commit, snapshots, goodbye, exit 0. Recovery is the ordinary start.
Invariant: the process ends in ``os._exit`` after its logs are flushed, so nothing left behind can keep it alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus

from actors.book.rules.matching.profiles import Profiles
from actors.engine import Engine
from actors.house.decide import Defaults
from actors.mailbox import Mailroom
from mbtd import health as health_of
from mbtd import logs
from mbtd.access import access_of, limits_of
from mbtd.beat import Beat
from mbtd.clock import SystemClock
from mbtd.config import Config, ConfigError, Loaded, find_config
from mbtd.console.admin import Admin, Running
from mbtd.console.beside import run_beside
from mbtd.console.prompt import Prompt
from mbtd.core import Core
from mbtd.ending import on_callback_error, say, status_of
from mbtd.entropy import SystemEntropy
from mbtd.feeds import FeedRefused, go_on, make_feed, make_reference
from mbtd.gateway_child import command as gateway_command
from mbtd.gateway_child import keep_gateway
from mbtd.interest import Interest
from mbtd.jobs.erasure import finish_offline
from mbtd.jobs.marks import Marks
from mbtd.market.assets import contracts_by_symbol
from mbtd.market.calendar import TradeDays
from mbtd.market.reference import MetaStore, open_meta
from mbtd.memory import MemoryWatch, give_back
from mbtd.metrics import Metrics
from mbtd.passing import Passing
from mbtd.pasts import Pasts
from mbtd.precedence import precedence, take_precedence
from mbtd.pricing.announced import with_dividends
from mbtd.pricing.inputs import PricingInputs
from mbtd.rates import rates_of
from mbtd.reload import Settings
from mbtd.rpc.errors import Refusal, make_error
from mbtd.rpc.server import ALL_ROLES, Server
from mbtd.rpc.session import Role
from mbtd.searching import search_outside
from mbtd.seeds import keep_seed, partition_seed, read_seed
from mbtd.service.app import App
from mbtd.service.extension import Extension
from mbtd.service.queries import Queries
from mbtd.service.tape_stream import TapeStream
from mbtd.switchboard import Switchboard
from mbtd.systemd import Notifier, inherited_sockets
from mbtd.tape import TapeReaders, open_files
from storage.errors import AlreadyRunning, StorageBroken
from storage.history import History
from storage.lock import StateLock

if TYPE_CHECKING:
    from mbtd.cli.options import ServeOptions
    from mbtd.market.feed import Feed

log = logs.get_logger(subsystem="daemon")
UPKEEP_S = 0.25
ORPHAN_WAIT_S = 10.0
LOCK_WAIT_S = 1.0


def main(options: ServeOptions) -> int:
    """Run the daemon; returns (in fact exits with) the status of contracts §1."""
    os.umask(0o077)
    flags = options.flags()
    path = str(options.config) if options.config is not None else None
    try:
        loaded = Config.load(find_config(path, os.environ), os.environ, flags)
    except (ConfigError, OSError) as error:
        return say(str(error), 78)
    config = loaded.config
    directory = Path(config.storage.directory)
    try:
        profiles = Profiles({name: dict(numbers) for name, numbers in config.profiles.items()})
        if profiles.get(config.engine.profile) is None:
            return say(f"engine.profile: unknown fill profile {config.engine.profile!r}", 78)
        drawn = int.from_bytes(SystemEntropy().draw(7), "big") | 1
        seed = read_seed(config, directory, drawn)
        feed = make_feed(config, seed)
    except ValueError as error:
        return say(str(error), error.status if isinstance(error, FeedRefused) else 78)
    except OSError as error:
        return say(f"cannot use the state directory {directory}: {error.strerror}", 78)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = StateLock.acquire(directory, wait_s=_lock_wait_s(directory), inheritable=True)
    except AlreadyRunning as error:
        return say(str(error), 75)
    except OSError as error:
        return say(f"cannot use the state directory {directory}: {error.strerror}", 78)
    said = logs.set_up(
        config.log.level, config.log.format, stream=sys.stderr.buffer, repeat_every_s=config.log.repeat_every_s
    )
    status = 70
    try:
        seed = read_seed(config, directory, seed)
        erased = finish_offline(directory)
        if erased:
            log.warning("erasure.finished", users=erased)
        settings = Settings(loaded, find_config(path, os.environ), flags, lambda config, changed: None)
        daemon = Daemon(config, directory, lock, profiles, seed, feed, settings)
        daemon.config_path, daemon.say_overdue = options.config, said.say_overdue
        status = anyio.run(daemon.run, backend="asyncio", backend_options={"use_uvloop": True})
    except BaseException as error:
        status = status_of(error)
    said.say_overdue(all_of_them=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _lock_wait_s(directory: Path) -> float:
    """How long to wait for the lock: longer when the daemon that took it is gone and only its writer is left."""
    try:
        pid = int((directory / "mbtd.lock").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return ORPHAN_WAIT_S
    return ORPHAN_WAIT_S if state in "ZX" else LOCK_WAIT_S


class Daemon:
    """One running daemon."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        lock: StateLock,
        profiles: Profiles,
        seed: int,
        feed: Feed,
        settings: Settings | None = None,
    ) -> None:
        self._config = config
        self._settings = settings or Settings(Loaded(config, {}), None, {}, self._take_over)
        self._settings.apply = self._take_over
        self._directory = directory
        self._seed = seed
        self._lock = lock
        self._feed = feed
        self._clock = SystemClock()
        defaults = Defaults(config.engine.profile, config.engine.margin_profile)
        engine = Engine(
            partition_seed(seed),
            profiles,
            defaults,
            feed.reference(),
            TradeDays(feed.calendar),
            rates_of(config),
        )
        engine.world.feed = feed.name
        engine.world.describe = contracts_by_symbol(feed.calendar)
        engine.world.data_class = feed.data_class
        mailroom = Mailroom(config.engine.mailbox_max, config.engine.mailbox_reserved)
        budget = config.engine.command_budget_us + config.engine.tape_budget_us
        self._core = Core(
            engine,
            mailroom,
            now=feed.now,
            monotonic=self._clock.monotonic_ns,
            slice_ns=budget * 1_000,
            tape_max=config.market.tape_waiting_max_messages,
            group_max_ns=config.storage.group_max_ms * 1_000_000,
            group_max_events=config.storage.group_max_events,
            turn_budget_ns=config.engine.turn_budget_ms * 1_000_000,
            search=search_outside,
        )
        self._reference = make_reference(config, feed)
        self._notifier = Notifier.from_environ(os.environ)
        self._stopping = anyio.Event()
        self._memory = MemoryWatch()
        self._passing: Passing
        self._address = ""
        """Where clients connect."""
        self._servers: list[Server] = []
        self._switchboard = Switchboard(self._core, feed)
        self._metrics: Metrics
        self._say_health: Callable[[], dict[str, Any]]
        self._tape_stream: TapeStream | None = None
        self._gateway: anyio.CancelScope | None = None
        self.config_path: Path | None = None
        """The configuration file that was named, for the gateway."""
        self.say_overdue: Callable[[], None] = lambda: None
        """Has the log say how often a failure came that has stopped; called now and then."""

    async def run(self) -> int:
        """Start, serve, stop; the exit status."""
        asyncio.get_running_loop().set_exception_handler(on_callback_error)
        # While much is built that stays, looking for cyclic garbage costs as much as building it and finds nothing.
        gc.disable()
        started_at = self._clock.wall_ns()
        core = self._core
        stored = self._config.storage
        pasts = Pasts(self._directory, lambda: core.engine.steps, lambda: core.outbox.durable_seq)
        core.engine.world.past = pasts
        core.followers.append(pasts.note)
        try:
            recovered = await core.start(
                self._directory, self._lock, stored.snapshot_chunk_max_rows, stored.ballast_bytes
            )
        except StorageBroken as error:
            if core.failed is None:
                raise
            return say(str(error), core.failed)
        keep_seed(self._directory, self._seed)
        log.info(
            "recovery.finished",
            seq=recovered.head.seq,
            accounts=recovered.accounts,
            steps=recovered.steps,
            duration_ms=(self._clock.wall_ns() - started_at) // 1_000_000,
        )
        go_on(self._feed, core.engine.world)
        await self._begin_market()
        # Cyclic garbage is rare here: everything that survived recovery is left out of every collection.
        gc.collect()
        gc.freeze()
        gc.set_threshold(2_000, 10, 1_000)
        gc.enable()
        give_back()
        storage = self._config.storage
        core.readers = TapeReaders(
            open_files(self._directory, storage.tape_day_max_bytes, storage.tape_max_days),
            lambda: core.hub.quote_symbols,
            core.hub.publish_quotes,
            lambda: self._feed.calendar.session_at(self._feed.now()).trade_date,
        )
        async with History.open(self._directory) as history, anyio.create_task_group() as tasks:
            app = self._make_app(history, tasks, started_at)
            # The phase is known before the first command, so every order knows when its day ends.
            core.begin_session(self._feed.calendar.session_at(self._feed.now()))
            self._switchboard.reconcile(self._config.switches, os.environ)
            # Whoever can connect can also have it stopped in order.
            await tasks.start(self._signals)
            await self._listen(app)
            tasks.start_soon(core.pump.run)
            tasks.start_soon(self._switchboard.run_feed)
            tasks.start_soon(self._make_beat().run)
            assert self._tape_stream is not None
            tasks.start_soon(self._tape_stream.run)
            if core.interest is not None:
                tasks.start_soon(core.interest.run)
            if self._reference is not None:
                tasks.start_soon(self._reference.run, core, self._heard_of_reference)
            tasks.start_soon(core.upkeep, UPKEEP_S, storage.journal_keep_events)
            tasks.start_soon(self._watch_failure)
            if self._config.gateway.address != "off":
                socket = self._config.server.socket or str(self._directory / "mbtd.sock")
                words = gateway_command(self.config_path, Path(socket), self._config.gateway.address)
                gateway = anyio.CancelScope()
                self._gateway = gateway
                tasks.start_soon(_within, gateway, words)
            has = take_precedence() if self._config.engine.realtime else precedence()
            self._notifier.ready("serving")
            log.info("daemon.ready", socket=self._address, feed=self._feed.name, scheduling=has)
            await self._stopping.wait()
            status = await self._stop(app)
            tasks.cancel_scope.cancel()
        return status

    async def _begin_market(self) -> None:
        """What earlier runs knew of the market, and what the recovered accounts need of it."""
        core, market = self._core, self._config.market
        if self._reference is not None:
            store = MetaStore(lambda: open_meta(self._directory), core.store.set_meta_nowait)
            await self._reference.begin(store, core)
        core.interest = Interest(
            core.engine,
            self._feed,
            lambda: {*core.hub.quote_symbols, *(self._tape_stream.wanted if self._tape_stream is not None else ())},
            core.monotonic,
            max_symbols=market.interest_max_symbols,
            max_contracts=market.interest_max_contracts,
        )
        core.interest.begin()

    def _heard_of_reference(self, problem: str) -> None:
        if problem:
            log.warning("reference.problem", problem=problem)
        else:
            log.info("reference.refreshed", instruments=len(self._core.engine.world.instruments.by_symbol))

    def _make_app(self, history: History, tasks: Any, started_at: int) -> App:
        core, feed = self._core, self._feed

        def spawn(work: Callable[[], Awaitable[None]]) -> None:
            tasks.start_soon(work)

        def say_health() -> dict[str, Any]:
            stopping, passing = self._stopping.is_set, self._passing
            return health_of.health(
                core, feed, started_at, stopping, self._reference, self._switchboard, self._memory, passing,
                lambda: app.stopping and not stopping(),
            )  # fmt: skip

        self._say_health = say_health
        self._passing = Passing(core, self._servers, self._clock, self._directory, feed)
        self._metrics = Metrics(core, say_health, Marks(self._directory), self._passing)
        wanted = self._config.market.pricing
        pricing = PricingInputs(
            rates=((1.0, wanted.rate_ppm / 1e6),),
            yields={symbol: ppm / 1e6 for symbol, ppm in wanted.yields_ppm.items()},
        )
        queries = Queries(core, history, spawn, feed, say_health, lambda: with_dividends(pricing, core.engine.world))
        names = {"core": core, "engine": core.engine, "house": core.engine.house, "feed": feed, "daemon": self}
        running = Running(
            core,
            self._directory,
            self._switchboard,
            self._metrics,
            Prompt(self._config.server.debug_prompt, names),
            say_health,
            self._settings.reload,
            self._stopping.set,
            lambda words: run_beside(words, os.path.abspath(self._directory)),
            lambda: self._settings.loaded,
            lambda: say_health()["feed"] | {"interest": say_health()["interest"]},
            self._servers,
        )
        app = App(core, Admin(running, queries, spawn), spawn)
        running.app = app
        app.set_history(queries.order_record, queries.find_order)
        extension = Extension(core, history, spawn, self._directory, self._config.market.delayed_by_s * 10**9)
        app.extension = extension
        extension.calls.forward = app.request
        extension.join(queries, feed.calendar)
        app.world_of = queries.world_of
        self._tape_stream = extension.tape
        queries.account_no = app.account_no
        return app

    def _make_beat(self) -> Beat:
        return Beat(
            self._core, self._clock, self._notifier, self._metrics, self._passing, self._memory, self._say_health,
            self.say_overdue,
        )  # fmt: skip

    async def _listen(self, app: App) -> None:
        settings = self._config.server
        access, limits = access_of(settings), limits_of(settings)
        handed = inherited_sockets(os.environ)
        numbers = count(1)
        everybody, operators = ALL_ROLES, frozenset[Role](("operator",))
        for name, path, allowed in (
            ("rpc", settings.socket or str(self._directory / "mbtd.sock"), everybody),
            ("admin", settings.admin_socket or str(self._directory / "admin.sock"), operators),
        ):
            server = Server(app, access, limits=limits, allowed=allowed, numbers=numbers)
            self._servers.append(server)
            if handed.get(name):
                path = str(handed[name][0].getsockname())
                for listener in handed[name]:
                    await server.serve(listener)
            else:
                await server.listen(Path(path))
            self._address = self._address or path

    async def _signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload_on_signal()
                    continue
                if self._stopping.is_set():
                    os._exit(0)
                self._stopping.set()

    def _reload_on_signal(self) -> None:
        self._notifier.reloading(self._clock)
        with contextlib.suppress(Refusal):
            self._settings.reload()
        self._notifier.ready("serving")

    def _take_over(self, config: Config, changed: tuple[str, ...]) -> None:
        """Use the settings that a reload may change."""
        access, limits = access_of(config.server), limits_of(config.server)
        for server in self._servers:
            server.configure(access, limits)
        self._switchboard.reconcile(config.switches)
        logs.Logger.threshold = logs.LEVELS[config.log.level]

    async def _watch_failure(self) -> None:
        await self._core.failure.wait()
        self._stopping.set()

    async def _stop(self, app: App) -> int:
        core = self._core
        self._notifier.stopping("stopping")
        app.stopping = True
        if self._gateway is not None:
            self._gateway.cancel()
        if core.failed is not None:
            return core.failed
        for server in self._servers:
            server.stop_listening()
        with anyio.move_on_after(self._config.server.drain_max_ms / 1000):
            # The pump does not say when the last mail is gone.
            while core.mailroom.busy:  # noqa: ASYNC110
                await anyio.sleep(0.002)
        status = await core.stop()
        goodbye = make_error("shutting_down", retry_after_ms=self._config.server.reconnect_after_ms)
        for server in self._servers:
            await server.close(goodbye)
        log.info("daemon.stopped", writer_status=status)
        return core.failed if core.failed is not None else status


async def _within(scope: anyio.CancelScope, words: list[str]) -> None:
    with scope:
        await keep_gateway(words)
