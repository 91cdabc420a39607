"""A phase that begins and messages of the same instant: what meets whom (architecture §3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.commands import PlaceOrder
from tests.oracle.rig import SECOND, START, Do, Wait, events_of, feed, open_engine, quote, session, trade

HOUR = 3_600 * SECOND
AT = START + 7 * HOUR
LIMIT = PlaceOrder(symbol="AAA", qty="1", side="buy", type="limit", time_in_force="gtc", limit_price="9.90")


def fills(script: list[Any]) -> list[Any]:
    engine = open_engine([("margin", "alpaca-parity", "4000")])
    for item in [*script, Wait(AT + SECOND)]:
        feed(engine, item)
    return [(event.price, event.reason) for event in events_of(engine, 1) if isinstance(event, e.OrderFilled)]


def morning(first: Any) -> list[Any]:
    """A limit that rests behind the market, or has noted that it waits: then the core session begins at ``AT``."""
    return [
        session("core", AT - 4 * SECOND),
        quote("AAA", 999, 1001, AT - 4 * SECOND),
        Do(1, LIMIT, AT - 3 * SECOND),
        session("overnight", AT - 2 * SECOND),
        *first,
        session("core", AT),
    ]


NOTED = [quote("AAA", 985, 990, AT - SECOND), quote("AAA", 999, 1001, AT - SECOND)]


@pytest.mark.parametrize("first", [[], NOTED], ids=["nothing to note", "noted"])
def test_a_quote_of_the_instant_in_which_the_session_begins_meets_what_waits_for_it(first: list[Any]) -> None:
    gone = [quote("AAA", 985, 990, AT), quote("AAA", 999, 1001, AT)]
    assert [reason for _, reason in fills([*morning(first), *gone])] != []
    assert fills([*morning(first), quote("AAA", 999, 1001, AT)]) == []


def realistic(script: list[Any]) -> list[Any]:
    engine = open_engine([("margin", "brisk", "4000")])
    for item in [*script, Wait(AT + SECOND)]:
        feed(engine, item)
    return [(event.price, event.reason) for event in events_of(engine, 1) if isinstance(event, e.OrderFilled)]


@pytest.mark.parametrize("first", [[], NOTED], ids=["nothing to note", "noted"])
def test_a_print_of_that_instant_does_so_too(first: list[Any]) -> None:
    assert realistic([*morning(first), trade("AAA", 989, AT)]) == [(99_000, "print_through")]


def test_an_order_that_was_never_live_goes_live_after_the_messages_of_the_instant() -> None:
    script = [
        session("closed", AT - 4 * SECOND),
        quote("AAA", 999, 1001, AT - 4 * SECOND),
        Do(1, LIMIT, AT - 3 * SECOND),
        session("core", AT),
        quote("AAA", 985, 990, AT),
        quote("AAA", 999, 1001, AT),
    ]
    assert fills(script) == []
    assert [reason for _, reason in fills(script[:-1])] != []
