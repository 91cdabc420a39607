"""How assets are marked: by the source, and by the contracts that are there (alpaca-api §4.8)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from msgspec.structs import replace

from actors.book.instruments import Instrument, Instruments
from actors.book.units import parse_time
from mbtd.core import Core
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from mbtd.market.feed import Feed
from mbtd.service.attributes import Attributes

CALENDAR = Calendar()
MORNING = parse_time("2023-08-03T14:00:00Z")


def market(symbols: list[str], said: dict[str, tuple[str, ...]] | None = None) -> tuple[Attributes, Any]:
    """A market with these instruments, as a recording names them, and its world."""
    table = Instruments(instrument_of(symbol, CALENDAR) for symbol in symbols)
    world = SimpleNamespace(instruments=table, session=CALENDAR.session_at(MORNING))
    core = cast(Core, SimpleNamespace(engine=SimpleNamespace(world=world), now=lambda: MORNING))
    feed = cast(Feed, SimpleNamespace(attributes=lambda symbol: (said or {}).get(symbol, ())))
    return Attributes(core, feed), world


def stock(symbol: str) -> Instrument:
    return instrument_of(symbol, CALENDAR)


def test_a_recording_marks_what_it_has_contracts_on() -> None:
    attributes, _ = market(["SPY", "AAPL", "GOOG", "SPY230803C00450000", "GOOG230818P00130000"])
    assert attributes.of(stock("SPY")) == ["has_options", "options_late_close"]
    assert attributes.of(stock("GOOG")) == ["has_options"]
    assert attributes.of(stock("AAPL")) == []
    assert attributes.of(stock("SPY230803C00450000")) == []


def test_what_the_source_says_stays() -> None:
    attributes, _ = market(
        ["AAPL", "MSFT", "AAPL230818C00190000"], {"AAPL": ("ipo",), "MSFT": ("has_options", "ipo")}
    )
    assert attributes.of(stock("AAPL")) == ["has_options", "ipo"]
    assert attributes.of(stock("MSFT")) == ["has_options", "ipo"]


def test_contracts_that_are_over_mark_nothing() -> None:
    attributes, world = market(["AAPL", "AAPL230803C00190000", "AAPL1230818C00190000"])
    assert attributes.of(stock("AAPL")) == ["has_options"]
    world.session = CALENDAR.session_at(MORNING + 24 * 3_600 * 10**9)
    assert attributes.of(stock("AAPL")) == []
    world.instruments.update([replace(stock("AAPL230818C00200000"), symbol="AAPL230818C00200000")])
    assert attributes.of(stock("AAPL")) == ["has_options"]
