"""Lives of real daemons with their clock put out: killed, down over days and timers, and run again to the byte."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from actors.book import events as e
from actors.inputs import FoundInput, StartInput, decode_steps, encode
from mbtd.jobs.redecide import groups_in, redecide, steps_of
from mbtd.jobs.verify import verify
from mbtd.journal import DIRECTORY
from mbtd.rpc.wire import RpcRefusal
from storage.database import FILE_NAME
from storage.tape import tape_files
from tests.crash.template import Template
from tests.crash.trial import Outcome, Trial
from tests.money.rig import when

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    made = Template()
    yield made
    made.close()


class Life:
    """One state directory, and the instant that its daemon takes for now."""

    def __init__(self, directory: Path, template: Template, start: str) -> None:
        self.state = directory / "state"
        self._clock = directory / "clock"
        self._clock.write_bytes(bytes(8))
        self.trial = Trial(self.state, Outcome("life"), 1, template, clock=self._clock)
        self.at(start)
        self.trial.start()

    def at(self, text: str | int) -> None:
        """Put the clock to this time of New York."""
        wanted = when(text) if isinstance(text, str) else text
        with self._clock.open("r+b") as file:
            file.write((wanted - time.time_ns()).to_bytes(8, "little", signed=True))

    def call(self, method: str, **params: Any) -> Any:
        with self.trial.client() as client:
            return client.call(method, **params)

    def order(self, account: str, **params: Any) -> None:
        with contextlib.suppress(RpcRefusal):
            self.call("order.place", account=account, **{"side": "buy", "qty": "1", "type": "market", **params})

    def quotes(self, more: int = 150) -> None:
        """Let the market go on for a while."""
        with self.trial.client() as client:
            until = time.monotonic() + PATIENCE_S
            wanted = client.call("health.get")["engine"]["tape_seq"] + more
            while client.call("health.get")["engine"]["tape_seq"] < wanted:
                assert time.monotonic() < until
                time.sleep(0.01)

    def again(self, text: str | int, *, kill: bool = True) -> None:
        """Die, or stop, and begin again at another time."""
        self.end(kill=kill)
        self.at(text)
        self.trial.start()

    def end(self, *, kill: bool = False) -> None:
        process = self.trial.process
        assert process is not None
        if kill:
            self.trial.kill()
        else:
            process.terminate()
            assert self.trial.ended() == 0, self.trial.log_tail()

    def clean(self) -> None:
        """Everything comes to the same again."""
        report = verify(self.state)
        assert report.ok, report.wrong
        found = redecide(self.state)
        assert found.ok, found.wrong
        assert found.check == "redecide"
        assert found.looked_at == len(steps_of(self.state)[1])


SPLIT = {"type": "forward_split", "symbol": "AAPL", "new_rate": "2", "old_rate": "1"}


def test_what_expired_before_a_later_start_is_known_to_the_run_again(tmp_path: Path) -> None:
    template = Template(options=True)
    with contextlib.closing(template):
        life = Life(tmp_path, template, "2026-08-07 15:50")
        life.quotes()
        life.call("account.create", name="ann", type="margin", cash="1000000", options_level=3)
        listed = life.call("option.contracts", underlying_symbols=["SPY"], limit=40)
        symbols = [contract["symbol"] for contract in listed["items"]]
        for symbol in symbols[::5]:
            life.order("ann", symbol=symbol)
            life.order("ann", symbol=symbol, side="sell", type="limit", limit_price="0.01")
        life.quotes()
        life.again("2026-08-11 10:00")
        life.order("ann", symbol="AAPL")
        life.quotes()
        life.again("2026-08-12 10:00", kill=False)
        life.end()
        assert any(type(event).__name__.startswith("Option") for event in _events(life.state))
        life.clean()


def test_what_was_searched_outside_of_turns_comes_to_the_same_again(tmp_path: Path) -> None:
    """A large account short of money: its orders, reads and looks wait for searches in a process of their own."""
    dice = Random(3)
    template = Template(options=True)
    with contextlib.closing(template):
        life = Life(tmp_path, template, "2026-08-05 11:00")
        life.quotes()
        life.call("account.create", name="ann", type="margin", cash="1000000", options_level=4)
        listed = life.call("option.contracts", underlying_symbols=["SPY"], limit=200)
        symbols = [contract["symbol"] for contract in listed["items"]]
        for number, symbol in enumerate(dice.sample(symbols, 24)):
            life.order("ann", symbol=symbol, side=("buy", "sell")[number % 2], qty=str(dice.randint(1, 4)))
        life.quotes()
        for left in (20_000, 5_000, 0):
            free = float(life.call("account.get", account="ann")["withdrawable"])
            if free > left:
                life.call("account.withdraw", account="ann", amount=f"{free - left:.2f}")
            for symbol in dice.sample(symbols, 6):
                life.order("ann", symbol=symbol, side="sell")
                life.call("order.preview", account="ann", symbol=symbol, side="buy", qty="1", type="market")
            life.quotes()
        life.again("2026-08-05 15:50")
        life.quotes()
        for symbol in dice.sample(symbols, 6):
            life.order("ann", symbol=symbol, side="sell")
        searches = life.call("health.get")["engine"]["searches"]
        life.again("2026-08-06 10:00")
        life.quotes()
        life.end()
        assert searches
        found = [step.input for group in groups_in(life.state)[1] for step in decode_steps(group.body)]
        assert any(isinstance(one, FoundInput) for one in found)
        life.clean()


def test_a_day_that_ended_while_the_daemon_was_down_is_ended_again_by_the_same_prices(
    tmp_path: Path, template: Template
) -> None:
    life = Life(tmp_path, template, "2026-08-03 15:00")
    life.quotes()
    for name in ("ann", "bob"):
        life.call("account.create", name=name, type="margin", cash="10000")
        life.order(name, symbol="AAPL", qty="60")
        life.order(name, symbol="MSFT", type="limit", limit_price="1.00", time_in_force="gtc")
    life.quotes()
    life.again("2026-08-05 10:00")
    life.quotes()
    life.again("2026-08-05 21:00")
    life.order("ann", symbol="AAPL", side="sell", qty="20")
    life.end()
    assert sum(isinstance(event, e.DayEnded) for event in _events(life.state)) >= 4
    life.clean()


@pytest.mark.parametrize("groups", [2, 3])
def test_a_death_while_a_split_goes_round_comes_to_the_same(tmp_path: Path, template: Template, groups: int) -> None:
    life = Life(tmp_path, template, "2026-08-03 15:00")
    life.quotes()
    for number in range(40):
        life.call("account.create", name=f"n{number}", type="margin", cash="100000")
        life.order(f"n{number}", symbol="AAPL", qty="10")
        life.order(f"n{number}", symbol="AAPL", type="limit", limit_price="1.00", time_in_force="gtc")
    life.quotes()
    life.call("corporate_action.announce", id="s", ex_date="2026-08-05", **SPLIT)
    life.end(kill=True)
    life.at(when("2026-08-04 20:00") - 1_000_000_000)
    life.trial.start(MBTD_FAIL_POINT=f"commit.after:{groups}")
    assert life.trial.ended() != 0
    applied = sum(isinstance(event, e.CorporateActionApplied) for event in _events(life.state))
    assert applied > 0
    life.again("2026-08-04 20:01")
    life.again("2026-08-05 10:00")
    life.quotes()
    life.end()
    assert sum(isinstance(event, e.CorporateActionApplied) for event in _events(life.state)) == 40
    life.clean()


def _events(state: Path) -> list[Any]:
    return [event for step in steps_of(state)[1] for section in step.sections for event in section.events]


@pytest.mark.parametrize("seed", range(3))
def test_random_lives_come_to_the_same_and_an_altered_decision_does_not(
    tmp_path: Path, template: Template, seed: int
) -> None:
    dice = Random(f"lives {seed}")
    life = Life(tmp_path, template, "2026-08-03 09:45")
    now = when("2026-08-03 09:45")
    names: list[str] = []
    for number in range(6):
        life.quotes(60)
        if len(names) < 6:
            names.append(f"n{number}")
            life.call("account.create", name=names[-1], type="margin", cash=str(dice.choice((5_000, 100_000))))
        for _ in range(8):
            _do_something(life, dice, names)
        life.quotes(60)
        if dice.random() < 0.3:
            day = dice.choice(("2026-08-03", "2026-08-05", "2026-08-06"))
            with contextlib.suppress(RpcRefusal):
                ratio = dice.choice(("2", "3"))
                life.call(
                    "corporate_action.announce", id=f"s{number % 2}", ex_date=day, **SPLIT | {"new_rate": ratio}
                )
        now += dice.choice((60, 3_600, 7 * 3_600, 26 * 3_600, 75 * 3_600)) * 10**9
        life.again(now, kill=dice.random() < 0.7)
    life.end()
    life.clean()
    _alter(life.state)
    assert not redecide(life.state).ok


@pytest.mark.parametrize("lost", [1, 2])
def test_a_stretch_whose_tape_is_gone_is_passed_over_up_to_the_next_start_and_named(
    tmp_path: Path, template: Template, lost: int
) -> None:
    life = Life(tmp_path, template, "2026-08-03 09:45")
    life.call("account.create", name="ann", type="margin", cash="100000")
    symbols = ("AAPL", "MSFT", "NVDA")
    for number, symbol in enumerate(symbols):
        if number:
            life.again(f"2026-08-0{3 + number} 09:45")
        life.quotes()
        life.order("ann", symbol=symbol)
        life.quotes()
    life.end()
    life.clean()
    # One run, one file: what could not be written is missing as a whole.
    (path,) = [path for day, _, path in tape_files(life.state / "tape") if day == 20260803 + lost]
    path.unlink()
    found = redecide(life.state)
    assert found.ok, found.wrong
    runs = [step for step in steps_of(life.state)[1] if isinstance(step.input, StartInput)]
    begins = [step.seq_first for step in runs] + [steps_of(life.state)[1][-1].seq_last + 1]
    named = [int(number) for number in re.findall(r"from event (\d+) to the next start", found.check)]
    assert len(named) == 1
    assert begins[lost] <= named[0] < begins[lost + 1]
    assert 0 < found.looked_at < len(steps_of(life.state)[1])
    _alter(life.state, symbols[lost])
    assert redecide(life.state).ok, "nothing can be said of what was passed over"
    _alter(life.state, symbols[(lost + 1) % 3])
    assert not redecide(life.state).ok, "what comes before and behind is compared as ever"


def _do_something(life: Life, dice: Random, names: list[str]) -> None:
    what: dict[str, Any] = {"symbol": dice.choice(("AAPL", "MSFT", "NVDA")), "qty": str(dice.choice((1, 10, 40))),
                            "side": dice.choice(("buy", "sell"))}  # fmt: skip
    kind = dice.randrange(5)
    if kind == 0:
        what |= {"type": "limit", "limit_price": dice.choice(("1.00", "150.00", "400.00")), "time_in_force": "gtc"}
    elif kind == 1:
        what |= {"type": "trailing_stop", "trail_percent": "1", "side": "sell"}
    elif kind == 2:
        what |= {"order_class": "bracket", "side": "buy", "take_profit": {"limit_price": "900.00"},
                 "stop_loss": {"stop_price": "2.00"}}  # fmt: skip
    life.order(dice.choice(names), **what)
    if dice.random() < 0.1:
        on = dice.random() < 0.5
        with contextlib.suppress(RpcRefusal):
            life.call("admin.pause" if on else "admin.resume", switch="new_orders_disabled", reason="test")


def _alter(state: Path, of: str = "") -> None:
    """One order in the middle of the journal (or the first of a symbol) is of another; which file has it is no matter."""
    _, groups = groups_in(state)
    bodies = [group.body for group in groups if group.body and of.encode() in group.body]
    body, step = next(
        (body, step)
        for body in (bodies if of else bodies[len(bodies) // 3 :])
        for step in decode_steps(body)
        if any(
            isinstance(event, e.OrderAccepted) and of in event.symbol
            for section in step.sections
            for event in section.events
        )
    )
    whole = encode(step)
    at = body.index(whole)
    symbol = next(name for name in (b"AAPL", b"MSFT", b"NVDA") if name in whole)
    changed = body[:at] + whole.replace(symbol, b"GOOG") + body[at + len(whole) :]
    for path in (state / FILE_NAME, state / DIRECTORY / FILE_NAME):
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE journal SET body = ? WHERE body = ?", (changed, body))
            db.commit()
