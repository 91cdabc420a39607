"""Simulated days: an engine, a faulty store and a fake feed on a virtual clock, everything from one seed.

A day is a list of plain operations drawn beforehand, so any part of it can be left out and the rest run again: that
is how a failure shrinks. Chaos lasts until the close; then faults stop, and whatever was begun must come to an end.
Checked after every start and at the end: what was acknowledged is there exactly once, books recovered from snapshots
and tail are the books folded from the first event, the plain ledger agrees, nothing is quarantined, and the records of
history are those of the books.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Any

from msgspec import Struct

from actors.book.outcome import Placed
from actors.book.rules.admission.switches import SOURCES, SWITCHES
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal
from actors.commands import (
    CancelAll,
    CancelOrder,
    ClosePosition,
    CreateAccount,
    Deposit,
    PlaceOrder,
    ReplaceOrder,
    Withdraw,
)
from actors.engine import Engine
from actors.inputs import Envelope, Issued, Step, SwitchInput, decode_steps, encode
from actors.market.messages import FeedState, Quote, Status, Trade
from actors.switching import switch
from mbtd.groups import GroupCutter
from mbtd.records.projection import project
from mbtd.recovery import load
from mbtd.residency import snapshot_of, snapshot_of_house
from storage.errors import StorageBroken, StorageFull
from storage.memory import Fault, MemoryStore
from tests.crash.journal import bare
from tests.oracle.ledger import replay_events, same_books
from tests.oracle.rig import CUSTOM, DAY, HOUR, INSTRUMENTS, MS, RUN_SEED, SECOND, START, session

SYMBOLS = ("AAA", "BBB", "CCC")
PROFILES = ("realistic", "alpaca-parity", "conservative", "brisk", "frugal")
OPS_A_DAY = 500
FIRST_CENTS = {"AAA": 1000, "BBB": 2500, "CCC": 400}
KINDS = (
    ("quote", 46), ("print", 8), ("place", 20), ("cancel", 4), ("cancel_all", 1), ("replace", 4), ("close", 2),
    ("money", 2), ("repeat", 3), ("commit", 4), ("full", 1), ("crash", 1), ("snapshot", 2), ("feed", 1), ("halt", 1),
    ("switch", 1), ("wait", 3),
)  # fmt: skip


class Op(Struct, frozen=True):
    """One thing that happens; ``draw`` seeds whatever it has to choose."""

    kind: str
    gap_ns: int
    draw: int


class Day(Struct, frozen=True):
    """One simulated day."""

    ops: tuple[Op, ...]


class Tally(Struct):
    """What a run did."""

    inputs: int = 0
    orders: int = 0
    fills: int = 0
    crashes: int = 0
    full: int = 0
    days: int = 0


def drawn_days(seed: int, count: int, ops: int = OPS_A_DAY) -> list[Day]:
    """The days of a seed."""
    random = Random(f"days/{seed}")
    kinds, weights = zip(*KINDS, strict=True)
    return [
        Day(
            tuple(
                Op(kind, random.choice((MS, 40 * MS, 300 * MS, 2 * SECOND, 40 * SECOND)), random.getrandbits(32))
                for kind in random.choices(kinds, weights, k=ops)
            )
        )
        for _ in range(count)
    ]


class World:
    """The simulated daemon, its clients and its market."""

    def __init__(self, seed: int, accounts: int = 12) -> None:
        random = Random(f"accounts/{seed}")
        self.tally = Tally()
        self.now = START
        self.cents = dict(FIRST_CENTS)
        self.fault: Fault | None = None
        self.store = MemoryStore(faults=lambda attempt: self.fault)
        self.engine = self._fresh()
        self.cutter = GroupCutter(self.engine, self.store.head())
        self.stuck: Any = None
        self.waiting: list[tuple[int, int, str, int]] = []
        """Answers behind an event number: account, client id, order number."""
        self.acknowledged: dict[tuple[int, str], int] = {}
        self.sent: list[tuple[int, PlaceOrder]] = []
        self.steps: list[Step] = []
        self.read_seq = 0
        self.day = 0
        for number in range(1, accounts + 1):
            kind = random.choice(("margin", "margin", "cash"))
            action = CreateAccount(
                name=f"n{number}",
                type=kind,
                profile=random.choice(PROFILES),
                cash=str(random.choice((500, 5_000, 100_000))),
            )
            seed_bytes = blake2b(b"%d/%d" % (seed, number), digest_size=32).digest()
            self.engine.command(0, action, self.now, Envelope(), Issued(seed_bytes))
        self.accounts = accounts
        self.commit()

    def _fresh(self) -> Engine:
        return Engine(RUN_SEED, Profiles(CUSTOM), instruments=INSTRUMENTS)

    # ── time and phases ──────────────────────────────────────────────────────────────────────────────────

    def run_day(self, day: Day) -> None:
        """From the open through chaos to a quiet evening."""
        base = START + self.day * DAY
        self.phase("core", base + 6 * HOUR)
        for op in day.ops:
            self.now = min(self.now + op.gap_ns, base + 12 * HOUR - SECOND)
            self.do(op)
        self.quiet()
        self.phase("post", base + 12 * HOUR)
        self.phase("closed", base + 16 * HOUR)
        self.let_time_pass(base + 17 * HOUR)
        self.commit()
        self.check()
        left = [
            (no, order.status)
            for book in self.engine.books.values()
            for no, order in book.orders.items()
            if order.status in ("pending_cancel", "pending_replace") or order.terms.time_in_force == "day"
        ]
        assert not left, f"left over in the evening: {left}"
        self.day += 1
        self.tally.days += 1

    def phase(self, name: Any, at: int) -> None:
        """A change of phase."""
        self.now = max(self.now, at)
        self.session = session(name, self.now, self.day)
        if self.stuck is None:
            self.engine.tape(self.session)

    def let_time_pass(self, until: int) -> None:
        """Timers run."""
        self.now = max(self.now, until)
        if self.stuck is None:
            self.engine.run_timers_through(self.now)

    def quiet(self) -> None:
        """No more faults: every switch is cleared, the feed is up, the disk has room."""
        self.fault = None
        self.commit()
        for name in SWITCHES:
            for source in SOURCES:
                switch(self.engine, SwitchInput(name, source, False, "uid:0", "quiet"), self.now)
        self.engine.tape(FeedState("up", self.now, "fake"))
        for symbol in SYMBOLS:
            self.engine.tape(Status(symbol, "trading", self.now))
            self.quote(symbol, Random(self.now))
        self.let_time_pass(self.now + 10 * SECOND)
        self.commit()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────

    def do(self, op: Op) -> None:
        """One operation."""
        random = Random(op.draw)
        self.tally.inputs += 1
        if op.kind in ("commit", "full", "crash", "snapshot"):
            getattr(self, f"_{op.kind}")(random)
        elif self.stuck is not None:
            return  # refused before it is sequenced, and no matching
        elif op.kind == "wait":
            self.let_time_pass(self.now)
        else:
            getattr(self, f"_{op.kind}")(random)

    def quote(self, symbol: str, random: Random) -> None:
        """The price walks."""
        self.cents[symbol] = max(50, self.cents[symbol] + random.choice((-3, -1, 0, 0, 1, 3)))
        middle, size = self.cents[symbol], random.choice((1, 20, 300))
        wide = random.choice((1, 1, 2, 5))
        self.engine.tape(
            Quote(symbol, middle * 100, size, (middle + wide) * 100, size, self.now, received_at=self.now)
        )

    def _quote(self, random: Random) -> None:
        self.quote(random.choice(SYMBOLS), random)

    def _print(self, random: Random) -> None:
        symbol = random.choice(SYMBOLS)
        price = self.cents[symbol] + random.choice((-2, 0, 2))
        self.engine.tape(Trade(symbol, price * 100, random.choice((1, 100)), self.now))

    def _feed(self, random: Random) -> None:
        state: Any = random.choice(("down", "up", "gap"))
        symbols = random.choice(((), (random.choice(SYMBOLS),)))
        self.engine.tape(FeedState(state, self.now, "fake", symbols, "chaos"))

    def _halt(self, random: Random) -> None:
        state: Any = random.choice(("halted", "trading"))
        self.engine.tape(Status(random.choice(SYMBOLS), state, self.now))

    def _switch(self, random: Random) -> None:
        change = SwitchInput(random.choice(SWITCHES), random.choice(SOURCES), random.random() < 0.4, "uid:0", "chaos")
        switch(self.engine, change, self.now)

    def _command(self, account_no: int, action: Any) -> Any:
        return self.engine.command(account_no, action, self.now, Envelope())

    def _account(self, random: Random) -> int:
        return random.randint(1, self.accounts)

    def _place(self, random: Random) -> None:
        account_no, symbol = self._account(random), random.choice(SYMBOLS)
        kind = random.choice(("market", "limit", "limit", "limit", "stop", "stop_limit"))
        cents = self.cents[symbol] + random.choice((-8, -2, -1, 0, 1, 2, 8))
        price, stop = f"{cents / 100:.2f}", f"{(self.cents[symbol] + random.choice((-6, 6))) / 100:.2f}"
        action = PlaceOrder(
            symbol=symbol,
            qty=str(random.choice((1, 5, 20))),
            side=random.choice(("buy", "buy", "sell")),
            type=kind,
            time_in_force=random.choice(("day", "day", "gtc", "ioc", "fok"))
            if kind in ("market", "limit")
            else "day",
            limit_price=price if "limit" in kind else None,
            stop_price=stop if "stop" in kind else None,
            client_order_id=f"c{random.getrandbits(40)}",
        )
        self.sent.append((account_no, action))
        self._send(account_no, action)

    def _repeat(self, random: Random) -> None:
        if self.sent:
            self._send(*random.choice(self.sent[-40:]))

    def _send(self, account_no: int, action: PlaceOrder) -> None:
        outcome = self._command(account_no, action)
        if isinstance(outcome, Placed):
            self.tally.orders += not outcome.duplicate
            self.waiting.append((self.engine.seq, account_no, action.client_order_id or "", outcome.order_no))
        else:
            assert isinstance(outcome, Refusal)
            assert (account_no, action.client_order_id or "") not in self.acknowledged, "acknowledged, then refused"

    def _order(self, account_no: int, random: Random) -> str | None:
        orders = list(self.engine.books[account_no].orders.values())
        return random.choice(orders).terms.order_id if orders else None

    def _cancel(self, random: Random) -> None:
        account_no = self._account(random)
        if (order_id := self._order(account_no, random)) is not None:
            self._command(account_no, CancelOrder(order_id=order_id))

    def _cancel_all(self, random: Random) -> None:
        self._command(self._account(random), CancelAll())

    def _replace(self, random: Random) -> None:
        account_no = self._account(random)
        if (order_id := self._order(account_no, random)) is not None:
            self._command(account_no, ReplaceOrder(order_id=order_id, qty=str(random.choice((2, 8, 30)))))

    def _close(self, random: Random) -> None:
        self._command(self._account(random), ClosePosition(symbol=random.choice(SYMBOLS)))

    def _money(self, random: Random) -> None:
        action: Any = (
            Deposit(amount="100") if random.random() < 0.5 else Withdraw(amount=str(random.choice((1, 10**7))))
        )
        self._command(self._account(random), action)

    # ── the disk ─────────────────────────────────────────────────────────────────────────────────────────

    def commit(self) -> None:
        """Make what has gathered durable, if the disk lets it; acknowledge what that covers."""
        group = self.stuck if self.stuck is not None else self.cutter.cut()
        try:
            self.store.append(group)
        except StorageFull:
            self.stuck = group
            self.tally.full += 1
            return
        except StorageBroken:
            self._restart()
            return
        if self.stuck is not None:
            self.stuck = None
            self.engine.tape(FeedState("gap", self.now, "fake", (), "storage_pause"))
        self._read()
        durable = self.store.head().seq
        for seq, account_no, client_id, order_no in self.waiting:
            if seq <= durable:
                known = self.acknowledged.setdefault((account_no, client_id), order_no)
                assert known == order_no, f"{client_id} was acknowledged as two orders"
        self.waiting = [entry for entry in self.waiting if entry[0] > durable]

    def _commit(self, random: Random) -> None:
        self.fault = None
        self.commit()

    def _full(self, random: Random) -> None:
        self.fault = "full"
        self.commit()

    def _crash(self, random: Random) -> None:
        """The process dies: before the commit, in it, or after it and before anybody heard."""
        mode = random.choice(("before", "broken_before", "broken_after"))
        self.fault = None if mode == "before" else mode  # type: ignore[assignment]
        if mode == "before":
            self._restart()
        else:
            self.commit()
        self.fault = None

    def _snapshot(self, random: Random) -> None:
        """Snapshots of some accounts, and the journal trimmed behind the oldest needed."""
        self._commit(random)
        if self.stuck is not None or self.engine.steps:
            return
        seq = self.engine.seq
        chosen = random.sample(sorted(self.engine.books), random.randint(1, len(self.engine.books)))
        rows = [snapshot_of(self.engine.books[no], seq) for no in chosen]
        self.store.put_snapshots([snapshot_of_house(self.engine.house, seq), *rows])
        while self.store.projection_backlog():
            self.store.project(project, 64)
        if len(chosen) == len(self.engine.books):
            self.store.trim(seq + 1)

    def _restart(self) -> None:
        """Recovery as of what is durable, with an empty board and a gap."""
        self.tally.crashes += 1
        self.waiting.clear()
        self.stuck = None
        self.store = self.store.reopened(faults=lambda attempt: self.fault)
        self.engine = self._fresh()
        load(self.engine, self.store)  # type: ignore[arg-type]
        for snapshot in self.store.snapshots(None):
            assert snapshot.account_no == 0 or snapshot.account_no in self.engine.books or not snapshot.live
            if snapshot.account_no and snapshot.account_no not in self.engine.books:
                from mbtd.residency import book_of

                self.engine.books[snapshot.account_no] = book_of(snapshot)
        self.cutter = GroupCutter(self.engine, self.store.head())
        for account_no in sorted(self.engine.books):
            self.engine.waits.arm_all(self.engine.books[account_no])
        self._read()
        self.check()
        self.engine.tape(self.session)
        self.engine.tape(FeedState("gap", self.now, "fake", (), "restart"))

    def _read(self) -> None:
        """Take what became durable into the record that the checks go by."""
        for group in self.store.groups(self.read_seq):
            for step in decode_steps(group.body) if group.body else ():
                if step.seq_last > self.read_seq:
                    assert step.seq_first == self.read_seq + 1, "event numbers have a gap"
                    self.steps.append(step)
                    self.read_seq = step.seq_last

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Everything, against the events from the very first on. Call when all is durable."""
        folded = self._fresh()
        for step in self.steps:
            folded.restore_step(step)
        assert folded.seq == self.engine.seq
        assert {no: bare(book) for no, book in folded.books.items()} == {
            no: bare(book) for no, book in self.engine.books.items()
        }
        assert folded.house.encode() == self.engine.house.encode()
        same_books(replay_events(self.steps), self.engine.books)
        assert not any(book.quarantined for book in self.engine.books.values()), self.engine.failures
        accepted: dict[tuple[int, str], list[int]] = {}
        self.tally.fills = 0
        for step in self.steps:
            for section in step.sections:
                for event in section.events:
                    kind = type(event).__name__
                    self.tally.fills += kind == "OrderFilled"
                    if kind == "OrderAccepted":
                        accepted.setdefault((section.account_no, event.client_order_id), []).append(event.order_no)  # type: ignore[union-attr]
        for key, order_no in self.acknowledged.items():
            assert accepted.get(key) == [order_no], f"{key} acknowledged as {order_no}, found {accepted.get(key)}"

    def check_history(self) -> None:
        """The records of live orders are those of the books."""
        while self.store.projection_backlog():
            self.store.project(project, 256)
        live = {(row[0], row[1]) for row in self.store.rows("orders") if row[7]}
        assert live == {(book.account_no, no) for book in self.engine.books.values() for no in book.orders}

    def digest(self) -> str:
        """One hash over every event so far."""
        return blake2b(encode(self.steps), digest_size=16).hexdigest()


def run(seed: int, days: list[Day], left_out: frozenset[tuple[int, int]] = frozenset()) -> World:
    """Run the days of a seed, without the operations left out (day, place)."""
    world = World(seed)
    for number, day in enumerate(days):
        world.run_day(Day(tuple(op for place, op in enumerate(day.ops) if (number, place) not in left_out)))
    world.check_history()
    return world
