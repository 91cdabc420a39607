"""Early assignment of an account's American shorts, drawn on the evening of every trade date (fill model §15).

Invariants: one draw an evening, after the holders' last decision, from the account's own seed; contracts that settle
that day are the expiry's business. The fact that a date was drawn is written also when nobody was assigned, so a
restart draws nothing twice.

Dividends are those that the house was told of; on the evening before the last session before an ex-date the holder of
a short call hears that it may be assigned for one. Known limit: an evening that is caught up late is drawn at the
prices of the moment it is caught up.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.expiries import release_orders
from actors.book.instruments import Instrument
from actors.book.option_life import book_outcomes
from actors.book.rules.actions.arithmetic import fraction, half_up
from actors.book.rules.actions.contracts import adjusts_class
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import margin_rate
from actors.book.rules.options.assignment import Evening, draw_assignment
from actors.book.rules.options.exercise import decision_ends_at
from actors.book.rules.options.outcome import Holding
from actors.book.rules.options.precheck import Touch
from actors.book.rules.options.warnings import dividend_warning, is_assignable
from actors.book.state.book import Book
from actors.book.units import PRICE_PER_DOLLAR
from actors.market.days import Days, nights_between
from actors.market.world import World


def assignment_at(book: Book, world: World) -> int:
    """The next evening on which somebody could exercise against the account; 0 for none."""
    assert world.days is not None
    shorts = list(_shorts(book, world))
    if not shorts:
        return 0
    try:
        day = _next_date(book, shorts, world.days)
        if max([short.settlement_date for short in shorts]) <= day:
            return 0
        return decision_ends_at(world.days.day(day).core_closes_at, closeout=False)
    except ValueError:
        return 0


def draw_assignments(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Draw for every short, book what was assigned, and note the date."""
    assert world.days is not None
    book = draft.book
    shorts = sorted(_shorts(book, world), key=lambda short: short.symbol)
    day = _next_date(book, shorts, world.days)
    profile = profiles.get(book.profile)
    if profile is not None and profile.early_assignment_ppm:
        for short in shorts:
            if short.settlement_date > day:
                _draw(draft, short, day, at, world, profiles, profile.early_assignment_ppm)
        release_orders(draft)
        for short in shorts:
            if short.symbol in book.positions:
                _warn(draft, short, day, world)
    draft.emit(e.AssignmentDrawn(day))


def _shorts(book: Book, world: World) -> Iterator[Instrument]:
    known = world.instruments.by_symbol
    for symbol, position in book.positions.items():
        if position.qty < 0 and (instrument := known.get(symbol)) is not None and is_assignable(instrument):
            yield instrument


def _next_date(book: Book, shorts: list[Instrument], days: Days) -> int:
    """The date after the last draw, but none before the shorts were opened."""
    positions = book.positions
    opened_at = min([lot.opened_at for short in shorts for lot in positions[short.symbol].lots])
    day = days.at(opened_at).trade_date
    if opened_at > decision_ends_at(days.day(day).core_closes_at, closeout=False):
        day = days.day(day).following
    return max(day, days.day(book.assigned_on).following) if book.assigned_on else day


def _dividend_price(symbol: str, ex_date: int, world: World) -> int:
    """Ordinary cash dividends of a stock that goes ex on a date, price units a share; special ones lower strikes."""
    ids = world.actions.by_symbol.get(symbol, ())
    known = [world.actions.by_id[ca_id].action for ca_id in ids]
    rates = [
        fraction(action.cash)
        for action in known
        if action.type == "cash_dividend" and action.symbol == symbol and action.effective_date == ex_date
        and not action.withdrawn and not adjusts_class(action)
    ]  # fmt: skip
    return half_up(sum(rates, Fraction(0)) * PRICE_PER_DOLLAR)


def _touch(short: Instrument, world: World) -> Touch | None:
    slot = world.board.slots.get(short.symbol)
    quote = slot.quote if slot is not None else None
    return Touch(quote.bid, quote.ask) if quote is not None else None


def _warn(draft: Draft, short: Instrument, day: int, world: World) -> None:
    """Tomorrow is the last session before the stock goes ex: say whether a holder would gain by exercising."""
    assert world.days is not None
    last = world.days.day(day).following
    ex_date = world.days.day(last).following
    if short.settlement_date <= last or not (dividend := _dividend_price(short.underlying, ex_date, world)):
        return
    price = world.official(short.underlying, day, "close") or world.mark(short.underlying)
    holding = Holding(short, draft.book.positions[short.symbol].qty)
    told = dividend_warning(holding, price, _touch(short, world), dividend, ex_date)
    if told is not None:
        draft.emit(e.OptionWarned(short.underlying, told.kind, told.symbols, told.numbers))


def _draw(
    draft: Draft, short: Instrument, day: int, at: int, world: World, profiles: Profiles, scale_ppm: int
) -> None:
    book = draft.book
    names = short.priced_by
    prices = {name: price for name in names if (price := world.official(name, day, "close") or world.mark(name))}
    price = prices.get(short.underlying, 0)
    if not price or any(name not in world.instruments.by_symbol for name in names):
        return
    assert world.days is not None
    dividend = _dividend_price(short.underlying, world.days.day(day).following, world)
    rate = margin_rate(world.rates, day)
    left = nights_between(day, short.expiry_date)
    evening = Evening(price, _touch(short, world), left, dividend, rate_ppm=rate)
    found = draw_assignment(
        Holding(short, book.positions[short.symbol].qty), evening, prices, seed=book.seed, epoch=book.epoch,
        profile_hash=profiles.hash_of(book.profile).encode(), day=day, scale_ppm=scale_ppm,
    )  # fmt: skip
    if found is None:
        return
    book_outcomes(draft, [found.outcome], world, at if at < world.now else 0)
    told = found.likelihood
    draft.emit(
        e.OptionAssigned(short.symbol, found.outcome.qty, told.rule, told.probability_ppm, found.drawn, told.numbers)
    )
