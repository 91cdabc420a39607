"""Which feed the configuration asks for, made ready. Heavy imports happen only for the feed that is used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.acting import units_at
from mbtd.config import Config
from mbtd.market.feed import Feed

if TYPE_CHECKING:
    from actors.book.instruments import Instrument
    from actors.market.world import World
    from mbtd.market.alpaca_credentials import AlpacaCredentials
    from mbtd.market.alpaca_reference import AlpacaReference
    from mbtd.market.calendar import Calendar
    from mbtd.market.reference import Listed, ReferenceKeeper

CALENDAR_COMPARED_DAYS: Final = 14


class FeedRefused(ValueError):
    """The feed cannot be made: one sentence, and the exit status that fits."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def make_feed(config: Config, seed: int) -> Feed:
    """The configured feed. Raises :class:`FeedRefused`."""
    if config.market.feed == "synthetic":
        return _synthetic(config, seed)
    if config.market.feed == "replay":
        return _replay(config)
    return _alpaca(config)


def _synthetic(config: Config, seed: int) -> Feed:
    from mbtd.market.feeds.synthetic import SyntheticFeed
    from mbtd.market.synthetic.market import SyntheticSettings

    wanted = config.market.synthetic
    return SyntheticFeed(seed, SyntheticSettings(quotes_per_second=wanted.quotes_per_second, sessions=wanted.session))


def _replay(config: Config) -> Feed:
    from mbtd.market.calendar import Calendar
    from mbtd.market.feeds.replay import ReplayFeed
    from mbtd.market.recordings import RecordingError, open_recordings

    paths = tuple(Path(path) for path in config.market.recordings)
    try:
        recording = open_recordings(paths)
    except RecordingError as error:
        raise FeedRefused(str(error), 65 if all(path.is_file() for path in paths) else 2) from None
    return ReplayFeed(recording, Calendar(), speed=float(config.market.speed))


def go_on(feed: Feed, world: World) -> None:
    """A recording goes on where the daemon had come to; every other market has gone on by itself.

    The made-up market learns of splits from the house; other feeds are in new units by themselves.
    """
    from mbtd.market.feeds.replay import ReplayFeed
    from mbtd.market.feeds.synthetic import SyntheticFeed

    if isinstance(feed, ReplayFeed):
        feed.go_on(world.now)
    elif isinstance(feed, SyntheticFeed):
        feed.follow(lambda at: units_at(world, at))


def _alpaca(config: Config) -> Feed:
    from mbtd.market.feeds.alpaca import AlpacaFeed, AlpacaSettings
    from mbtd.market.feeds.alpaca_link import LinkSettings

    market, wanted = config.market, config.market.alpaca
    link = LinkSettings(
        feed_dead_ms=market.feed_dead_ms,
        silence_reconnect_ms=max(LinkSettings().silence_reconnect_ms, 4 * market.feed_dead_ms),
        reconnect_least_ms=wanted.reconnect_least_ms,
        reconnect_most_ms=wanted.reconnect_most_ms,
    )
    settings = AlpacaSettings(
        stock_feed=market.stocks_feed,
        option_feed=market.options_feed if wanted.option_underlyings else "off",
        stock_url=wanted.stocks_url,
        option_url=wanted.options_url,
        link=link,
    )
    return AlpacaFeed(settings, _credentials(), _alpaca_calendar(config))


def _alpaca_calendar(config: Config) -> Calendar:
    from mbtd.market.calendar import Calendar

    return Calendar(always_open=config.market.alpaca.session == "always")


def _credentials() -> AlpacaCredentials:
    from mbtd.market.alpaca_credentials import CredentialsMissing, load_credentials

    try:
        return load_credentials(os.environ)
    except CredentialsMissing as error:
        raise FeedRefused(str(error), 78) from None


def make_reference(config: Config, feed: Feed) -> ReferenceKeeper | None:
    """Who keeps the feed's reference data fresh; ``None`` for feeds that know their instruments themselves."""
    if config.market.feed != "alpaca":
        return None
    from mbtd.market.alpaca_reference import AlpacaReference, Wishes
    from mbtd.market.calendar import to_date
    from mbtd.market.feeds.alpaca import AlpacaFeed
    from mbtd.market.reference import Listed, ReferenceKeeper, work_in_thread

    assert isinstance(feed, AlpacaFeed)
    wanted = config.market.alpaca
    source = AlpacaReference(
        _credentials(),
        trading_url=wanted.trading_url or None,
        data_url=wanted.data_url or None,
        feed=config.market.stocks_feed,
        timeout_s=wanted.reference_timeout_s,
    )

    async def load(known: Sequence[Instrument], trade_date: int) -> Listed:
        first = to_date(trade_date)
        last = first + timedelta(days=wanted.option_expiry_max_days)
        everything = await source.everything(Wishes(trade_date, wanted.option_underlyings, first, last), known)
        problems = list(everything.problems)
        if wanted.session == "xnys":
            problems += await calendar_problems(source, feed.calendar, first)
        return Listed(everything.instruments, everything.attributes, "; ".join(problems))

    return ReferenceKeeper(
        "alpaca",
        load,
        feed.learn,
        feed.mark,
        now=feed.now,
        trade_date=lambda: feed.calendar.session_at(feed.now()).trade_date,
        interval_s=wanted.reference_refresh_s,
        work=work_in_thread,
    )


async def calendar_problems(source: AlpacaReference, calendar: Calendar, first: date) -> list[str]:
    """Where the broker's next trading days are not ours: a closure that our data does not know."""
    from mbtd.market.alpaca_reference import ReferenceUnavailable
    from mbtd.market.calendar import to_int

    last = first + timedelta(days=CALENDAR_COMPARED_DAYS)
    try:
        theirs = {day.trade_date: day for day in (await source.calendar(first, last)).value}
    except ReferenceUnavailable as error:
        return [f"calendar: {error}"]
    problems = []
    for offset in range(CALENDAR_COMPARED_DAYS + 1):
        day = to_int(first + timedelta(days=offset))
        ours = calendar.trading_day(day) if calendar.is_trading_day(day) else None
        said = theirs.get(day)
        ours_hours = (ours.core_opens_at, ours.core_closes_at) if ours is not None else None
        their_hours = (said.core_opens_at, said.core_closes_at) if said is not None else None
        if ours_hours != their_hours:
            problems.append(f"calendar: Alpaca's hours of {day} differ from the packaged calendar's")
    return problems
