"""The end of a trade date: fees, interest and borrow are booked, and what the account is worth is put on record.

Invariants: one ``DayEnded`` for each trade date on which the account held, traded or was booked something, with
that date's own instant; an account that is flat and settled has none and costs nothing. Rule sources: rules §9,
§12–§14, margin-and-options §2.5–§2.7, alpaca-api §4.1.
"""

from __future__ import annotations

from actors.book import day_calls, margin_call
from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events.parts import REGULATION_T, Deficit
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money import day_trades, interest, intraday, settlement
from actors.book.rules.money.fees import ceil_cents
from actors.book.state.book import Book
from actors.book.view import day_trading_times, figures, sma
from actors.market.days import TradeDay, after
from actors.market.world import World

REGULATION_T_DAYS = 2
"""A call of Regulation T is due so many business days after settlement (margin-and-options §2.8)."""


def end_of_day_at(book: Book, world: World) -> int:
    """When the account's open trade date ends; 0 when none is open."""
    open_date = book.ledger().open_date
    return world.days.day(open_date).ends_at if open_date and world.days is not None else 0


def end_day(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Book and close the open trade date.

    The market goes over to the units of a split before any account has its turn, and the date that ends is of before:
    it is valued in the units that the account still holds.
    """
    world.before = world.actions.units_before(at) if world.actions.scaled else {}
    if not world.before:
        _end_day(draft, at, world)
        return
    try:
        world.valued.pop(draft.book.account_no, None)
        _end_day(draft, at, world)
    finally:
        world.before = {}
        world.valued.pop(draft.book.account_no, None)


def _end_day(draft: Draft, at: int, world: World) -> None:
    assert world.days is not None
    book = draft.book
    day = world.days.day(book.ledger().open_date)
    book_activity = _Booker(draft, day, at)
    _post_fees(book, book_activity)
    if book.type == "margin":
        _charge_borrow(book, day, world, book_activity)
    owed, earned = _accrue_interest(book, day, world)
    if day.following // 100 != day.trade_date // 100:
        owed, earned = _post_interest(owed, earned, book_activity)
    f = figures(book, world)
    money = book.ledger()
    # What accrued in this very booking is not in the record yet.
    equity = f.equity_money - (owed - money.margin_interest) + (earned - money.cash_interest)
    memo = sma(book, f)
    level = f.excess_money
    deficits = _deficits(book, day, world, equity, level)
    regulation_t = book.type == "margin" and memo < 0 and money.call.state in ("ok", "warning")
    settled = settlement.settled_cash(book.cash, money, day.trade_date)
    many = day_trading_times(book, day.trade_date)
    draft.emit(
        e.DayEnded(
            day.trade_date, at, equity, book.cash, f.long_money, f.short_money,
            equity - money.last_equity - money.deposits_today, money.deposits_today,
            f.net_initial_money, f.net_maintenance_money, settled, memo, owed, earned,
            day.following if _goes_on(book, day, world, owed, earned, deficits) else 0, deficits,
        )
    )  # fmt: skip
    day_calls.end_day(draft, day, many, equity, world)
    if regulation_t:
        due = after(world.days, day.settles_on, REGULATION_T_DAYS)
        margin_call.change(draft, "call", f, world, REGULATION_T, world.days.day(due).core_opens_at)


class _Booker:
    """Books activities of one trade date."""

    def __init__(self, draft: Draft, day: TradeDay, at: int) -> None:
        self._draft = draft
        self._day = day
        self._at = at

    def __call__(self, kind: str, sub_type: str, net: int, text: str, symbol: str = "", qty: int = 0) -> None:
        book = self._draft.book
        self._draft.emit(
            e.ActivityBooked(
                book.next_activity_no, kind, net, book.cash + net, text, symbol, qty, 0, sub_type,
                self._day.trade_date, self._at,
            )
        )  # fmt: skip


def _post_fees(book: Book, book_activity: _Booker) -> None:
    """One activity for each kind of fee, or for each kind and order, rounded up to the cent (rules §14)."""
    for fee in book.ledger().fees:
        text = f"{fee.kind} fee" + (f" of order {fee.order_no}" if fee.order_no else "")
        if fee.extrapolated:
            text += " (schedule_extrapolated)"
        book_activity("FEE", fee.kind, -ceil_cents(fee.pico), text)


def _charge_borrow(book: Book, day: TradeDay, world: World, book_activity: _Booker) -> None:
    """The day's fee for hard-to-borrow shorts, also for those that were covered today (rules §12)."""
    most = dict(book.ledger().shorted)
    for symbol, position in book.positions.items():
        instrument = world.instruments.by_symbol.get(symbol)
        if position.qty > 0 or instrument is None or instrument.asset_class != "us_equity":
            continue
        if not instrument.easy_to_borrow:
            most[symbol] = max(most.get(symbol, 0), -position.qty)
    for symbol in sorted(most):
        fee = interest.borrow_fee(most[symbol], world.mark(symbol), world.rates.borrow_ppm, day.nights)
        if fee:
            book_activity("FEE", "BORROW", -fee, f"borrow fee for {symbol}", symbol, most[symbol])


def _accrue_interest(book: Book, day: TradeDay, world: World) -> tuple[int, int]:
    """Interest owed and earned so far, with this date's nights (rules §13)."""
    money = book.ledger()
    settled = settlement.settled_cash(book.cash, money, day.trade_date)
    owed, earned = money.margin_interest, money.cash_interest
    if book.type == "margin" or settled < 0:
        proceeds = sum(
            -lot.basis_money
            for position in book.positions.values()
            if position.qty < 0
            for lot in position.lots
            if lot.opened_at < day.begins_at
        )
        rate = interest.margin_rate(world.rates, day.trade_date)
        owed += interest.debit_interest(settled, proceeds if book.type == "margin" else 0, rate, day.nights)
    flagged = money.day_trading is not None and money.day_trading.flagged
    if world.rates.cash_interest_ppm and not flagged:
        earned += interest.credit_interest(settled, world.rates.cash_interest_ppm, day.nights)
    return owed, earned


def _post_interest(owed: int, earned: int, book_activity: _Booker) -> tuple[int, int]:
    """Post the month's interest in cents; nothing stays accrued."""
    if interest.cents(owed):
        book_activity("INT", "MGN", -interest.cents(owed), "margin interest")
    if interest.cents(earned):
        book_activity("INT", "SWP", interest.cents(earned), "interest on cash")
    return 0, 0


def _deficits(book: Book, day: TradeDay, world: World, equity: int, level: int) -> tuple[Deficit, ...]:
    """Intraday margin deficits after the date, as far as they still matter (rules §8.2)."""
    money = book.ledger()
    record = money.intraday
    if record is None or world.days is None:
        return ()
    if day_trades.rule_set(book.rules().day_trade_rules, day.trade_date) != day_trades.INTRADAY:
        return record.deficits
    after_day = intraday.end_day(
        record.deficits, world.days, day.trade_date, record.lowest, equity, level, money.deposits_today
    )
    return intraday.still_needed(after_day, day.trade_date)


def _goes_on(book: Book, day: TradeDay, world: World, owed: int, earned: int, deficits: tuple[Deficit, ...]) -> bool:
    """Whether the following trade date's end has anything to book or to value."""
    money = book.ledger()
    return bool(
        book.positions
        or book.cash < 0
        or owed
        or earned
        or deficits
        or money.call.state != "ok"
        or any(closing.settles_on > day.trade_date for closing in book.closings.values())
        or any(date > day.trade_date for date, _ in money.settling)
        or (world.rates.cash_interest_ppm and book.cash)
    )
