"""What a turn's events bring after them: settlement, fees, day trades, violations, and the look at margin.

Invariants: runs once at the end of every turn that led to events, inside the same draft, so a fill and its
consequences are one step; a fill is followed by exactly one ``TradeBooked``. Without a calendar nothing happens here.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book import margin_call
from actors.book.draft import Draft
from actors.book.events.parts import DayTrading, Fee, Intraday
from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.rules.money import day_trades, settlement
from actors.book.rules.money.fees import fees_of
from actors.book.rules.money.intraday import lowest_after
from actors.book.state.book import Book
from actors.book.units import divide_half_even, value_money
from actors.book.view import figures
from actors.market.days import TradeDay, window_start
from actors.market.world import World

_FILLS = (e.OrderFilled, e.OrderLegFilled)
_MONEY_MOVED = frozenset({e.PositionChanged, e.ActivityBooked})


def charges_fees(profile: Profile | None) -> bool:
    """Whether fills under a fill profile are charged fees (fill model §14)."""
    return profile is not None and profile.fees != "none"


def follow_up(draft: Draft, world: World, profiles: Profiles) -> None:
    """Emit what follows from the events of this turn."""
    events = draft.events
    if not events or world.days is None:
        return
    day = world.day
    if day is None:
        return
    moved = reduced = False
    for index in range(len(events)):
        event = events[index]
        kind = type(event)
        if kind not in _MONEY_MOVED:
            continue
        moved = True
        if kind is e.PositionChanged and index and isinstance(events[index - 1], _FILLS):
            reduced = _book_trade(draft, events[index - 1], event, day, world, profiles) or reduced  # type: ignore[arg-type]
        elif isinstance(event, e.ActivityBooked) and event.activity_type == "CSW":
            reduced = True
    if moved and draft.book.type == "margin":
        if reduced:
            _note_level(draft, day, world)
        margin_call.look(draft, world, profiles)


def _book_trade(
    draft: Draft,
    fill: e.OrderFilled | e.OrderLegFilled,
    change: e.PositionChanged,
    day: TradeDay,
    world: World,
    profiles: Profiles,
) -> bool:
    """The consequences of one fill; whether it opened something, so that the intraday level went down."""
    book = draft.book
    instrument = world.instruments.by_symbol[change.symbol]
    opened = change.opened.qty if change.opened is not None else 0
    closed = sum(use.qty for use in change.closed)
    moved = opened - closed
    buying = moved > 0
    option = instrument.asset_class == "us_option"
    settles_on = day.option_settles_on if option else day.settles_on
    fees: tuple[Fee, ...] = ()
    if charges_fees(profiles.get(fill.profile if isinstance(fill, e.OrderLegFilled) else fill.evidence.profile)):
        before = fill.filled_qty - fill.qty
        fees = fees_of(instrument, buying, fill.qty, fill.price, day.trade_date, before)
        if book.settings is not None and book.settings.fee_mode == "per_order":
            fees = tuple(replace(fee, order_no=fill.order_no) for fee in fees)
    draws: tuple[tuple[int, int], ...] = ()
    settling, unpaid_lot, violation = change.net_money, 0, ""
    if book.type == "cash":
        money = book.ledger()
        if change.net_money < 0:
            settling = 0
            draws = settlement.draw(change.cash - change.net_money, money, day.trade_date, -change.net_money)
            unpaid_lot = change.opened.lot_no if draws and change.opened is not None else 0
        elif money.unpaid:
            lots = tuple(use.lot_no for use in change.closed)
            violation = settlement.violation_of(money, lots, day.trade_date)
    held_before = change.qty - moved
    short = max(0, -held_before, -change.qty) if not option and not instrument.easy_to_borrow else 0
    draft.emit(
        e.TradeBooked(
            day.trade_date,
            change.symbol,
            settles_on,
            settling,
            draws,
            unpaid_lot,
            max((until for until, _ in draws), default=0),
            fees,
            _sma_change(book, instrument, fill, opened, closed),
            short,
            -opened if short and opened < 0 else 0,
            _day_trading(book, fill, change, held_before, moved, day, world),
            change.net_money,
        )
    )
    if violation and all(no != fill.order_no for _, _, no in book.ledger().violations):
        count, until = settlement.consequence(book.ledger(), violation, day.trade_date)
        draft.emit(e.CashViolated(violation, day.trade_date, change.symbol, count, until, fill.order_no))
    return opened != 0


def _sma_change(
    book: Book, instrument: Instrument, fill: e.OrderFilled | e.OrderLegFilled, opened: int, closed: int
) -> int:
    """Requirement of what was opened, and release of what was closed, on Regulation T's rates (§2.6)."""
    if book.type == "cash":
        return 0
    opening = value_money(fill.price, abs(opened), instrument.multiplier)
    closing = value_money(fill.price, abs(closed), instrument.multiplier)
    change = closing - opening
    return divide_half_even(change, 2) if instrument.marginable and instrument.multiplier == 1 else change


def _day_trading(
    book: Book,
    fill: e.OrderFilled | e.OrderLegFilled,
    change: e.PositionChanged,
    held_before: int,
    moved: int,
    day: TradeDay,
    world: World,
) -> DayTrading | None:
    """The day-trade record after the fill; null where the rules do not keep one (rules §8.1)."""
    if book.type == "cash" or world.days is None:
        return None
    if day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) != day_trades.PDT:
        return None
    record = book.ledger().day_trading or DayTrading()
    first = window_start(world.days, day.trade_date, day_trades.WINDOW_DAYS)
    leg = day_trades.Leg(change.symbol, moved > 0, abs(moved), held_before)
    return day_trades.execute(record, day.trade_date, first, fill.order_no, (leg,), abs(change.net_money))


def _note_level(draft: Draft, day: TradeDay, world: World) -> None:
    """After a transaction that reduced the intraday margin level: note it if it is the day's worst."""
    book = draft.book
    if day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) != day_trades.INTRADAY:
        return
    if book.cash >= 0 and all(position.qty > 0 for position in book.positions.values()):
        return
    level = figures(book, world).excess_money
    lowest = (book.ledger().intraday or Intraday()).lowest
    if lowest_after(lowest, level) < lowest:
        draft.emit(e.IntradayLow(day.trade_date, level))
