"""The engine as a whole on random sessions: restarts anywhere, brute-force watches, isolation, repeatability."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.actor import Waits
from actors.book.rules.matching.market_state import eligible_phases
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.engine import Engine
from actors.house.state import HOUSE_NO, House
from actors.inputs import Step, decode_steps, encode
from actors.market.messages import FeedState, Quote, Status
from mbtd.groups import GroupCutter, restore, resume_at
from storage.records import Group, Head
from tests.oracle.ledger import replay_events, same_books
from tests.oracle.rig import CUSTOM, INSTRUMENTS, RUN_SEED, SECOND, Do, Wait, feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, script_of, scripts

HEAD = Head(1, 0, 0, 0, 0, b"", b"", "e")


def run(script: list[Any], kind: type[Engine] = Engine, accounts: Any = ACCOUNTS) -> Engine:
    engine = open_engine(accounts, kind)
    for item in script:
        feed(engine, item)
    return engine


def all_messages(script: list[Any]) -> list[Any]:
    return [item for item in script if not isinstance(item, Do | Wait)]


def fresh() -> Engine:
    from actors.book.rules.matching.profiles import Profiles

    return Engine(RUN_SEED, Profiles(CUSTOM), instruments=INSTRUMENTS)


def restarted(groups: list[Group], messages: list[Any], books: dict[int, bytes], house: bytes) -> Engine:
    """An engine from snapshots (none: from nothing) and the groups after them, as a restart builds it."""
    engine = fresh()
    if house:
        engine.house = House.decode(house)
    for account_no, body in books.items():
        engine.books[account_no] = msgspec.msgpack.decode(body, type=Book)
    restore(engine, groups)
    last = groups[-1]
    resume_at(engine, Head(1, last.seq_last, last.input_seq, last.tape_pos, last.at, b"", b"", "e"))
    for message in messages[: last.tape_pos]:
        engine.refeed(message)
    for account_no in sorted(engine.books):
        engine.waits.arm_all(engine.books[account_no])
    return engine


@profile(400)
@given(scripts(contingent=True), st.data())
def test_a_restart_between_any_two_inputs_changes_nothing(script: list[Any], data: st.DataObject) -> None:
    whole = open_engine(ACCOUNTS)
    cutter = GroupCutter(whole, HEAD)
    groups = [cutter.cut()]
    cut_at = data.draw(st.integers(0, len(script)), "cut")
    every = data.draw(st.integers(1, 6), "group")
    from_snapshot = data.draw(st.integers(-1, cut_at), "snapshot")
    books: dict[int, bytes] = {}
    house = b""
    for index, item in enumerate(script[:cut_at]):
        feed(whole, item)
        if index % every == 0:
            groups.append(cutter.cut())
        if index == from_snapshot:
            books = {no: encode(book) for no, book in whole.books.items()}
            house = whole.house.encode()
    for _ in range(data.draw(st.integers(0, 4), "slices of a sweep")):
        whole.run_due(whole.world.now + SECOND, data.draw(st.integers(1, 2)))
    groups.append(cutter.cut())
    again = restarted(groups, all_messages(script), books, house)
    assert again.books == whole.books
    same_books(
        replay_events(step for group in groups if group.body for step in decode_steps(group.body)), again.books
    )
    assert len(again.waits.timers) <= len(whole.waits.timers)
    for item in script[cut_at:]:
        feed(whole, item)
        feed(again, item)
        assert encode(again.steps) == encode(whole.steps)
        assert encode(again.take_moved()) == encode(whole.take_moved())
    feed(whole, Wait(whole.world.now + 10 * SECOND))
    feed(again, Wait(whole.world.now))
    assert encode(again.steps) == encode(whole.steps)
    assert (again.books, again.seq, again.input_seq) == (whole.books, whole.seq, whole.input_seq)


def brute_force(self: Waits, book: Book, order: Any, key: Any) -> None:
    """Every live order is looked at on every message of its symbol."""
    watch = book.watch.get(key[1])
    reason = watch.reason if watch is not None else ""
    auction = order.terms.time_in_force in ("opg", "cls")
    if reason == "awaiting_print":
        self.phase_waiters.pop(key, None)
        self.world.board.arm_auction(order.terms.symbol, key)
        self.timers.add(watch.due_at, (*key, 1))  # type: ignore[union-attr]
        return
    waits = not order.activated or self.world.now < order.live_at
    if waits or reason in ("session", "latency"):
        self.world.board.disarm(key)
        if self.world.now < order.live_at:
            self.timers.add(order.live_at, (*key, 0))
        elif auction or self.world.phase in eligible_phases(order.terms.extended_hours):
            self.timers.add(self.world.now, (*key, 0))
            if not waits and reason == "session":
                self.world.board.arm_near(order.terms.symbol, key)
        else:
            self.phase_waiters[key] = None
        return
    self.phase_waiters.pop(key, None)
    self.world.board.arm_near(order.terms.symbol, key)
    if watch is not None and watch.due_at:
        self.timers.add(watch.due_at, (*key, 1))


@profile(400)
@given(scripts(20, 60, contingent=True))
@example(script_of(373436, 20))  # a quote of the instant in which the core session begins
@example(script_of(3202832325, 25, True))  # a gap, and a look at everything before the next quote of the symbol
@example(script_of(211, 29))  # a print through a limit that nobody looked at when the session began anew
def test_watches_hide_nothing_that_brute_force_sees(script: list[Any]) -> None:
    plain = run(script)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Waits, "_arm_market", brute_force)
        brute = run(script)
    assert encode(plain.steps) == encode(brute.steps)


@profile(200)
@given(scripts(10, 40, contingent=True))
def test_folding_the_events_alone_gives_the_same_books(script: list[Any]) -> None:
    engine = run(script)
    books: dict[int, Book] = {}
    number = 0
    for step in msgspec.msgpack.decode(encode(engine.steps), type=list[Step]):
        assert step.seq_first == number + 1
        number = step.seq_last
        for section in step.sections:
            if section.account_no == HOUSE_NO:
                continue
            book = books.setdefault(section.account_no, Book(section.account_no))
            assert section.n_first == book.n + 1
            for event in section.events:
                fold(book, event, step.at)
    assert number == engine.seq
    for account_no, book in engine.books.items():
        book.watch.clear()
        book.consumed.clear()
        assert encode(book) == encode(books[account_no])


def tie_order(item: Any) -> tuple[int, int]:
    """At one instant the tape comes before the timers and these before the commands (architecture §3)."""
    if isinstance(item, Do):
        return item.at, 2
    return (item.until, 1) if isinstance(item, Wait) else (item.received_at or item.at, 0)


def sections_of(script: list[Any], account_no: int, end: int) -> list[Any]:
    """One account's events with the places on the tape blanked, for they count other people's messages."""
    rows = []
    for step in run([*script, Wait(end)]).steps:
        for section in step.sections:
            if section.account_no == account_no:
                for event in section.events:
                    row = msgspec.to_builtins(event)
                    if row[0] == "of":
                        row[-1][5] = row[-1][6] = 0
                    elif row[0] == "ot":
                        row[3] = 0
                    rows.append((step.at, row))
    return rows


@profile(200)
@given(scripts(10, 50), st.data())
def test_others_and_repeated_quotes_change_nothing(script: list[Any], data: st.DataObject) -> None:
    script = sorted(script, key=tie_order)
    account_no = data.draw(st.integers(1, len(ACCOUNTS)))
    mine = [item for item in script if not isinstance(item, Do) or item.account_no == account_no]
    traded = {item.action.symbol for item in mine if isinstance(item, Do) and hasattr(item.action, "symbol")}
    alone = [item for item in mine if not hasattr(item, "symbol") or item.symbol in traded]
    twice: list[Any] = []
    standing: dict[str, Quote] = {}
    for item in script:
        if isinstance(item, Do):
            twice.append(Wait(item.at))
        twice += [*standing.values(), item, item] if isinstance(item, Quote) else [*standing.values(), item]
        if isinstance(item, Quote):
            standing[item.symbol] = item
        elif isinstance(item, FeedState | Status):
            standing.clear()
    end = run(script).world.now + 10 * SECOND
    expected = sections_of(script, account_no, end)
    assert sections_of(alone, account_no, end) == expected
    assert sections_of(twice, account_no, end) == expected


@profile(200)
@given(scripts(10, 60), st.integers(1, 3))
def test_sweeps_in_slices_do_what_whole_ones_do(script: list[Any], most: int) -> None:
    sliced = open_engine(ACCOUNTS)
    for item in script:
        if isinstance(item, Wait):
            while sliced.run_due(item.until, most):
                pass
        feed(sliced, item)
    assert encode(sliced.steps) == encode(run(script).steps)


@profile(200)
@given(scripts(10, 50), st.data())
def test_what_comes_later_changes_nothing_earlier(script: list[Any], data: st.DataObject) -> None:
    length = data.draw(st.integers(4, len(script)))
    early = run(script[:length])
    whole = run(script)
    assert encode(whole.steps[: len(early.steps)]) == encode(early.steps)


def test_the_same_session_gives_the_same_bytes_under_any_hash_seed_and_time_zone() -> None:
    outputs = set()
    for seed, zone in (("0", "UTC"), ("1", "Asia/Kathmandu"), ("4242", "America/New_York")):
        done = subprocess.run(
            [sys.executable, "-c", "from tests.simulation.drawn import main; main()"],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
            timeout=60,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 10_000


@profile(200)
@given(scripts(10, 40, contingent=True))
def test_a_preview_changes_nothing_at_all(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    for item in script:
        if isinstance(item, Do) and not item.order_no:
            feed(engine, Wait(item.at))
            before = encode(engine.books[item.account_no])
            state = (engine.seq, engine.input_seq, len(engine.waits.timers), len(engine.world.board))
            steps, moved = len(engine.steps), encode(engine.take_moved())
            outcome, _ = engine.preview(item.account_no, item.action, item.at)
            assert encode(engine.books[item.account_no]) == before
            assert (engine.seq, engine.input_seq, len(engine.waits.timers), len(engine.world.board)) == state
            assert len(engine.steps) == steps
            assert engine.take_moved() == []
            assert moved is not None
            assert type(feed(engine, item)) is type(outcome)
        else:
            feed(engine, item)
