"""Cash dividends of one account: announced, owed to whoever holds at the roll into the ex-date, paid on their day.

Invariants: a dividend is known by its id and happens once, however often it is announced; what an account is owed or
owes follows from its position at the roll alone; it is paid at 04:00 New York of the payable date (never before the
ex-date), also when the position is gone by then. Rule source: corporate-actions-and-market-rules §1, §4.1, §5. Known
limits: one that is announced after its roll takes the position of that moment; what is owed for shorts lowers neither
buying power nor withdrawable cash; nothing is withheld; no reinvestment.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import Dividend
from actors.book.ids import client_key, derive_order_ids
from actors.book.outcome import Done, Outcome
from actors.book.rules.dividends import RATE_PER_DOLLAR, is_reduced, owed_money, reduced_price
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book, Order
from actors.book.units import NS_PER_SECOND, BadNumber, format_qty, parse_scaled
from actors.commands import AnnounceDividend
from actors.market.world import World

BEFORE_OPEN_NS = 11 * 1_800 * NS_PER_SECOND
"""From 04:00 New York to the core session's open."""
RATE_MAX = 10_000 * RATE_PER_DOLLAR


def announce(draft: Draft, action: AnnounceDividend, world: World, profiles: Profiles) -> Outcome:
    """Take in a dividend; the same id again changes nothing."""
    read = _read(action, world)
    if isinstance(read, Refusal):
        draft.emit(e.CommandRefused("account.announce_dividend", read.reason, read.numbers))
        return read
    money = draft.book.ledger()
    if read.ca_id not in money.dividends_done and all(known.ca_id != read.ca_id for known in money.dividends):
        draft.emit(e.DividendAnnounced(read))
        while (at := dividend_at(draft.book, world)) and at <= world.now:
            run_dividends(draft, at, world, profiles)
    return Done()


def _read(action: AnnounceDividend, world: World) -> Dividend | Refusal:
    instrument = world.instruments.find(action.symbol)
    if instrument is None or instrument.asset_class != "us_equity":
        return refuse("asset_not_found", "symbol", symbol=action.symbol[:24])
    if not 0 < len(action.ca_id) <= 64:
        return refuse("invalid_dividend", "ca_id", problem="ca_id has 1 to 64 characters")
    try:
        rate = parse_scaled(action.rate, 9)
    except BadNumber:
        rate = 0
    if not 0 < rate <= RATE_MAX:
        return refuse("invalid_dividend", "rate", problem="rate is a positive decimal text with at most 9 decimals")
    dates = []
    for name in ("ex_date", "payable_date"):
        text = getattr(action, name) or action.ex_date
        day = int(text.replace("-", "")) if len(text) == 10 and text.replace("-", "").isdigit() else 0
        if not day or not _is_trade_date(day, world):
            return refuse("invalid_dividend", name, problem=f"{name} is no trading day")
        dates.append(day)
    return Dividend(action.ca_id, instrument.symbol, rate, dates[0], max(dates))


def _is_trade_date(day: int, world: World) -> bool:
    if world.days is None:
        return False
    try:
        found = world.days.day(day)
    except (KeyError, ValueError):
        return False
    return found.trade_date == day


def dividend_at(book: Book, world: World) -> int:
    """When the next dividend is taken note of or paid; 0 for none."""
    if world.days is None or book.money is None:
        return 0
    instants = [_next_at(dividend, world) for dividend in book.money.dividends]
    return min(instants, default=0)


def _next_at(dividend: Dividend, world: World) -> int:
    assert world.days is not None
    if not dividend.entitled:
        return world.days.day(dividend.ex_date).begins_at
    return world.days.day(dividend.pay_date).core_opens_at - BEFORE_OPEN_NS


def run_dividends(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Whatever is due of dividends at an instant, by their ids."""
    book = draft.book
    for dividend in sorted(book.ledger().dividends, key=lambda each: each.ca_id):
        if _next_at(dividend, world) > at:
            continue
        if not dividend.entitled:
            position = book.positions.get(dividend.symbol)
            qty = position.qty if position is not None else 0
            draft.emit(e.DividendEntitled(dividend.ca_id, qty, owed_money(qty, dividend.rate)))
            _reduce_orders(draft, dividend)
        else:
            if dividend.money:
                draft.emit(
                    e.ActivityBooked(
                        book.next_activity_no, "DIV", dividend.money, book.cash + dividend.money,
                        f"cash dividend on {format_qty(dividend.qty)} shares", dividend.symbol, 0, 0, "CDIV",
                        dividend.pay_date, at,
                    )
                )  # fmt: skip
            draft.emit(e.DividendPaid(dividend.ca_id))


def _reduce_orders(draft: Draft, dividend: Dividend) -> None:
    book = draft.book
    for order_no in sorted(book.orders):
        order = book.orders[order_no]
        if order.terms.symbol != dividend.symbol or not is_reduced(order.terms, dividend.rate):
            continue
        if order.triggered or order.status in ("pending_cancel", "pending_replace"):
            continue
        _reduce(draft, order, dividend.rate)


def _reduce(draft: Draft, order: Order, rate: int) -> None:
    """The order goes on with lower prices as its own replacement, or ends when none is left."""
    book, old = draft.book, order.terms
    limit = reduced_price(old.limit_price, rate) if old.limit_price else 0
    stop = reduced_price(old.stop_price, rate) if old.stop_price else 0
    if (old.limit_price and limit <= 0) or (old.stop_price and stop <= 0):
        draft.emit(e.OrderCanceled(old.order_no, "corporate_action"))
        return
    order_no = book.next_order_no
    order_id, client_id = derive_order_ids(book.seed, book.epoch, order_no)
    terms = replace(
        old, order_no=order_no, order_id=order_id, client_order_id=client_id, client_key=client_key(client_id),
        limit_price=limit, stop_price=stop, live_at=draft.at, reserved_money=order.reserved_money,
        reserved_qty=order.reserved_qty, filled_qty=order.filled_qty, filled_money=order.filled_money,
        fill_count=order.fill_count, replaces=old.order_no,
    )  # fmt: skip
    draft.emit(e.OrderReplaced(old.order_no, terms))
