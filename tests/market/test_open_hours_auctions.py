"""A market that never closes holds its auctions at the exchange's hours: orders for them fill, contracts settle by them."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import NS_PER_SECOND, parse_time
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import Auction, FeedState, Session, TapeMessage
from mbtd.market.calendar import TradeDays
from mbtd.market.synthetic.market import SyntheticMarket, SyntheticSettings
from mbtd.market.synthetic.universe import INDEXES, STOCKS

SETTINGS = SyntheticSettings(quotes_per_second=40)
OPENING, CLOSING = parse_time("2026-11-24T14:30:00Z"), parse_time("2026-11-24T21:00:00Z")


def auctions(messages: list[TapeMessage]) -> list[Auction]:
    return [message for message in messages if isinstance(message, Auction)]


def during(at: int, seconds: int) -> list[TapeMessage]:
    return SyntheticMarket(7, at, SETTINGS).advance(at + seconds * NS_PER_SECOND)


@pytest.mark.parametrize(("at", "kind"), [(OPENING, "open"), (CLOSING - 1, "close")])
def test_every_stock_and_index_has_an_official_print_at_the_hour(at: int, kind: str) -> None:
    messages = during(at - 2 * NS_PER_SECOND, 5)
    found = auctions(messages)
    assert {(message.kind, message.at) for message in found} == {(kind, at)}
    assert sorted(message.symbol for message in found) == sorted(spec.symbol for spec in (*STOCKS, *INDEXES))
    times = [message.at for message in messages]
    assert times == sorted(times)


def test_a_weekend_has_them_too_and_other_hours_have_none() -> None:
    sunday = parse_time("2026-11-22T14:29:59Z")
    assert len(auctions(during(sunday, 2))) == len(STOCKS) + len(INDEXES)
    assert auctions(during(parse_time("2026-11-24T15:00:00Z"), 60)) == []
    assert auctions(during(OPENING, 2)) == []  # it began at that very instant: nothing was quoted before


def began(start: int, settings: SyntheticSettings) -> tuple[Engine, SyntheticMarket]:
    """An engine on a market's first second, with an account."""
    market = SyntheticMarket(7, start, settings)
    engine = Engine(b"s" * 32, Profiles(), instruments=market.reference(), days=TradeDays(market.calendar))
    action = CreateAccount(name="a", cash="100000", profile="realistic")
    first = market.advance(start + NS_PER_SECOND)
    for message in [*first[:1], FeedState("up", start, "synthetic", received_at=start), *first[1:]]:
        engine.tape(message)
    engine.command(0, action, engine.world.now, Envelope(), Issued(b"i" * 32))
    return engine, market


def go(engine: Engine, market: SyntheticMarket, until: int) -> None:
    for message in market.advance(until):
        engine.run_timers_through(message.at - 1)
        engine.tape(message)


@pytest.mark.parametrize(("in_force", "at", "minutes"), [("opg", OPENING, 3), ("cls", CLOSING, 11)])
def test_an_order_for_an_auction_fills_in_it(in_force: str, at: int, minutes: int) -> None:
    engine, market = began(at - minutes * 60 * NS_PER_SECOND, SyntheticSettings(quotes_per_second=4, options=False))
    order = PlaceOrder(symbol="SPY", side="buy", qty="10", type="market", time_in_force=in_force)
    assert isinstance(engine.command(1, order, engine.world.now, Envelope()), Placed)
    go(engine, market, at + NS_PER_SECOND)
    facts = [event for step in engine.steps for section in step.sections for event in section.events]
    (fill,) = [event for event in facts if isinstance(event, e.OrderFilled)]
    assert fill.reason == {"opg": "auction_open", "cls": "auction_close"}[in_force]
    assert engine.books[1].positions["SPY"].qty == 10 * 10**9


def test_contracts_that_settle_on_the_date_have_its_official_close() -> None:
    engine, market = began(CLOSING - 2 * NS_PER_SECOND, SETTINGS)
    go(engine, market, CLOSING + NS_PER_SECOND)
    session = engine.world.session
    assert isinstance(session, Session)
    assert session.trade_date == 20261125
    closes = {key.split("/")[2] for key in engine.house.officials if key.startswith("20261124/close/")}
    assert {"SPX", "SPY"} <= closes
    assert not [key for key in engine.house.officials if key.startswith("20261125/close/")]
