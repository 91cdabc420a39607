"""Simulated days: an engine, a faulty store and a fake feed on a virtual clock, everything from one seed.

A day is a list of plain operations drawn beforehand, so any part of it can be left out and the rest run again: that
is how a failure shrinks. Chaos lasts from before the open into the evening; then faults stop, and whatever was begun
must come to an end. The calendar is the real one, so days settle, interest and fees are booked and contracts expire.
Checked after every start and at the end: what was acknowledged is there exactly once, books recovered from snapshots
and tail are the books folded from the first event, the plain ledger agrees, nothing is quarantined, the records of
history are those of the books, and of an erased account nothing is left.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Any

from msgspec import Struct

from actors.book import events as e
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import Rates
from actors.commands import CreateAccount
from actors.engine import Engine
from actors.erasing import erase_user
from actors.inputs import Envelope, EraseInput, Issued, Step, decode_steps, encode
from actors.market.messages import FeedState
from actors.market.world import Past
from mbtd.groups import GroupCutter
from mbtd.market.calendar import TradeDays
from mbtd.records.projection import project
from mbtd.recovery import load
from mbtd.residency import book_of, snapshot_of, snapshot_of_house
from storage.errors import StorageBroken, StorageFull
from storage.memory import Fault, MemoryStore
from tests.corporate.rig import past_of
from tests.crash.journal import bare
from tests.money.rig import when
from tests.oracle.cover import trades_keep_cover
from tests.oracle.ledger import replay_events, same_books
from tests.oracle.rig import CUSTOM, HOUR, MS, RUN_SEED, SECOND
from tests.simulation.clients import PROFILES, Clients
from tests.simulation.market import CALENDAR

OPS_A_DAY = 500
FEWEST_ACCOUNTS = 6
RATES = Rates(cash_interest_ppm=30_000)
KINDS: tuple[tuple[str, float], ...] = (
    ("quote", 36), ("odd_quote", 2), ("option_quote", 10), ("print", 8), ("place", 18), ("group", 5), ("trailing", 1),
    ("option", 8), ("unit", 4), ("exercise", 2), ("cancel", 4), ("cancel_all", 1), ("replace", 4), ("close", 3),
    ("close_all", 0.5), ("money", 2), ("configure", 1), ("reset", 0.2), ("repeat", 3), ("commit", 4), ("full", 1),
    ("crash", 1), ("snapshot", 2), ("feed", 2), ("halt", 2), ("reference", 0.5), ("switch", 2), ("erase", 0.15),
    ("wait", 3), ("action", 0.7), ("assign", 2),
)  # fmt: skip
GAPS = (MS, 40 * MS, 300 * MS, 2 * SECOND, 40 * SECOND, 300 * SECOND)
BEGINS, ENDS = "09:20", "19:59"


def _at(date: int, clock: str) -> int:
    return when(f"{date // 10_000}-{date // 100 % 100:02d}-{date % 100:02d} {clock}")


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
    erased: int = 0
    ended_days: int = 0
    """Ends of day of accounts."""
    bookings: dict[str, int] = {}
    """Activities by type."""

    def add(self, other: Tally) -> None:
        """Sum up."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                mine.update({kind: mine.get(kind, 0) + count for kind, count in theirs.items()})
            else:
                setattr(self, name, mine + theirs)


def drawn_days(seed: int, count: int, ops: int = OPS_A_DAY) -> list[Day]:
    """The days of a seed."""
    random = Random(f"days/{seed}")
    kinds, weights = zip(*KINDS, strict=True)
    return [
        Day(
            tuple(
                Op(kind, random.choice(GAPS), random.getrandbits(32))
                for kind in random.choices(kinds, weights, k=ops)
            )
        )
        for _ in range(count)
    ]


class World(Clients):
    """The simulated daemon, its clients and its market."""

    def __init__(self, seed: int, days: int, accounts: int = 12) -> None:
        super().__init__(days)
        random = Random(f"accounts/{seed}")
        self.tally = Tally()
        self.now = _at(self.dates[0], "04:00")
        self.fault: Fault | None = None
        self.store = MemoryStore(faults=lambda attempt: self.fault)
        self.engine = self._fresh()
        self.cutter = GroupCutter(self.engine, self.store.head())
        self.stuck: Any = None
        self.steps: list[Step] = []
        self.read_seq = 0
        self.gone: set[int] = set()
        """Accounts whose erasure is durable."""
        self.day = 0
        self.tell_session()
        for number in range(1, accounts + 1):
            kind = random.choice(("margin", "margin", "cash"))
            action = CreateAccount(
                name=f"n{number}",
                user_id=f"user-{number}",
                type=kind,
                profile=random.choice(PROFILES),
                cash=str(random.choice((500, 5_000, 100_000, 1_000_000))),
            )
            seed_bytes = blake2b(b"%d/%d" % (seed, number), digest_size=32).digest()
            self.engine.command(0, action, self.now, Envelope(), Issued(seed_bytes))
        self.accounts = accounts
        self.commit()

    def _fresh(self) -> Engine:
        engine = Engine(
            RUN_SEED, Profiles(CUSTOM), instruments=self.instruments.values(), days=TradeDays(CALENDAR), rates=RATES
        )
        engine.world.past = self._past
        return engine

    def _past(self, account_no: int, since: int, n: int) -> Past:
        """An account before an instant and since: durable steps, those that the disk did not take, the newest."""
        groups = [*self.store.groups(self.read_seq), *([self.stuck] if self.stuck is not None else ())]
        unread = [step for group in groups if group.body for step in decode_steps(group.body)]
        unread = [step for step in unread if step.seq_last > self.read_seq]
        return past_of([*self.steps, *unread, *self.engine.steps], account_no, since, n)

    # ── time and phases ──────────────────────────────────────────────────────────────────────────────────

    def run_day(self, day: Day) -> None:
        """From before the open through chaos to a quiet evening, and into the night that ends the trade date."""
        date = self.dates[self.day]
        self.pass_time(_at(date, BEGINS))
        for op in day.ops:
            self.now = min(self.now + op.gap_ns, _at(date, ENDS))
            self.do(op)
        self.quiet()
        self.pass_time(_at(date, ENDS) + 4 * HOUR)
        self.commit()
        self.check()
        self.check_evening()
        self.day += 1
        self.tally.days += 1

    def pass_time(self, until: int) -> None:
        """Sessions change and timers run."""
        self.now = max(self.now, until)
        if self.stuck is None:
            self.tell_sessions()
            self.engine.run_timers_through(self.now)

    def quiet(self) -> None:
        """No more faults: every switch is cleared, the feed is up, the disk has room."""
        self.fault = None
        self.commit()
        self.tell_sessions()
        self.clear_switches()
        self.calm_market()
        self.pass_time(self.now + 10 * SECOND)
        self.commit()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────

    def do(self, op: Op) -> None:
        """One operation."""
        random = Random(op.draw)
        self.tally.inputs += 1
        if self.stuck is None:
            self.tell_sessions()
        if op.kind in ("commit", "full", "crash", "snapshot", "erase"):
            getattr(self, f"_{op.kind}")(random)
        elif self.stuck is not None:
            return  # refused before it is sequenced, and no matching
        elif op.kind == "wait":
            self.pass_time(self.now)
        else:
            getattr(self, f"_{op.kind}")(random)

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
            self.tell_sessions()
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

    def _erase(self, random: Random) -> None:
        """A user leaves: sequenced at once; the rows go now, or after the next crash."""
        if len(self.engine.books) <= FEWEST_ACCOUNTS:
            return
        self._commit(random)
        if self.stuck is not None or self.engine.steps:
            return
        account_no = self._account(random)
        self.forget(account_no)
        erase_user(self.engine, EraseInput((account_no,), blake2b(b"%d" % account_no).digest()[:16]), self.now)
        self.tally.erased += 1
        if random.random() < 0.5:
            self._crash(random)
        else:
            self.commit()
        self._clean()

    def _clean(self) -> None:
        """Take what is left of erased accounts out of the store, as the writer's job and the next start do."""
        self._read()
        if not self.gone:
            return
        while self.store.projection_backlog():
            self.store.project(project, 64)
        disk = self.store.disk
        disk.snapshots = {no: row for no, row in disk.snapshots.items() if no not in self.gone}
        for table in disk.tables.values():
            for key in [key for key in table if key[0] in self.gone]:
                del table[key]

    def _restart(self) -> None:
        """Recovery as of what is durable, with an empty board and a gap."""
        self.tally.crashes += 1
        self.waiting.clear()
        self.stuck = None
        self.store = self.store.reopened(faults=lambda attempt: self.fault)
        self._clean()
        self.engine = self._fresh()
        load(self.engine, self.store)  # type: ignore[arg-type]
        for snapshot in self.store.snapshots(None):
            assert snapshot.account_no == 0 or snapshot.account_no in self.engine.books or not snapshot.live
            if snapshot.account_no and snapshot.account_no not in self.engine.books:
                self.engine.books[snapshot.account_no] = book_of(snapshot)
        self.cutter = GroupCutter(self.engine, self.store.head())
        for account_no in sorted(self.engine.books):
            self.engine.waits.arm_all(self.engine.books[account_no])
        self.check()
        self.tell_session()
        self.engine.tape(FeedState("gap", self.now, "fake", (), "restart"))

    def _read(self) -> None:
        """Take what became durable into the record that the checks go by."""
        for group in self.store.groups(self.read_seq):
            for step in decode_steps(group.body) if group.body else ():
                if step.seq_last > self.read_seq:
                    assert step.seq_first == self.read_seq + 1, "event numbers have a gap"
                    assert not self.steps or step.at >= self.steps[-1].at, "time steps back"
                    self.steps.append(step)
                    self.read_seq = step.seq_last
                    for event in (event for section in step.sections for event in section.events):
                        if isinstance(event, e.UserErased):
                            self.gone.update(event.account_nos)

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
        plain = replay_events(self.steps)
        same_books({no: book for no, book in plain.items() if no not in self.gone}, self.engine.books)
        assert not any(book.quarantined for book in self.engine.books.values()), self.engine.failures
        trades_keep_cover(self.steps)
        assert not self.gone & (set(self.engine.books) | set(self.store.disk.snapshots))
        accepted = self._count()
        for key, order_no in self.acknowledged.items():
            assert accepted.get(key) == [order_no], f"{key} acknowledged as {order_no}, found {accepted.get(key)}"

    def _count(self) -> dict[tuple[int, str], list[int]]:
        """Orders accepted by account and client id; the tally of everything on the way."""
        accepted: dict[tuple[int, str], list[int]] = {}
        tally = self.tally
        tally.fills = tally.ended_days = 0
        tally.orders, tally.bookings = self.orders, {}
        for step in self.steps:
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, e.OrderAccepted):
                        accepted.setdefault((section.account_no, event.client_order_id), []).append(event.order_no)
                    elif isinstance(event, e.ActivityBooked):
                        kind = event.activity_type
                        tally.bookings[kind] = tally.bookings.get(kind, 0) + 1
                    tally.fills += isinstance(event, e.OrderFilled)
                    tally.ended_days += isinstance(event, e.DayEnded)
        return accepted

    def check_evening(self) -> None:
        """Nothing is overdue once the day is over and all was quiet."""
        overdue = [
            (no, order.terms.order_no, order.status)
            for no, book in self.engine.books.items()
            for order in book.orders.values()
            if order.status in ("pending_cancel", "pending_replace")
            or 0 < order.terms.expires_at <= self.now
            or order.terms.time_in_force in ("ioc", "fok")
        ]
        assert not overdue, f"left over in the evening: {overdue}"
        date = self.dates[self.day]
        for no, book in self.engine.books.items():
            expired = [
                symbol
                for symbol in book.positions
                if symbol in self.contracts and self.contracts[symbol][0].expiry_date <= date
            ]
            assert not expired, f"account {no} still holds {expired} in the night after {date}"

    def check_history(self) -> None:
        """The records of live orders are those of the books."""
        while self.store.projection_backlog():
            self.store.project(project, 256)
        self._clean()
        live = {(row[0], row[1]) for row in self.store.rows("orders") if row[7]}
        assert live == {(book.account_no, no) for book in self.engine.books.values() for no in book.orders}

    def digest(self) -> str:
        """One hash over every event so far."""
        return blake2b(encode(self.steps), digest_size=16).hexdigest()


def run(seed: int, days: list[Day], left_out: frozenset[tuple[int, int]] = frozenset()) -> World:
    """Run the days of a seed, without the operations left out (day, place)."""
    world = World(seed, len(days))
    for number, day in enumerate(days):
        world.run_day(Day(tuple(op for place, op in enumerate(day.ops) if (number, place) not in left_out)))
    world.check_history()
    return world
