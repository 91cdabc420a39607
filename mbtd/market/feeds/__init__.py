"""The feeds: each turns one source into tape messages behind :class:`mbtd.market.feed.Feed`."""
