"""Turns that need long searches: their account waits, nobody else does, and what is recorded can be run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio
from trio.testing import MockClock

from actors.book import margin_call
from actors.book.events import IntradayLow, MarginChanged
from actors.book.rules.margin import requirement
from actors.book.rules.margin.outside import Found, Search
from actors.book.rules.margin.requirement import search
from actors.book.units import MONEY_PER_DOLLAR
from actors.book.view import Figures, figures
from actors.commands import CreateAccount, Deposit, LookAtMargin, PlaceOrder
from actors.engine import Engine, Placed
from actors.inputs import CommandInput, Envelope, FoundInput, Issued, Step
from actors.mailbox import Mailroom
from actors.pump import Pump
from tests.bench.margin import large_account, one_more_condor

pytestmark = pytest.mark.trio
SEARCH_S = 0.3
SEED, LEFT = 1, 1_000 * MONEY_PER_DOLLAR
"""An account for which the bound of one more condor is not enough."""


class Rig:
    """A large account (1) and an ordinary one (2) behind a pump whose searches take virtual time."""

    def __init__(self, searcher: Any = "waits") -> None:
        self.engine, self.chain, self.at = large_account(SEED, LEFT)
        self.engine.command(0, CreateAccount(name="other"), self.at, Envelope(), Issued(b"o" * 32))
        self.engine.take_steps()
        self.condor = one_more_condor(self.engine, self.chain, 1, self.at + 1)
        self.searched: list[Search] = []
        self.room = Mailroom()
        self.steps: list[Step] = []
        self.answers: list[tuple[str, Any, float]] = []
        self.began = trio.current_time()
        self.pump = Pump(
            self.engine, self.room, now=self.now, monotonic=self.now, after=self.after,
            search={"waits": self.search, "fails": self.fail, None: None}[searcher],
        )  # fmt: skip

    def now(self) -> int:
        return self.at + 2 + round((trio.current_time() - self.began) * 1e9)

    def after(self) -> None:
        self.steps.extend(self.engine.take_steps())

    async def search(self, wanted: Search) -> Found:
        self.searched.append(wanted)
        await anyio.sleep(SEARCH_S)
        return search(wanted)

    async def fail(self, wanted: Search) -> None:
        self.searched.append(wanted)
        await anyio.sleep(SEARCH_S)

    def put(self, name: str, account_no: int, work: Callable[[Engine], Any]) -> None:
        def mail() -> None:
            self.answers.append((name, work(self.engine), trio.current_time() - self.began))

        self.room.put(account_no, mail)
        self.pump.wake()

    def order(self, name: str, account_no: int, action: Any) -> None:
        self.put(name, account_no, lambda engine: engine.command(account_no, action, self.now(), Envelope()))

    def counted(self, name: str, account_no: int, action: Any) -> None:
        """The same, with how many searches were made before it was decided."""
        self.put(
            name,
            account_no,
            lambda engine: (engine.command(account_no, action, self.now(), Envelope()), len(self.searched)),
        )

    async def run(self, seconds: float) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pump.run)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        self.after()

    def names(self) -> list[str]:
        return [name for name, _, _ in self.answers]


def look(engine: Engine) -> Figures:
    with engine.asking():
        return figures(engine.books[1], engine.world)


async def test_only_its_account_waits_for_a_search(autojump_clock: MockClock) -> None:
    rig = Rig()
    rig.order("condor", 1, rig.condor)
    rig.order("after", 1, Deposit(amount="1"))
    rig.order("other", 2, PlaceOrder(symbol=rig.chain[0].underlying, qty="1", side="buy", type="market"))
    await rig.run(60)
    assert rig.names() == ["other", "condor", "after"], "its own mail stays in order"
    times = {name: at for name, _, at in rig.answers}
    assert times["other"] == 0
    assert SEARCH_S <= times["condor"] <= times["after"]
    assert rig.room.waiting == 0
    assert not rig.room.busy


async def test_it_decides_as_a_search_in_its_turn_would(autojump_clock: MockClock) -> None:
    ends = []
    for searcher in ("waits", None, "fails"):
        rig = Rig(searcher)
        rig.order("condor", 1, rig.condor)
        await rig.run(20)
        assert bool(rig.searched) is (searcher is not None)
        book = rig.engine.books[1]
        qtys = {symbol: (held.qty, held.basis_money) for symbol, held in book.positions.items()}
        ends.append((type(rig.answers[0][1]), book.cash, qtys, book.reserved_money, figures(book, rig.engine.world)))
    assert ends[0] == ends[1] == ends[2]


async def test_what_was_found_is_recorded_before_the_command_it_served_and_nothing_else_is(
    autojump_clock: MockClock,
) -> None:
    rig = Rig()
    seq = rig.engine.input_seq
    rig.order("condor", 1, rig.condor)
    await rig.run(20)
    kinds = [type(step.input) for step in rig.steps]
    at = kinds.index(FoundInput)
    assert kinds.count(FoundInput) == 1, "earlier tries leave no trace"
    assert isinstance(rig.steps[at + 1].input, CommandInput)
    found = rig.steps[at].input
    assert isinstance(found, FoundInput)
    assert {one.name for one in rig.searched} == set(found.found)
    assert [step.input_seq for step in rig.steps[: at + 2]] == list(range(seq + 1, seq + at + 3))

    again, chain, began = large_account(SEED, LEFT)
    again.command(0, CreateAccount(name="other"), began, Envelope(), Issued(b"o" * 32))
    one_more_condor(again, chain, 1, began + 1)
    again.take_steps()
    again.world.looks = {}
    again.outside = found.found
    assert type(again.command(1, rig.condor, rig.steps[at + 1].at, Envelope())) is Placed
    assert again.take_steps()[-1].sections == rig.steps[at + 1].sections


async def test_a_read_waits_too_and_leaves_no_step(autojump_clock: MockClock) -> None:
    rig = Rig()
    seen = look(Rig(None).engine)
    rig.put("read", 1, look)
    await rig.run(20)
    assert rig.searched
    assert rig.answers[0][1] == seen
    assert rig.steps == []


async def test_a_look_that_needs_a_search_is_a_turn_of_its_own(autojump_clock: MockClock) -> None:
    """The account is brought into a call by prices alone: the timer of looks asks, and the search is outside."""
    rig = Rig()
    for turn in range(1, 400, 20):
        one_more_condor(rig.engine, rig.chain, turn * 20, rig.at + 1)
    rig.engine.waits.arm_account(rig.engine.books[1])
    await rig.run(300)
    inputs = [step.input for step in rig.steps]
    looks = [one for one in inputs if isinstance(one, CommandInput) and type(one.action) is LookAtMargin]
    assert looks, "its standing changed in such a turn"
    assert rig.searched
    assert rig.engine.books[1].ledger().call.state != "ok"
    assert rig.pump.offenders == {}


async def test_a_look_that_prices_alone_asked_for_notes_no_lowest_level(autojump_clock: MockClock) -> None:
    """The day's lowest level is one after a transaction that reduced it, wherever the search for it is made."""
    noted = []
    for searcher in ("waits", None):
        rig = Rig(searcher)
        for turn in range(1, 400, 20):
            one_more_condor(rig.engine, rig.chain, turn * 20, rig.at + 1)
        rig.engine.waits.arm_account(rig.engine.books[1])
        await rig.run(300)
        noted.append([type(event) for step in rig.steps for section in step.sections for event in section.events])
    assert noted == [[MarginChanged]] * 2


async def test_a_look_after_a_transaction_notes_it_even_where_prices_had_asked_before(
    autojump_clock: MockClock,
) -> None:
    rig = Rig()
    for turn in range(1, 400, 20):
        one_more_condor(rig.engine, rig.chain, turn * 20, rig.at + 1)
    looks = rig.engine.world.looks
    assert looks is not None
    looks[1] = False
    rig.pump._put_looks(looks)
    assert margin_call.later(rig.engine.books[1], rig.engine.world, reduced=True)
    assert margin_call.later(rig.engine.books[1], rig.engine.world)
    await rig.run(20)
    events = [type(event) for step in rig.steps for section in step.sections for event in section.events]
    assert events == [IntradayLow, MarginChanged]


async def test_no_mailbox_is_so_full_that_a_look_is_put_off(autojump_clock: MockClock) -> None:
    """Otherwise an account would hold off its own liquidation with requests that it does not need."""
    rig = Rig()
    for turn in range(1, 400, 20):
        one_more_condor(rig.engine, rig.chain, turn * 20, rig.at + 1)
    while rig.room.put(1, lambda: rig.answers.append(("mail", rig.engine.books[1].ledger().call.state, 0)), True):
        pass
    assert rig.engine.world.looks is not None
    rig.engine.world.looks[1] = False
    rig.pump._put_looks(rig.engine.world.looks)
    await rig.run(20)
    assert len(rig.answers) == rig.room.capacity
    assert "ok" not in {state for _, state, _ in rig.answers}


async def test_a_look_between_two_tries_of_a_command_does_not_take_what_was_found_for_it(
    autojump_clock: MockClock,
) -> None:
    rig = Rig()

    class Meddling(Mailroom):
        def unpark(self, account_no: int) -> None:
            super().unpark(account_no)
            self.put_next(account_no, lambda: rig.answers.append(("look", dict(rig.engine.outside or {}), 0)))

    rig.room = rig.pump.mailroom = Meddling()
    rig.counted("condor", 1, rig.condor)
    await rig.run(20)
    assert rig.names()[0] == "condor"
    assert {str(found) for name, found, _ in rig.answers if name == "look"} == {"{}"}
    before = rig.searched[: rig.answers[0][1][1]]
    assert len(before) == len({one.name for one in before}) > 1, "nothing was searched twice"


async def test_after_very_many_searches_what_was_found_is_used_and_recorded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirement, "SEARCHES_MAX", 1)
    rig = Rig()
    rig.counted("condor", 1, rig.condor)
    await rig.run(20)
    outcome, searches = rig.answers[0][1]
    assert (type(outcome), searches) == (Placed, 1)
    kept = next(step.input.found for step in rig.steps if isinstance(step.input, FoundInput))
    assert set(kept) == {rig.searched[0].name}
