"""Assets as Alpaca shows them: how they are marked, what margin they ask (alpaca-api §4.8)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from actors.book.instruments import Instrument, Instruments
from actors.book.units import parse_price, parse_time
from actors.house.decide import Defaults
from mbtd.core import Core
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from mbtd.market.feed import Feed
from mbtd.pricing.inputs import PricingInputs
from mbtd.service.assets import Assets
from mbtd.service.options import OptionQueries

CALENDAR = Calendar()
MORNING = parse_time("2023-08-03T14:00:00Z")


def market(symbols: list[str], said: dict[str, tuple[str, ...]] | None = None) -> tuple[Assets, Any]:
    """A market with these instruments, as a recording names them, and its world."""
    table = Instruments(instrument_of(symbol, CALENDAR) for symbol in symbols)
    world = SimpleNamespace(instruments=table, session=CALENDAR.session_at(MORNING))
    engine = SimpleNamespace(world=world, defaults=Defaults())
    core = cast(Core, SimpleNamespace(engine=engine, now=lambda: MORNING))
    feed = cast(Feed, SimpleNamespace(attributes=lambda symbol: (said or {}).get(symbol, ())))
    return Assets(core, feed, OptionQueries(core, feed, PricingInputs)), world


def stock(symbol: str) -> Instrument:
    return instrument_of(symbol, CALENDAR)


def test_a_recording_marks_what_it_has_contracts_on() -> None:
    assets, _ = market(["SPY", "AAPL", "GOOG", "SPY230803C00450000", "GOOG230818P00130000"])
    assert assets.attributes(stock("SPY")) == ["has_options", "options_late_close"]
    assert assets.attributes(stock("GOOG")) == ["has_options"]
    assert assets.attributes(stock("AAPL")) == []
    assert assets.attributes(stock("SPY230803C00450000")) == []


def test_what_the_source_says_stays() -> None:
    assets, _ = market(["AAPL", "MSFT", "AAPL230818C00190000"], {"AAPL": ("ipo",), "MSFT": ("has_options", "ipo")})
    assert assets.attributes(stock("AAPL")) == ["has_options", "ipo"]
    assert assets.attributes(stock("MSFT")) == ["has_options", "ipo"]


def test_contracts_that_are_over_mark_nothing() -> None:
    assets, world = market(["AAPL", "AAPL230803C00190000", "AAPL1230818C00190000"])
    assert assets.attributes(stock("AAPL")) == ["has_options"]
    world.session = CALENDAR.session_at(MORNING + 24 * 3_600 * 10**9)
    assert assets.attributes(stock("AAPL")) == []
    world.instruments.update([replace(stock("AAPL230818C00200000"), symbol="AAPL230818C00200000")])
    assert assets.attributes(stock("AAPL")) == ["has_options"]


@pytest.mark.parametrize(
    ("dollars", "leverage", "marginable", "long", "short"),
    [
        ("250", 1, True, "30", "30"),
        ("6.0001", 1, True, "30", "83.33"),
        ("6", 1, True, "50", "83.33"),
        ("2.5", 1, True, "50", "100"),
        ("2.4999", 1, True, "100", "100"),
        ("2", 1, True, "100", "125"),
        ("250", 2, True, "50", "60"),
        ("250", 3, True, "75", "90"),
        ("250", 1, False, "100", "30"),
    ],
)
def test_margin_rates_are_those_of_the_house(
    dollars: str, leverage: int, marginable: bool, long: str, short: str
) -> None:
    """The table of margin-and-options §2.3."""
    assets, _ = market(["AAPL"])
    terms = {"previous_close": parse_price(dollars), "leverage": leverage, "marginable": marginable}
    shown = assets.render(replace(stock("AAPL"), **terms))
    assert (shown["margin_requirement_long"], shown["margin_requirement_short"]) == (long, short)
    assert shown["maintenance_margin_requirement"] == float(long)


def test_what_has_no_price_or_is_no_stock_has_no_rate() -> None:
    assets, _ = market(["AAPL", "AAPL230818C00190000"])
    assert assets.render(stock("AAPL"))["maintenance_margin_requirement"] is None
    shown = assets.render(replace(stock("AAPL230818C00190000"), previous_close=50_000))
    assert (shown["margin_requirement_long"], shown["margin_requirement_short"]) == (None, None)


def test_a_contract_that_has_ended_is_inactive() -> None:
    assets, world = market(["AAPL", "AAPL230803C00190000"])
    contract = stock("AAPL230803C00190000")
    assert (assets.render(contract)["status"], assets.render(contract)["tradable"]) == ("active", True)
    world.session = CALENDAR.session_at(MORNING + 24 * 3_600 * 10**9)
    assert (assets.render(contract)["status"], assets.render(contract)["tradable"]) == ("inactive", False)
