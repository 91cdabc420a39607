"""A daemon killed under load, over and over: nothing acknowledged is lost, nothing is done twice.

Each client owns an account, places orders under its own ids, and follows its account's stream. After every death
the database is read as it was left; then the daemon starts again and every order without an answer is settled by
repeating it. All choices come from one seed, the moments of death do not: they depend on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.crash.journal import Journal
from tests.crash.processes import PATIENCE_S, STORAGE_FAULT, DaemonProcess, Died, Wire, copy_when_free
from tests.oracle.ledger import replay_events, same_books

SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY", "QQQ")
FAIL_POINTS = (
    ("commit.before", 60),
    ("commit.after", 60),
    ("release.before", 60),
    ("snapshot.middle", 3),
    ("project.middle", 30),
    ("account.create.middle", 2),
)
ROUNDS_PER_DIRECTORY = 50


class Tally(msgspec.Struct):
    """What a loop did."""

    rounds: int = 0
    daemon_kills: int = 0
    writer_kills: int = 0
    kills_of_both: int = 0
    fail_points: dict[str, int] = {}
    clean_stops: int = 0
    acknowledged: int = 0
    refused: int = 0
    settled_done: int = 0
    """Unanswered orders that turned out to be done."""
    settled_not_done: int = 0
    repeats: int = 0
    creates_settled_done: int = 0
    creates_settled_not_done: int = 0
    stream_events: int = 0
    stream_resumes: int = 0
    resyncs: int = 0
    events: int = 0
    trimmed: int = 0
    directories: int = 0


class Trader:
    """One client with its own account."""

    def __init__(self, name: str, dice: Random, tally: Tally) -> None:
        self.name, self.dice, self.tally = name, dice, tally
        self.params: dict[str, dict[str, Any]] = {}
        self.acknowledged: dict[str, str] = {}
        self.refused: set[str] = set()
        self.open: dict[str, None] = {}
        """Sent and not answered."""
        self.opens_accounts: dict[str, None] = {}
        self.made_accounts: set[str] = set()
        self.last_seq = 0
        self.n: int | None = None
        self.seen: dict[int, dict[str, Any]] = {}

    # ── after a start ────────────────────────────────────────────────────────────────────────────────────

    async def settle(self, wire: Wire, journal: Journal) -> None:
        """Open the account if there is none, and learn what became of everything without an answer."""
        if self.name not in journal.names:
            answer = await wire.call("account.create", name=self.name, type="margin", cash="500000000")
            assert "result" in answer, answer
        for name in list(self.opens_accounts):
            answer = await wire.call("account.create", name=name, type="cash")
            done = name in journal.names
            if done:
                assert answer["error"]["data"]["reason"] == "account_name_taken", answer
                self.tally.creates_settled_done += 1
            else:
                assert "result" in answer, answer
                self.tally.creates_settled_not_done += 1
            del self.opens_accounts[name]
            self.made_accounts.add(name)
        for client_id in list(self.open):
            before = journal.orders.get((self.name, client_id), [])
            answer = await wire.call("order.place", account=self.name, **self.params[client_id])
            if "error" in answer and answer["error"]["data"]["reason"] == "shutting_down":
                return
            if "error" in answer:
                assert not before, f"{client_id} is on disk and its repeat was refused: {answer}"
            else:
                result = answer["result"]
                assert result["duplicate"] is bool(before), f"{client_id}: {result}, on disk {before}"
                assert not before or before == [result["order"]["id"]]
                if before:
                    self.tally.settled_done += 1
                else:
                    self.tally.settled_not_done += 1
            self._answered(client_id, answer)

    # ── load ─────────────────────────────────────────────────────────────────────────────────────────────

    async def trade(self, wire: Wire) -> None:
        """Place, cancel, replace and repeat in bursts until the daemon is gone."""
        dice = self.dice
        while True:
            futures = [self._one(wire) for _ in range(dice.randint(1, 6))]
            # Not wait_for: it can lose a cancellation.
            async with asyncio.timeout(PATIENCE_S):
                answers = await asyncio.gather(*(future for _, future in futures), return_exceptions=True)
            for (client_id, _), answer in zip(futures, answers, strict=True):
                if isinstance(answer, BaseException):
                    if isinstance(answer, Died):
                        continue
                    raise answer
                self._took(client_id, answer)
            if any(isinstance(answer, Died) for answer in answers):
                raise Died
            await asyncio.sleep(dice.uniform(0, 0.15))

    def _one(self, wire: Wire) -> tuple[str, asyncio.Future[dict[str, Any]]]:
        dice = self.dice
        draw = dice.random()
        if draw < 0.03:
            name = f"{self.name}-extra-{len(self.opens_accounts) + len(self.made_accounts)}"
            if name not in self.opens_accounts:
                self.opens_accounts[name] = None
                return f"@{name}", wire.send("account.create", {"name": name, "type": "cash"})
        if draw < 0.2 and self.acknowledged:
            known = dice.choice(list(self.acknowledged)[-20:])
            if draw < 0.08:
                return f"={known}", wire.send("order.place", {"account": self.name, **self.params[known]})
            if draw < 0.12:
                change = {"client_order_id": known, "qty": str(dice.randint(2, 9))}
                return "", wire.send("order.replace", {"account": self.name, **change})
            return "", wire.send("order.cancel", {"account": self.name, "client_order_id": known})
        client_id = f"{self.name}-{len(self.params)}"
        params: dict[str, Any] = {"symbol": dice.choice(SYMBOLS), "qty": str(dice.randint(1, 5))}
        params |= {"side": dice.choice(("buy", "sell")), "type": "market", "client_order_id": client_id}
        if dice.random() < 0.4:
            params |= {"type": "limit", "limit_price": str(dice.choice((1, 50, 150, 400, 2_000)))}
        if dice.random() < 0.3:
            params["time_in_force"] = dice.choice(("gtc", "ioc"))
        self.params[client_id] = params
        self.open[client_id] = None
        return client_id, wire.send("order.place", {"account": self.name, **params})

    def _took(self, what: str, answer: dict[str, Any]) -> None:
        if "error" in answer and answer["error"]["data"]["reason"] in ("outcome_unknown", "shutting_down"):
            return
        if what.startswith("@"):
            assert "result" in answer, answer
            del self.opens_accounts[what[1:]]
            self.made_accounts.add(what[1:])
        elif what.startswith("="):
            self.tally.repeats += 1
            result = answer["result"]
            assert result["duplicate"] is True
            assert result["order"]["id"] == self.acknowledged[what[1:]]
        elif what:
            assert "error" in answer or answer["result"]["duplicate"] is False
            self._answered(what, answer)

    def _answered(self, client_id: str, answer: dict[str, Any]) -> None:
        if "error" in answer:
            assert 3000 <= answer["error"]["code"] < 4000, answer
            self.refused.add(client_id)
            self.tally.refused += 1
        else:
            self.acknowledged[client_id] = answer["result"]["order"]["id"]
            self.last_seq = max(self.last_seq, answer["result"]["seq"])
            self.tally.acknowledged += 1
        del self.open[client_id]

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────

    async def follow(self, wire: Wire) -> None:
        """Follow the account from the last number seen; numbers have no gap."""
        topic = f"account:{self.name}"
        if self.n is not None:
            answer = await wire.call("stream.subscribe", topics=[topic], from_n=self.n)
            self.tally.stream_resumes += 1
            if "error" in answer:
                assert answer["error"]["data"]["reason"] == "resync_required", answer
                self.tally.resyncs += 1
                self.n = None
        if self.n is None:
            answer = await wire.call("stream.subscribe", topics=[topic])
            assert "result" in answer, answer
            self.n = answer["result"]["topics"][topic]["n"]
        while (event := await wire.events.get()) is not None:
            if "n" in event:
                self.take(event)
        raise Died

    def take(self, event: dict[str, Any]) -> None:
        """The next event of the stream."""
        assert self.n is not None
        assert event["n"] == self.n + 1, f"{self.name}: event {event['n']} follows {self.n}"
        self.n += 1
        self.seen[self.n] = event
        self.tally.stream_events += 1

    # ── after a death ────────────────────────────────────────────────────────────────────────────────────

    def check(self, journal: Journal) -> None:
        """Everything that this client was ever told is on disk, and everything is there at most once."""
        assert self.last_seq <= journal.seq, "an acknowledged event is not on disk"
        for client_id, order_id in self.acknowledged.items():
            assert journal.orders.get((self.name, client_id)) == [order_id], f"{client_id} was acknowledged"
        for client_id in self.open:
            assert len(journal.orders.get((self.name, client_id), [])) <= 1, f"{client_id} is there twice"
        for client_id in self.refused:
            assert (self.name, client_id) not in journal.orders, f"{client_id} was refused"
        assert self.made_accounts <= journal.names
        for n, event in self.seen.items():
            line = journal.lines.get((self.name, n))
            assert line is not None, f"{self.name}: event {n} was sent and is not on disk"
            told = {key: value for key, value in event.items() if key not in ("topic", "n")}
            assert told == line, f"{self.name}: event {n} was told otherwise: {told} / {line}"
        self.seen.clear()


class ServeLoop:
    """Start, load, kill, check; a new state directory every so many rounds."""

    def __init__(self, directory: Path, seed: int, *, clients: int = 8, say: bool = False) -> None:
        self.directory, self.seed, self.clients, self._say = directory, seed, clients, say
        self.dice = Random(f"serve {seed}")
        self.tally = Tally()
        self._fresh()

    def _fresh(self) -> None:
        self.tally.directories += 1
        self.state = self.directory / f"state{self.tally.directories}"
        self.journal = Journal()
        number = self.tally.directories
        self.traders = [
            Trader(f"t{number}-{index}", Random(f"{self.seed} {number} {index}"), self.tally)
            for index in range(self.clients)
        ]

    async def run(self, rounds: int) -> Tally:
        """So many rounds, then one clean start and stop."""
        for number in range(1, rounds + 1):
            await self.round()
            if number % ROUNDS_PER_DIRECTORY == 0 or number == rounds:
                await self._last_round()
                if self._say:
                    print(json.dumps({"seed": self.seed, **msgspec.to_builtins(self.tally)}), flush=True)
                shutil.rmtree(self.state)
                self._fresh()
        return self.tally

    async def round(self) -> None:
        """One life of the daemon."""
        dice = self.dice
        self.tally.rounds += 1
        point = ""
        if dice.random() < 0.3:
            name, most = dice.choice(FAIL_POINTS)
            point = f"{name}:{dice.randint(1, most)}"
        daemon = DaemonProcess(self.state, fail_point=point)
        try:
            with contextlib.suppress(Died):
                await daemon.ready()
                await self._live(daemon, dice.uniform(0.05, 1.5), point)
            await self._end(daemon, point)
        finally:
            daemon.close()
        self._check()

    async def _live(self, daemon: DaemonProcess, seconds: float, point: str) -> None:
        """Settle what is open, then load until the time is up or the daemon is gone."""
        wires = [await Wire.connect(daemon.socket) for _ in range(2 * len(self.traders))]
        half = len(self.traders)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _until_death(
                    trader.settle(wire, self.journal) for trader, wire in zip(self.traders, wires, strict=False)
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _until_death(
                        [
                            *(trader.trade(wire) for trader, wire in zip(self.traders, wires, strict=False)),
                            *(trader.follow(wire) for trader, wire in zip(self.traders, wires[half:], strict=True)),
                        ]
                    )
            await self._kill(daemon, bool(point))
            # Whatever was on its way when the daemon died still counts as said.
            await asyncio.gather(*(self._drain(t, w) for t, w in zip(self.traders, wires[half:], strict=True)))
        finally:
            for wire in wires:
                await wire.close()

    async def _drain(self, trader: Trader, wire: Wire) -> None:
        for event in await wire.rest():
            if trader.n is not None and "n" in event:
                trader.take(event)

    async def _kill(self, daemon: DaemonProcess, armed: bool) -> None:
        """One of the ways to end. An armed place that is reached on the way out may come first."""
        if not daemon.alive:
            return
        draw = self.dice.random()
        self._by_kill = True
        if draw < 0.65:
            self.tally.daemon_kills += 1
            daemon.process.kill()
        elif draw < 0.82:
            self.tally.writer_kills += 1
            daemon.kill_writer()
            status = await daemon.ended()
            assert status == STORAGE_FAULT or (armed and status == -9), (
                f"the daemon ended with {status} when its writer was killed"
            )
        elif draw < 0.94:
            self.tally.kills_of_both += 1
            daemon.kill_writer()
            daemon.process.kill()
        else:
            self.tally.clean_stops += 1
            daemon.process.send_signal(signal.SIGTERM)
            status = await daemon.ended()
            well = status == 0 or (armed and status in (-9, STORAGE_FAULT))
            assert well, f"a clean stop ended with {status}: {daemon.log_tail()}"
        await daemon.ended()

    _by_kill = False

    async def _end(self, daemon: DaemonProcess, point: str) -> None:
        status = await daemon.ended()
        if self._by_kill:
            self._by_kill = False
            return
        assert point, f"the daemon ended by itself with {status}"
        assert status in (-9, STORAGE_FAULT), f"the daemon ended with {status} at {point}"
        name = point.partition(":")[0]
        self.tally.fail_points[name] = self.tally.fail_points.get(name, 0) + 1

    def _check(self) -> None:
        copy = copy_when_free(self.state, self.directory / "copy")
        before = self.journal.seq
        self.journal.read(copy)
        self.tally.events += self.journal.seq - before
        self.tally.trimmed = max(self.tally.trimmed, self.journal.trimmed)
        for trader in self.traders:
            trader.check(self.journal)
        self.journal.check_recovery(copy)

    async def _last_round(self) -> None:
        """Settle everything, and ask the daemon itself about every order."""
        daemon = DaemonProcess(self.state)
        try:
            await daemon.ready()
            wire = await Wire.connect(daemon.socket)
            for trader in self.traders:
                await trader.settle(wire, self.journal)
                await _check_history(wire, trader)
            health = (await wire.call("health.get"))["result"]
            assert health["engine"]["quarantined"] == 0, health
            await wire.close()
            daemon.process.send_signal(signal.SIGTERM)
            assert await daemon.ended() == 0
        finally:
            daemon.close()
        self._check()
        same_books(replay_events(self.journal.steps), self.journal.engine.books)


async def _check_history(wire: Wire, trader: Trader) -> None:
    """The list of orders has every acknowledged order once."""
    found: dict[str, list[str]] = {}
    token = None
    while True:
        more: dict[str, Any] = {"page_token": token} if token else {}
        answer = await wire.call("order.list", account=trader.name, status="all", limit=500, **more)
        for order in answer["result"]["items"]:
            found.setdefault(order["client_order_id"], []).append(order["id"])
        token = answer["result"]["next_page_token"]
        if token is None:
            break
    for client_id, order_id in trader.acknowledged.items():
        assert found.get(client_id) == [order_id], client_id
    assert not trader.refused & found.keys()


async def _until_death(works: Any) -> None:
    """Run all; :class:`Died` once every one of them is done or met the daemon's death, any other error at once."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
