"""The prices between which an account's standing with its margin cannot change, so nobody need look at it.

What a standing asks is a sum over positions, and inside one step of the profile's price tables each term is monotone
in its price with a known slope. The slack of each condition is shared out so that every price may move by the same
part of itself; the band is where no term can use up more than its share. Invariants: while the book is unchanged and
every mark lies in its range, a look would find the standing that the band was made for (the roundings of each
position are set aside first); a book for which that cannot be promised has no band and is looked at every time.
Known limits: no band for books with options (their requirement is no sum over positions), in a call of Regulation T
or while positions are being sold; a large debit account, whose largest position may be concentrated, has ranges of a
single price.
"""

from __future__ import annotations

from typing import Final

from actors.book.events.parts import REGULATION_T
from actors.book.instruments import Instrument
from actors.book.margin_call import WARNING_PARTS, is_leveraged
from actors.book.rules.margin.profiles import NO_LIMIT, PPM, LongStep, MarginProfile, ShortStep, profile_of
from actors.book.rules.margin.stock import long_rate_ppm
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE
from actors.book.view import CONCENTRATION_DEBIT_MONEY, Figures, figures, stock_terms
from actors.market.world import World

Range = tuple[int, int]
"""Lowest and highest mark, both inclusive."""

_RAW: Final = 10_000_000 * PPM
"""Price units times quantity units times ppm in one money unit."""
_OK: Final = ((WARNING_PARTS - 1, -WARNING_PARTS, 0),)
_WARNING: Final = ((1, -1, 0), (1 - WARNING_PARTS, WARNING_PARTS, 1))
_CALL: Final = ((-1, 1, 1), (2, -1, 0))
"""Conditions ``a · equity + b · net maintenance ≥ least``, as the standings are defined."""


def band_of(book: Book, world: World) -> dict[str, Range] | None:
    """For each position the marks between which a look changes nothing; None when every look must be made.

    Right after a look: the standing in the book is the one that the figures call for.
    """
    call = book.ledger().call
    by_sma = call.state == "call" and call.reason == REGULATION_T
    if not is_leveraged(book) or call.state == "liquidating" or by_sma:
        return None
    if book.type == "cash":
        # An overdraft is the same at every price.
        return {}
    profile = profile_of(book.margin_profile, book.type)
    terms = []
    for symbol, position in book.positions.items():
        instrument = world.instruments.by_symbol.get(symbol)
        mark = world.mark(symbol)
        if instrument is None or instrument.asset_class != "us_equity" or instrument.multiplier != 1:
            return None
        if -QTY_PER_SHARE < position.qty < 0:
            return None
        terms.append(_term(profile, instrument, symbol, position.qty, mark))
    f = figures(book, world)
    band = {term.symbol: (term.low, term.high) for term in terms}
    if profile.concentration_ppm and book.cash < -CONCENTRATION_DEBIT_MONEY:
        return {term.symbol: (term.mark, term.mark) for term in terms}
    for a, b, least in _conditions(book, f, call.state):
        slack = a * f.equity_money + b * f.net_maintenance_money - least - len(terms) * (abs(a) + abs(b))
        if slack < 0:
            return None
        _narrow(band, terms, a, b, slack * _RAW)
    return band


def _conditions(book: Book, f: Figures, state: str) -> tuple[tuple[int, int, int], ...]:
    if state == "ok":
        return _OK
    if state == "call":
        return _CALL
    if book.cash < 0 or f.short_money < 0:
        return _WARNING
    return ((0, 0, 1),)


class _Term:
    """One position: its mark, the marks for which its rate holds, and that rate."""

    __slots__ = ("high", "low", "mark", "qty", "rate_ppm", "symbol")

    def __init__(self, symbol: str, qty: int, mark: int, low: int, high: int, rate_ppm: int) -> None:
        self.symbol = symbol
        self.qty = qty
        self.mark = mark
        self.low = low
        self.high = high
        self.rate_ppm = rate_ppm


def _term(profile: MarginProfile, instrument: Instrument, symbol: str, qty: int, mark: int) -> _Term:
    if not mark:
        # It counts at its cost until there is a price.
        return _Term(symbol, 0, 0, 0, 0, 0)
    terms = stock_terms(instrument, mark)
    if qty > 0:
        low, high, _ = _step(profile.long_steps, mark)
        return _Term(symbol, qty, mark, low, high, long_rate_ppm(profile, terms))
    low, high, short = _step(profile.short_steps, mark)
    assert isinstance(short, ShortStep)
    rate = min(PPM, short.rate_ppm * max(PPM, terms.leverage_ppm) // PPM)
    return _Term(symbol, qty, mark, low, high, max(rate, terms.short_rate_ppm))


def _step(steps: tuple[LongStep, ...] | tuple[ShortStep, ...], mark: int) -> tuple[int, int, LongStep | ShortStep]:
    low = 1
    for step in steps:
        if mark <= step.up_to_price:
            return low, step.up_to_price, step
        low = step.up_to_price + 1
    return low, NO_LIMIT, steps[-1]


def _narrow(band: dict[str, Range], terms: list[_Term], a: int, b: int, slack: int) -> None:
    """Keep each range to where its position uses up its share of a condition's slack at most."""
    slopes = [_slope(term, a, b) for term in terms]
    total = sum(abs(slope) * term.mark for slope, term in zip(slopes, terms, strict=True))
    if not total:
        return
    for slope, term in zip(slopes, terms, strict=True):
        room = term.mark * slack // total
        low, high = band[term.symbol]
        if slope < 0:
            high = min(high, term.mark + room)
        elif slope > 0:
            low = max(low, term.mark - room)
        band[term.symbol] = low, high


def _slope(term: _Term, a: int, b: int) -> int:
    """The steepest change of ``a · value + b · maintenance`` for a price unit; its sign holds in the whole step.

    Above its floor the requirement of a short position grows with the price, below it stands still: the two
    conditions' factors have opposite signs, so both parts push the same way.
    """
    if term.qty >= 0:
        return (a * PPM + b * term.rate_ppm) * term.qty
    assert a * b <= 0
    size = (abs(a) * PPM + abs(b) * term.rate_ppm) * -term.qty
    return -size if a > 0 else size


__all__ = ["Range", "band_of"]
