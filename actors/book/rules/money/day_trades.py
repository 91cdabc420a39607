"""Counting day trades and protecting small accounts from them: the rule of 2001 (rules §8.1).

Invariants: every new opening order can make at most one later closing run a day trade, however many executions
it has; what is exercised, assigned or moved by a corporate action is no purchase or sale and never comes here.
Pure: records in, records out.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from actors.book.events.parts import DayCount, DayMark, DayTrading
from actors.book.units import MONEY_PER_DOLLAR
from actors.market.days import plus_days

RULES_END = 20260604
"""First trade date of the intraday margin rule; ``auto`` changes over here."""
EQUITY_MIN_MONEY = 25_000 * MONEY_PER_DOLLAR
PATTERN_MIN = 4
PATTERN_PERCENT = 6
WINDOW_DAYS = 5
CLOSES_ONLY_DAYS = 90
"""So long an account below the minimum may only close once it has day-traded as a pattern day trader."""
PDT, INTRADAY, OFF = "finra_pdt_2001", "intraday_margin_2026", "off"


def rule_set(setting: str, trade_date: int) -> str:
    """The rule set in force on a trade date (§8)."""
    if setting != "auto":
        return setting
    return INTRADAY if trade_date >= RULES_END else PDT


class Leg(Struct, frozen=True, gc=False):
    """One execution: a side of one security, and the position before it."""

    symbol: str
    buying: bool
    qty: int
    before_qty: int


def roll(record: DayTrading, trade_date: int, first_date: int) -> DayTrading:
    """The record at ``trade_date``; past dates before ``first_date`` are forgotten."""
    if record.trade_date == trade_date:
        return record
    past = record.past
    if record.trade_date and record.orders:
        past = (*past, DayCount(record.trade_date, record.day_trades, len(record.orders)))
    kept = tuple(day for day in past if day.trade_date >= first_date)
    return DayTrading(trade_date, past=kept, flagged=record.flagged, closes_only_until=record.closes_only_until)


def counts(record: DayTrading, first_date: int) -> tuple[int, int]:
    """Day trades and trades from ``first_date`` up to the record's own date."""
    days = [day for day in record.past if day.trade_date >= first_date]
    return (
        record.day_trades + sum(day.day_trades for day in days),
        len(record.orders) + sum(day.trades for day in days),
    )


def is_pattern(day_trades: int, trades: int) -> bool:
    """Four or more day trades that are more than six percent of the trades."""
    return day_trades >= PATTERN_MIN and day_trades * 100 > PATTERN_PERCENT * trades


def execute(
    record: DayTrading,
    trade_date: int,
    first_date: int,
    order_no: int,
    legs: tuple[Leg, ...],
    value_money: int = 0,
    power_money: int | None = None,
    last_equity: int = EQUITY_MIN_MONEY,
) -> DayTrading:
    """The record after an execution of one order; several legs are one order's parts.

    ``value_money`` is what it was worth: day-trading buying power used by opening, restored by closing.
    ``power_money`` is what there was of it at the start of the date; null when the account has none to exceed.
    """
    record = roll(record, trade_date, first_date)
    marks = {mark.symbol: mark for mark in record.marks}
    found = 0
    opened_all = True
    used = before_used = record.used_money
    for leg in legs:
        mark, day_trade, opened = _execute_leg(marks.get(leg.symbol), order_no, leg)
        marks[leg.symbol] = mark
        found += day_trade
        opened_all = opened_all and opened
        used = max(0, used + (value_money if opened else -value_money) // len(legs))
    units = record.units
    unit = tuple(sorted(leg.symbol for leg in legs))
    if len(legs) > 1:
        if found > 1 and unit in units:
            found = 1
        elif opened_all and unit not in units:
            units = (*units, unit)
    orders = record.orders if order_no in record.orders else (*record.orders, order_no)
    record = replace(
        record,
        day_trades=record.day_trades + found,
        orders=orders,
        marks=tuple(marks.values()),
        units=units,
        used_money=used,
    )
    if power_money is not None and used > power_money + record.exceeded_money and used > before_used:
        record = replace(record, exceeded_money=used - power_money)
    if record.flagged and found and last_equity < EQUITY_MIN_MONEY:
        record = replace(record, closes_only_until=plus_days(trade_date, CLOSES_ONLY_DAYS))
    if not record.flagged and is_pattern(*counts(record, first_date)):
        record = replace(record, flagged=True)
    return record


def _execute_leg(mark: DayMark | None, order_no: int, leg: Leg) -> tuple[DayMark, int, bool]:
    mark = mark or DayMark(leg.symbol, False, False, ())
    opened, armed, seen = mark.opened, mark.armed, mark.seen
    against = leg.before_qty != 0 and (leg.before_qty > 0) != leg.buying
    reduce = min(leg.qty, abs(leg.before_qty)) if against else 0
    increase = leg.qty - reduce
    found = 0
    if reduce and opened and armed:
        found, armed = 1, False
    if increase:
        opened = True
        key = order_no * 2 + leg.buying
        if key not in seen:
            seen, armed = (*seen, key), True
    return DayMark(leg.symbol, opened, armed, seen), found, increase > 0


class Probe(Struct, frozen=True, gc=False):
    """A new order, as far as the protection looks at it."""

    symbol: str
    reduces: bool
    opens: bool
    opposite_pending: bool
    """An open order on the other side of the same security."""


def refusal(record: DayTrading, trade_date: int, first_date: int, last_equity: int, check: str, probe: Probe) -> str:
    """Why the protection refuses an order (§8.1); empty when it does not."""
    if last_equity >= EQUITY_MIN_MONEY:
        return ""
    record = roll(record, trade_date, first_date)
    armed = any(mark.symbol == probe.symbol and mark.opened and mark.armed for mark in record.marks)
    potential = (probe.reduces and armed) or probe.opposite_pending or (check in ("entry", "both") and probe.opens)
    if not potential:
        return ""
    if record.flagged:
        return "pdt_restricted"
    day_trades, trades = counts(record, first_date)
    return "pdt_protection" if is_pattern(day_trades + 1, trades + 1) else ""
