"""The interest follows orders, positions and listeners, within its bounds, and forgets what nobody needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.events import OrderRejected
from actors.book.instruments import Instrument
from actors.engine import Engine
from actors.inputs import Section, Step, TapeInput
from mbtd.interest import RELEASE_AFTER_NS, Interest
from mbtd.market.assets import asset_id
from mbtd.market.feed import Feed

CALL = "AAPL261218C00150000"
STOCKS = ["AAPL", "MSFT", "NVDA", "SPY", "QQQ"]


class Subscriptions:
    """The part of a feed that an interest steers."""

    def __init__(self) -> None:
        self.now: set[str] = set()

    def subscribe(self, symbols: Collection[str]) -> None:
        assert not self.now.intersection(symbols)
        self.now.update(symbols)

    def unsubscribe(self, symbols: Collection[str]) -> None:
        assert self.now.issuperset(symbols)
        self.now.difference_update(symbols)


class Rig:
    def __init__(self, max_symbols: int = 3, max_contracts: int = 1) -> None:
        instruments = [Instrument(asset_id(symbol), symbol) for symbol in STOCKS]
        instruments.append(Instrument(asset_id(CALL), CALL, "us_option", underlying="AAPL"))
        self.engine = Engine(bytes(32), instruments=instruments)
        self.feed = Subscriptions()
        self.listened: set[str] = set()
        self.time = 0
        self.interest = Interest(
            self.engine,
            cast(Feed, self.feed),
            lambda: self.listened,
            lambda: self.time,
            max_symbols=max_symbols,
            max_contracts=max_contracts,
        )


@pytest.mark.trio
async def test_what_is_listened_to_stays_and_what_is_not_goes_after_a_while(autojump_clock: Any) -> None:
    rig = Rig()
    rig.interest.ask("AAPL")
    rig.listened = {"MSFT"}
    await rig.interest.sweep()
    assert rig.feed.now == {"AAPL", "MSFT"}
    rig.time = RELEASE_AFTER_NS - 1
    rig.interest.ask("AAPL")
    rig.time = RELEASE_AFTER_NS
    await rig.interest.sweep()
    assert rig.feed.now == {"AAPL", "MSFT"}
    rig.listened = set()
    await rig.interest.sweep()
    rig.time += RELEASE_AFTER_NS
    await rig.interest.sweep()
    assert rig.feed.now == set()
    assert rig.interest.symbols == 0


@pytest.mark.trio
async def test_the_bound_holds_and_need_goes_before_curiosity(autojump_clock: Any) -> None:
    rig = Rig(max_symbols=2)
    rig.interest.ask("AAPL")
    rig.interest.ask("MSFT")
    rig.interest.ask("NVDA")
    assert rig.feed.now == {"AAPL", "MSFT"}
    rig.listened = {"NVDA"}
    await rig.interest.sweep()
    assert rig.feed.now == {"MSFT", "NVDA"}
    assert rig.interest.left_out == 0
    rig.listened = {"NVDA", "SPY", "QQQ"}
    await rig.interest.sweep()
    assert (len(rig.feed.now), rig.interest.left_out) == (2, 1)
    rig.listened = {"SPY", "QQQ"}
    await rig.interest.sweep()
    assert (rig.feed.now, rig.interest.left_out) == ({"SPY", "QQQ"}, 0)


@pytest.mark.trio
async def test_contracts_have_their_own_room_and_bring_their_underlying(autojump_clock: Any) -> None:
    rig = Rig(max_symbols=1)
    rig.listened = {CALL}
    await rig.interest.sweep()
    assert rig.feed.now == {CALL, "AAPL"}
    assert (rig.interest.symbols, rig.interest.contracts) == (1, 1)


@pytest.mark.trio
async def test_unknown_symbols_wait_for_the_reference_data(autojump_clock: Any) -> None:
    rig = Rig()
    rig.listened = {"NEW"}
    await rig.interest.sweep()
    assert (rig.feed.now, rig.interest.unknown) == (set(), 1)
    rig.engine.reference([Instrument(asset_id("NEW"), "NEW")], 1)
    await rig.interest.sweep()
    assert (rig.feed.now, rig.interest.unknown) == ({"NEW"}, 0)


def test_an_order_refused_for_want_of_a_price_is_a_question() -> None:
    rig = Rig()
    refused = OrderRejected("id", "NVDA", "buy", "market", "1", "no_market_price")
    other = OrderRejected("id", "SPY", "buy", "market", "1", "insufficient_buying_power")
    rig.interest.note([Step(1, 1, 0, 1, TapeInput(), (Section(1, 1, (refused, other)),))])
    assert rig.feed.now == {"NVDA"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "settle"]), st.sets(st.sampled_from([*STOCKS, CALL, "NONE"])), st.booleans()
        )
    ),
    st.integers(1, 4),
)
def test_never_more_than_allowed_and_never_less_than_fits(moves: list[tuple[str, set[str], bool]], most: int) -> None:
    rig = Rig(max_symbols=most)
    for kind, symbols, late in moves:
        rig.time += RELEASE_AFTER_NS if late else 1
        if kind == "settle":
            kept = rig.feed.now & symbols
            rig.interest.settle(symbols)
            assert kept <= rig.feed.now
            known = symbols - {"NONE", CALL}
            assert len(rig.feed.now & known) == min(len(known), most)
            assert rig.interest.left_out == max(0, len(known) - most)
        else:
            for symbol in sorted(symbols):
                rig.interest.ask(symbol)
        stocks = rig.feed.now - {CALL}
        assert len(stocks) <= most
        assert (rig.interest.symbols, rig.interest.contracts) == (len(stocks), int(CALL in rig.feed.now))
