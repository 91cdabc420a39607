"""Which feed the configuration asks for, made ready. Heavy imports happen only for the feed that is used."""

from __future__ import annotations

import os
from pathlib import Path

from mbtd.config import Config
from mbtd.market.feed import Feed


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


def _alpaca(config: Config) -> Feed:
    from mbtd.market.alpaca_credentials import CredentialsMissing, load_credentials
    from mbtd.market.calendar import Calendar
    from mbtd.market.feeds.alpaca import AlpacaFeed, AlpacaSettings

    try:
        credentials = load_credentials(os.environ)
    except CredentialsMissing as error:
        raise FeedRefused(str(error), 78) from None
    settings = AlpacaSettings(stock_feed=config.market.stocks_feed, option_feed=config.market.options_feed)
    feed: Feed = AlpacaFeed(settings, credentials, Calendar())  # type: ignore[assignment]
    return feed
