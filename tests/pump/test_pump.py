"""The pump on a virtual clock: timers at their instants, fair turns, bounded slices, no lost wake-up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.commands import PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Step
from actors.mailbox import Mailroom
from actors.pump import Pump
from tests.oracle.rig import HOUR, MS, SECOND, START, feed, open_engine, quote, session

OPEN = START + 6 * HOUR
pytestmark = pytest.mark.trio


class Rig:
    """An engine behind a pump; engine time is the loop's virtual time."""

    def __init__(self, accounts: int = 1) -> None:
        self.engine: Engine = open_engine([("margin", "realistic", "100000")] * accounts)
        feed(self.engine, session("core", OPEN))
        feed(self.engine, quote("AAA", 1000, 1001, OPEN + 1))
        self.engine.take_steps()
        self.room = Mailroom(capacity=100_000, reserved=0)
        self.steps: list[Step] = []
        self.began = trio.current_time()
        self.work_ns = 0
        self.pump = Pump(
            self.engine, self.room, now=self.now, monotonic=self.monotonic, after=self.after, slice_ns=1_000_000
        )

    def now(self) -> int:
        return OPEN + SECOND + round((trio.current_time() - self.began) * 1e9)

    def monotonic(self) -> int:
        return self.now() + self.work_ns

    def after(self) -> None:
        self.steps.extend(self.engine.take_steps())

    def command(self, account_no: int = 1) -> None:
        """Queue a market order."""
        order = PlaceOrder(symbol="AAA", qty="1", side="buy", type="market")

        def run() -> None:
            self.engine.command(account_no, order, self.now(), Envelope())

        self.put(account_no, run)

    def put(self, account_no: int, mail: Callable[[], None]) -> None:
        self.room.put(account_no, mail)
        self.pump.wake()

    def names(self) -> list[str]:
        return [type(event).__name__ for step in self.steps for section in step.sections for event in section.events]


async def test_a_timer_fires_at_its_instant(autojump_clock: MockClock) -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.pump.run)
        rig.command()
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    accepted = rig.steps[0]
    live_at = accepted.sections[0].events[0].live_at  # type: ignore[union-attr]
    assert accepted.at == OPEN + SECOND
    assert live_at > accepted.at + MS
    assert rig.steps[1].at == live_at
    assert rig.names()[:2] == ["OrderAccepted", "OrderActivated"]


async def test_no_wake_up_is_lost(autojump_clock: MockClock) -> None:
    rig = Rig()
    done: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.pump.run)
        for number in range(50):
            await wait_all_tasks_blocked()
            rig.put(1, lambda number=number: done.append(number))  # type: ignore[misc]
            rig.put(2, lambda number=number: done.append(number))  # type: ignore[misc]
            if number % 3 == 0:
                rig.pump.push([quote("BBB", 1000 + number, 1001 + number, rig.now())])
        await wait_all_tasks_blocked()
        assert sorted(done) == sorted([*range(50)] * 2)
        assert rig.pump.backlog == 0
        nursery.cancel_scope.cancel()


async def test_commands_and_tape_take_turns(autojump_clock: MockClock) -> None:
    """Neither a flood of commands nor one of quotes keeps the other waiting for more than a round."""
    rig = Rig()
    order: list[str] = []
    for _ in range(500):
        rig.put(1, lambda: order.append("command"))
    before = rig.engine.world.tape_seq
    rig.pump.push([quote("BBB", 1000 + n % 7, 1010 + n % 7, rig.now() + n) for n in range(5_000)])
    for _ in range(3):
        rig.pump._round(rig.monotonic() + 1_000_000)
        assert rig.engine.world.tape_seq > before
        before = rig.engine.world.tape_seq
    assert 0 < len(order) < 500
    assert rig.pump.backlog > 0


async def test_a_slice_ends_within_its_budget(autojump_clock: MockClock) -> None:
    """Work that costs 0.1 ms apiece: other tasks run after each millisecond."""
    rig = Rig()

    def work() -> None:
        rig.work_ns += 100_000

    for account_no in range(1, 401):
        rig.put(account_no, work)
    slices = 0
    while rig.room.waiting:
        before = rig.room.waiting
        assert rig.pump.spin()
        slices += 1
        assert before - rig.room.waiting <= 10
    assert slices >= 40
    assert rig.pump.longest_slice_ns <= 1_100_000


async def test_what_is_paused_waits_and_goes_on(autojump_clock: MockClock) -> None:
    rig = Rig()
    done: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.pump.run)
        rig.command()
        await wait_all_tasks_blocked()
        rig.pump.tape_paused = True
        rig.pump.wake()
        seq = rig.engine.world.tape_seq
        rig.pump.push([quote("AAA", 1002, 1003, rig.now())])
        rig.put(1, lambda: done.append("read"))
        await trio.sleep(60)
        assert done == ["read"]
        assert rig.engine.world.tape_seq == seq
        assert "OrderActivated" not in rig.names()
        rig.pump.tape_paused = False
        rig.pump.commands_paused = True
        rig.pump.wake()
        rig.put(1, lambda: done.append("late"))
        await trio.sleep(60)
        assert rig.engine.world.tape_seq == seq + 1
        assert "OrderActivated" in rig.names()
        assert done == ["read"]
        rig.pump.commands_paused = False
        rig.pump.wake()
        await wait_all_tasks_blocked()
        assert done == ["read", "late"]
        nursery.cancel_scope.cancel()


async def test_turns_beyond_the_budget_are_counted_by_account(autojump_clock: MockClock) -> None:
    rig = Rig(3)

    def work(milliseconds: float) -> Callable[[], None]:
        def run() -> None:
            rig.work_ns += round(milliseconds * MS)

        return run

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.pump.run)
        for account_no, took in ((1, 1.9), (2, 2.1), (3, 0.1), (2, 5), (3, 3)):
            rig.put(account_no, work(took))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert rig.pump.offenders == {2: 2, 3: 1}
