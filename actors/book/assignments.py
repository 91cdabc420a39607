"""Early assignment of an account's American shorts, drawn on the evening of every trade date (fill model §15).

Invariants: one draw an evening, after the holders' last decision, from the account's own seed; contracts that settle
that day are the expiry's business. The fact that a date was drawn is written also when nobody was assigned, so a
restart draws nothing twice.

Known limits: dividends are not known here, so no call is assigned for one; an evening that is caught up late is drawn
at the prices of the moment it is caught up.
"""

from __future__ import annotations

from collections.abc import Iterator

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.expiries import release_orders
from actors.book.instruments import Instrument
from actors.book.option_life import book_outcomes
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import margin_rate
from actors.book.rules.options.assignment import Evening, draw_assignment
from actors.book.rules.options.exercise import decision_ends_at
from actors.book.rules.options.outcome import Holding
from actors.book.rules.options.precheck import Touch
from actors.book.rules.options.warnings import is_assignable
from actors.book.state.book import Book
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


def _draw(
    draft: Draft, short: Instrument, day: int, at: int, world: World, profiles: Profiles, scale_ppm: int
) -> None:
    book = draft.book
    names = short.priced_by
    prices = {name: price for name in names if (price := world.official(name, day, "close") or world.mark(name))}
    price = prices.get(short.underlying, 0)
    if not price or any(name not in world.instruments.by_symbol for name in names):
        return
    slot = world.board.slots.get(short.symbol)
    quote = slot.quote if slot is not None else None
    touch = Touch(quote.bid, quote.ask) if quote is not None else None
    rate = margin_rate(world.rates, day)
    evening = Evening(price, touch, nights_between(day, short.expiry_date), rate_ppm=rate)
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
