"""The synthetic feed on trio's virtual clock: paced by the wall clock, whose jumps are survived."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import trio

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_SECOND, parse_time
from actors.market.messages import FeedState, Quote, Session
from mbtd.market.feed import Feed
from mbtd.market.feeds.synthetic import SyntheticFeed
from mbtd.market.synthetic.market import SyntheticMarket, SyntheticSettings

from .conftest import Sink

START = parse_time("2026-11-24T15:00:00Z")
SETTINGS = SyntheticSettings(options=False, quotes_per_second=100)


class Wall:
    def __init__(self) -> None:
        self.jumped = 0

    def __call__(self) -> int:
        return START + self.jumped + round(trio.current_time() * NS_PER_SECOND)


@pytest.mark.trio
async def test_messages_come_when_they_are_due(sink: Sink, autojump_clock: object) -> None:
    wall = Wall()
    feed: Feed = SyntheticFeed(7, SETTINGS, wall_ns=wall)
    begun = wall()
    assert feed.status().state == "connecting"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(5.01)
        now = wall()
        assert now - sink.messages[-1].at < NS_PER_SECOND // 2
        assert all(message.at <= now for message in sink.messages)
        assert (feed.status().state, feed.status().messages) == ("live", len(sink.messages))
        nursery.cancel_scope.cancel()
    assert isinstance(sink.messages[0], Session)
    assert sink.messages[1] == FeedState("up", begun, "synthetic", received_at=begun)
    expected = SyntheticMarket(7, begun, SETTINGS).advance(now)
    assert sink.messages[2:][: len(expected) - 1] == expected[1:]


@pytest.mark.trio
async def test_a_jump_of_the_clock_is_a_gap_and_not_a_flood(sink: Sink, autojump_clock: object) -> None:
    wall = Wall()
    feed = SyntheticFeed(7, SETTINGS, wall_ns=wall)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(1)
        wall.jumped = 3600 * NS_PER_SECOND
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    place = next(n for n, m in enumerate(sink.messages) if isinstance(m, FeedState) and m.state == "gap")
    after = sink.messages[place + 1 :]
    assert isinstance(after[0], Session)
    assert len(after) < 400
    assert all(message.at >= START + 3600 * NS_PER_SECOND for message in after)
    times = [message.at for message in sink.messages]
    assert times == sorted(times)


@pytest.mark.trio
async def test_a_late_beginning_begins_at_the_present(sink: Sink, autojump_clock: object) -> None:
    wall = Wall()
    feed = SyntheticFeed(7, SETTINGS, wall_ns=wall)
    await trio.sleep(60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert min(message.at for message in sink.messages) >= START + 60 * NS_PER_SECOND
    assert any(isinstance(message, Quote) for message in sink.messages)
    assert sink.instruments


@pytest.mark.trio
async def test_the_market_goes_over_to_the_units_of_a_split_at_its_instant(
    sink: Sink, autojump_clock: object
) -> None:
    wall = Wall()
    feed = SyntheticFeed(7, SyntheticSettings(quotes_per_second=400), wall_ns=wall)
    instant = START + 2 * NS_PER_SECOND
    feed.follow(
        lambda at: {"AAPL": Fraction(4), "MSFT": Fraction(1, 8), "F": Fraction(1000)} if at >= instant else {}
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(1.9)
        listed = {each.symbol for each in sink.instruments}
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    for symbol, ratio in (("AAPL", 4.0), ("MSFT", 0.125), ("NVDA", 1.0), ("F", 1.0)):
        quotes = [m for m in sink.messages if isinstance(m, Quote) and m.symbol == symbol and m.bid]
        before = [quote.bid for quote in quotes if quote.at < instant]
        after = [quote.bid for quote in quotes if quote.at >= instant]
        assert before
        assert after
        assert before[-1] / after[0] == pytest.approx(ratio, rel=0.02), symbol
    gap = next(m for m in sink.messages if isinstance(m, FeedState) and m.state == "gap")
    assert instant <= gap.at < instant + NS_PER_SECOND // 10
    assert all(a.at <= b.at for a, b in pairwise(sink.messages))
    newest = {each.symbol: each for each in sink.instruments}
    strikes = [each.strike for each in newest.values() if each.active and each.underlying == "AAPL"]
    assert strikes
    assert max(strikes) < 1_500_000, "dollars of before"
    gone = [each for symbol, each in newest.items() if symbol in listed and each.underlying == "AAPL"]
    assert [each for each in gone if each.strike > 2_500_000 and each.active] == []


@pytest.mark.trio
async def test_figures_of_contracts_follow_the_date_and_the_units(sink: Sink, autojump_clock: object) -> None:
    wall = Wall()
    feed = SyntheticFeed(7, SyntheticSettings(quotes_per_second=10), wall_ns=wall)
    split = START + 2 * NS_PER_SECOND
    feed.follow(lambda at: {"AAPL": Fraction(4)} if at >= split else {})

    def apple() -> list[Instrument]:
        listed = [each for each in feed.reference() if each.underlying == "AAPL"]
        assert {each.open_interest for each in listed} == {-1}
        return [each for each in feed.with_figures(listed) if each.open_interest >= 0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(1)
        before = apple()
        await trio.sleep(2)
        after = apple()
        wall.jumped = 24 * 3_600 * NS_PER_SECOND
        await trio.sleep(1)
        following = apple()
        nursery.cancel_scope.cancel()
    assert max(each.strike for each in after) < min(each.strike for each in before)
    assert {each.previous_close_date for each in (*before, *after)} == {20261123}
    assert {each.previous_close_date for each in following} == {20261124}
