"""The engine against the naive broker, input by input, on random sessions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from actors.book import events as e
from actors.inputs import Step
from tests.oracle.naive import Naive
from tests.oracle.rig import SECOND, Wait, feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, script_of, scripts


def told(event: Any) -> tuple[Any, ...]:
    """An event in the naive broker's words."""
    match event:
        case e.OrderRejected() | e.CommandRefused():
            return ("refused",)
        case e.OrderAccepted():
            return (
                "accepted",
                event.order_no,
                event.live_at,
                event.expires_at,
                event.reserved_money,
                event.reserved_qty,
            )
        case e.OrderActivated():
            return ("live", event.order_no, event.collar_price)
        case e.OrderTriggered():
            return ("triggered", event.order_no, event.live_at)
        case e.OrderFilled():
            return (
                "filled", event.order_no, event.qty, event.price, event.reason, event.reserved_money,
                event.reserved_qty, event.status == "filled",
            )  # fmt: skip
        case e.PositionChanged():
            return ("position", event.symbol, event.qty, event.cash)
        case e.ActivityBooked():
            return ("cash", event.cash)
        case e.OrderCancelPending():
            return ("cancelling", event.order_no, event.effective_at)
        case e.OrderCanceled():
            return ("canceled", event.order_no, event.reason)
        case e.OrderExpired():
            return ("expired", event.order_no, "")
        case e.OrderCancelRejected():
            return ("late cancel", event.order_no)
        case e.OrderReplaceRejected():
            return ("late replace", event.order_no)
        case e.OrderReplacePending():
            return ("replacing", event.order_no, event.effective_at, event.reserved_money, event.reserved_qty)
        case e.OrderReplaced():
            terms = event.terms
            return ("replaced", event.order_no, terms.order_no, terms.reserved_money, terms.reserved_qty)
        case e.MarketGapped():
            return ("gap",)
        case e.AccountConfigured():
            return ("configured",)
        case e.AccountClosed():
            return ("closed",)
        case _:
            raise AssertionError(event)


def logs(steps: list[Step]) -> dict[int, list[Any]]:
    out: dict[int, list[Any]] = {number: [] for number in range(1, len(ACCOUNTS) + 1)}
    for step in steps:
        for section in step.sections:
            out[section.account_no].extend(map(told, section.events))
    return out


def same_state(engine: Any, naive: Naive) -> None:
    for number, a in naive.accounts.items():
        book = engine.books[number]
        assert book.cash == a.cash
        assert {s: p.qty for s, p in book.positions.items()} == {s: q for s, q in a.positions.items() if q}
        live = {o.no: (o.filled, o.paid, o.reserved_money, o.reserved_qty) for o in a.orders if not o.over}
        assert live == {
            no: (o.filled_qty, o.filled_money, o.reserved_money, o.reserved_qty) for no, o in book.orders.items()
        }
        assert book.reserved_money == naive.reserved(a)
        assert not book.quarantined


@profile(800)
@given(scripts(20, 100))
def test_the_engine_does_what_the_naive_broker_does(script: list[Any]) -> None:
    judge(script)


@pytest.mark.parametrize(
    ("seed", "length"),
    [
        (30610, 85),  # a one-sided quote joins a limit that had stood behind the market
        (103112, 94),  # a halt that came and went while the market was closed
        (105123, 77),  # a halt that was told after the close
        (105412, 75),  # a print through a limit behind the market, then one at its price
        (204257, 88),  # a gap while a short sale rests above the bid
        (204738, 53),  # a change that leaves a part of a share
        (86202, 80),  # a lagging feed, which costs nobody his place
    ],
)
def test_scripts_in_which_they_once_differed(seed: int, length: int) -> None:
    judge(script_of(seed, length))


def judge(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    naive = Naive(engine, ACCOUNTS)
    engine.take_steps()
    for item in [*script, Wait(script[-1].at + 100 * SECOND if hasattr(script[-1], "at") else script[-1].until)]:
        feed(engine, item)
        naive.feed(item)
        theirs = logs(engine.take_steps())
        for number, log in naive.log.items():
            assert log == theirs[number], (number, item)
            log.clear()
        same_state(engine, naive)
