"""What a turn's events bring after them: settlement, fees, day trades, violations, and the look at margin.

Invariants: both halves run once at the end of every turn that led to events, inside the same draft, so a fill and
its consequences are one step; a fill is followed by exactly one ``TradeBooked``, in the order of the fills.
Structures are followed between the halves: they carry the fees, and the look at margin needs to know them. Without
a calendar nothing happens here.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from actors.book import day_calls, margin_call
from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import DayTrading, Fee, Intraday
from actors.book.instruments import Instrument
from actors.book.memo import of_contracts, sma_of_fill
from actors.book.outcome import Done, Outcome
from actors.book.rules.margin.pairing import BOUNDS, EXACT, SMALL
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.rules.money import day_trades, settlement
from actors.book.rules.money.fees import fees_of
from actors.book.rules.money.intraday import lowest_after
from actors.book.state.book import Book
from actors.book.state.fold_account import CASH_FLOWS
from actors.book.units import divide_half_even, value_money
from actors.book.view import Figures, figures
from actors.commands import LookAtMargin
from actors.market.days import TradeDay, window_start
from actors.market.world import World

_FILLS = frozenset({e.OrderFilled, e.OrderLegFilled})
Executed = tuple[tuple[day_trades.Leg, ...], int]
"""Executions that count as one for day trades, and what they were worth together."""
_NOTHING: Executed = ((), 0)
_MONEY_MOVED = frozenset({e.PositionChanged, e.ActivityBooked})


def charges_fees(profile: Profile | None) -> bool:
    """Whether fills under a fill profile are charged fees (fill model §14)."""
    return profile is not None and profile.fees != "none"


def book_trades(draft: Draft, world: World, profiles: Profiles) -> bool | None:
    """Emit what the fills of this turn mean for the account's money.

    Returns whether the intraday level went down; null when no money moved, so that there is nothing to look at.
    """
    events = draft.events
    if _MONEY_MOVED.isdisjoint(map(type, events)) or world.days is None:
        return None
    day = world.day
    if day is None:
        return None
    reduced = False
    counted = _counts_day_trades(draft.book, day)
    before: object = None
    for index in range(len(events)):
        event = events[index]
        kind = type(event)
        if kind is e.PositionChanged and type(before) in _FILLS:
            executed = _legs_of(events, index) if counted else _NOTHING
            memo = sma_of_fill(draft.book, events, index, world) if of_contracts(events, index) else None
            n = draft.book.n - len(events) + index + 1
            reduced = _book_trade(draft, before, event, n, executed, memo, day, world, profiles) or reduced  # type: ignore[arg-type]
        elif kind is e.ActivityBooked and event.activity_type in CASH_FLOWS:  # type: ignore[union-attr]
            reduced = reduced or event.activity_type == "CSW"  # type: ignore[union-attr]
            day_calls.note_flow(draft, event.net_money, day, world)  # type: ignore[union-attr]
        before = event
    return reduced


def look_at_margin(draft: Draft, world: World, profiles: Profiles, reduced: bool) -> None:
    """Note the day's worst level if this turn reached it, and look where the account stands."""
    day = world.day
    if day is not None:
        found = _note_level(draft, day, world) if reduced and draft.book.type == "margin" else None
        margin_call.look(draft, world, profiles, found)


def look_exactly(draft: Draft, action: LookAtMargin, world: World, profiles: Profiles) -> Outcome:
    """The same for a large book for which bounds were not enough, with exact figures and in a turn of its own."""
    looks, world.looks = world.looks, None
    try:
        look_at_margin(draft, world, profiles, action.reduced)
    finally:
        world.looks = looks
    return Done()


def _counts_day_trades(book: Book, day: TradeDay) -> bool:
    """Whether the rules keep a record of day trades for the account (rules §8.1)."""
    return book.type != "cash" and day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) == day_trades.PDT


def _legs_of(events: Sequence[object], index: int) -> Executed:
    """What the change of position at ``index`` counts as for day trades, and its value.

    The legs of one fill of a unit count together, at the last of them; the others give nothing.
    """
    fill, change = events[index - 1], events[index]
    assert isinstance(change, e.PositionChanged)
    if not isinstance(fill, e.OrderLegFilled):
        return (_executed(change),), abs(change.net_money)
    if index + 1 < len(events) and _same_fill(events[index + 1], fill):
        return (), 0
    found: dict[str, day_trades.Leg] = {}
    value = 0
    while index > 0 and _same_fill(events[index - 1], fill):
        moved = events[index]
        assert isinstance(moved, e.PositionChanged)
        one, after = _executed(moved), found.get(moved.symbol)
        found[moved.symbol] = one if after is None else structs.replace(one, qty=one.qty + after.qty)
        value += abs(moved.net_money)
        index -= 2
    return tuple(reversed(found.values())), value


def _same_fill(event: object, fill: e.OrderLegFilled) -> bool:
    return isinstance(event, e.OrderLegFilled) and (event.order_no, event.fill_no) == (fill.order_no, fill.fill_no)


def _executed(change: e.PositionChanged) -> day_trades.Leg:
    moved = (change.opened.qty if change.opened is not None else 0) - sum(use.qty for use in change.closed)
    return day_trades.Leg(change.symbol, moved > 0, abs(moved), change.qty - moved)


def _book_trade(
    draft: Draft,
    fill: e.OrderFilled | e.OrderLegFilled,
    change: e.PositionChanged,
    n: int,
    executed: Executed,
    memo: int | None,
    day: TradeDay,
    world: World,
    profiles: Profiles,
) -> bool:
    """The consequences of one fill; whether it opened something, so that the intraday level went down.

    ``n`` is the number of the change's event. ``memo`` is what a fill of contracts does to SMA; null for stock, whose
    price says it.
    """
    book = draft.book
    instrument = world.instruments.by_symbol[change.symbol]
    opened = change.opened.qty if change.opened is not None else 0
    closed = sum([use.qty for use in change.closed]) if change.closed else 0
    moved = opened - closed
    buying = moved > 0
    option = instrument.asset_class == "us_option"
    settles_on = day.option_settles_on if option else day.settles_on
    fees: tuple[Fee, ...] = ()
    if charges_fees(profiles.get(fill.profile if isinstance(fill, e.OrderLegFilled) else fill.evidence.profile)):
        before = fill.filled_qty - fill.qty
        fees = fees_of(instrument, buying, fill.qty, fill.price, day.trade_date, before)
        if book.settings is not None and book.settings.fee_mode == "per_order":
            fees = tuple(structs.replace(fee, order_no=fill.order_no) for fee in fees)
    draws: tuple[tuple[int, int], ...] = ()
    settling, unpaid_lot, violation = change.net_money, 0, ""
    if book.type == "cash":
        money = book.ledger()
        if change.net_money < 0:
            settling = _overdraft(change.cash, change.net_money)
            draws = settlement.draw(change.cash - change.net_money, money, day.trade_date, -change.net_money)
            unpaid_lot = change.opened.lot_no if draws and change.opened is not None else 0
        elif money.unpaid:
            lots = tuple(use.lot_no for use in change.closed)
            violation = settlement.violation_of(money, lots, day.trade_date)
    held_before = change.qty - moved
    short = 0
    if not option and not instrument.easy_to_borrow:
        short = max(0, -held_before, -change.qty)
    draft.emit(
        e.TradeBooked(
            day.trade_date,
            change.symbol,
            settles_on,
            settling,
            draws,
            unpaid_lot,
            max([until for until, _ in draws]) if draws else 0,
            fees,
            memo
            if memo is not None
            else _sma_change(
                book,
                instrument,
                value_money(fill.price, abs(opened)) if opened else 0,
                value_money(fill.price, closed) if closed > 0 else 0,
            ),
            short,
            -opened if short and opened < 0 else 0,
            _day_trading(book, fill, *executed, day, world) if executed[0] else None,
            change.net_money,
            change.cash - change.net_money if book.money is None else None,
            e.Closing(n, fill.order_no, fill.fill_no, change.closed)
            if closed and not option and type(fill) is e.OrderFilled
            else None,
        )
    )
    if violation and all(no != fill.order_no for _, _, no in book.ledger().violations):
        count, until = settlement.consequence(book.ledger(), violation, day.trade_date)
        draft.emit(e.CashViolated(violation, day.trade_date, change.symbol, count, until, fill.order_no))
    return opened != 0


def _sma_change(book: Book, instrument: Instrument, opening_money: int, closing_money: int) -> int:
    """Requirement of the stock that was opened, and release of what was sold, on Regulation T's rates (§2.6).

    Shares that are bought back bring nothing: what they required comes back with the account's equity.
    """
    if book.type == "cash":
        return 0
    change = closing_money - opening_money
    return divide_half_even(change, 2) if instrument.marginable else change


def _overdraft(cash: int, net_money: int) -> int:
    """What a payment of a cash account overdrew, not positive: it is owed from its settlement on."""
    return min(0, cash) - min(0, cash - net_money)


def book_delivery(draft: Draft, stock: Instrument, change: e.PositionChanged, net_money: int, world: World) -> None:
    """Shares that an option moved at its strike settle, and count for SMA, as a trade of this date (§5.5)."""
    day, book = world.day, draft.book
    if day is None:
        return
    opened = change.opened.qty if change.opened is not None else 0
    closed = sum(use.qty for use in change.closed)
    draws: tuple[tuple[int, int], ...] = ()
    settling = net_money
    if book.type == "cash" and net_money < 0:
        settling = _overdraft(book.cash, net_money)
        draws = settlement.draw(book.cash - net_money, book.ledger(), day.trade_date, -net_money)
    value = abs(net_money)
    opening_money = value * abs(opened) // (abs(opened) + abs(closed))
    sold_money = value - opening_money if closed > 0 else 0
    draft.emit(
        e.TradeBooked(
            day.trade_date, stock.symbol, day.settles_on, settling, draws,
            change.opened.lot_no if draws and change.opened is not None else 0,
            max([until for until, _ in draws]) if draws else 0,
            sma_money=_sma_change(book, stock, opening_money, sold_money), net_money=net_money,
        )
    )  # fmt: skip


def _day_trading(
    book: Book,
    fill: e.OrderFilled | e.OrderLegFilled,
    legs: tuple[day_trades.Leg, ...],
    value: int,
    day: TradeDay,
    world: World,
) -> DayTrading | None:
    """The day-trade record after the fill."""
    if world.days is None:
        return None
    money = book.ledger()
    record = money.day_trading or DayTrading()
    first = window_start(world.days, day.trade_date, day_trades.WINDOW_DAYS)
    power = day_calls.power_of(book, day.trade_date)
    return day_trades.execute(record, day.trade_date, first, fill.order_no, legs, value, power, money.last_equity)


def _note_level(draft: Draft, day: TradeDay, world: World) -> Figures | None:
    """After a transaction that reduced the intraday margin level: note it if it is the day's worst.

    Returns the figures that it looked at.
    """
    book = draft.book
    if day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) != day_trades.INTRADAY:
        return None
    if book.cash >= 0 and all(position.qty > 0 for position in book.positions.values()):
        return None
    f = figures(book, world, BOUNDS)
    lowest = (book.ledger().intraday or Intraday()).lowest
    for search_legs in (SMALL, EXACT):
        if f.exact or lowest_after(lowest, f.excess_money) >= lowest:
            break
        if search_legs == EXACT and margin_call.later(book, world, reduced=True):
            return f
        f = figures(book, world, search_legs)
    level = f.excess_money
    if lowest_after(lowest, level) < lowest:
        draft.emit(e.IntradayLow(day.trade_date, level))
    return f
