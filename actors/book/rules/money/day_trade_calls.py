"""Day-trading buying power and the call for exceeding it: the rule of 2001 (rules §8.1; FINRA 4210(f)(8)(B), old).

A pattern day trader with 25,000 dollars has four times the maintenance excess of the day before for the day. Opening
trades use it, same-day closing gives it back. What goes beyond it is a call at the end of the trade date: for the
equity that was short of it, due by the end of the fifth trade date after. Meanwhile the account has twice the excess;
after a deadline that passed it may open things with its own cash only, for ninety days or until the call is met. Only
deposits meet a call, each held for two trade dates. A pattern day trader below 25,000 dollars that day-trades all the
same (an exit that rested, say) may only close for ninety days or until it ends a day with them.

Invariants: pure; dates and money in, dates and money out; nothing here holds under another rule set.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book.events.parts import DayTradeCall, DayTrading, HeldDeposit
from actors.book.rules.money.day_trades import EQUITY_MIN_MONEY
from actors.book.units import MONEY_PER_CENT
from actors.market.days import Days, after, plus_days

FULL_TIMES, CALL_TIMES = 4, 2
DUE_DAYS, HOLD_DAYS, RESTRICTION_DAYS = 5, 2, 90
OPEN, MISSED = "call", "cash_only"


def times(flagged: bool, last_equity: int, calls: tuple[DayTradeCall, ...], trade_date: int) -> int:
    """How often the maintenance excess is the day's buying power; 1: only cash, 0: the rule does not concern it.

    A call counts from the trade date after the one on which the buying power was exceeded.
    """
    if not flagged or last_equity < EQUITY_MIN_MONEY:
        return 1 if cash_only_until(calls) else 0
    found = FULL_TIMES
    for call in calls:
        if call.state == MISSED:
            return 1
        if call.trade_date < trade_date:
            found = CALL_TIMES
    return found


def start_money(many: int, last_equity: int, last_maintenance: int) -> int | None:
    """Day-trading buying power at the start of a trade date; null when there is none to exceed."""
    return max(0, many * (last_equity - last_maintenance)) if many > 1 else None


def cash_only_until(calls: tuple[DayTradeCall, ...]) -> int:
    """Last date on which a call that was not met in time leaves the account to its cash; 0 for none."""
    return max([call.until for call in calls if call.state == MISSED], default=0)


def call_of(record: DayTrading, many: int, trade_date: int, days: Days) -> DayTradeCall | None:
    """The call that a trade date leaves behind; null when its buying power was not exceeded."""
    if record.trade_date != trade_date or not record.exceeded_money or many <= 1:
        return None
    money = -(-record.exceeded_money // (many * MONEY_PER_CENT)) * MONEY_PER_CENT
    due = after(days, trade_date, DUE_DAYS)
    return DayTradeCall(OPEN, trade_date, money, due, days.day(due).ends_at)


def missed(call: DayTradeCall, days: Days) -> DayTradeCall:
    """The same call after its deadline."""
    until = plus_days(call.until, RESTRICTION_DAYS)
    day = days.day(call.until)
    while day.following <= until:
        day = days.day(day.following)
    return replace(call, state=MISSED, until=until, due_at=day.ends_at)


def with_flow(calls: tuple[DayTradeCall, ...], money: int) -> tuple[DayTradeCall, ...]:
    """The calls after money came in or went out: it goes to the oldest that is not met, and on to the next."""
    out = []
    for index, call in enumerate(calls):
        last = index == len(calls) - 1
        part = money if last or money < 0 else min(money, max(0, call.money - call.deposits))
        out.append(replace(call, deposits=call.deposits + part))
        money -= part
    return tuple(out)


def is_met(call: DayTradeCall) -> bool:
    """Whether the net deposits since have reached it."""
    return call.deposits >= call.money


def held_deposit(calls: tuple[DayTradeCall, ...], money: int, trade_date: int, days: Days) -> HeldDeposit | None:
    """What has to stay of a deposit that calls were waiting for, and until when."""
    wanted = min(money, sum(max(0, call.money - call.deposits) for call in calls))
    return HeldDeposit(after(days, trade_date, HOLD_DAYS), wanted) if wanted > 0 else None


def held_money(held: tuple[HeldDeposit, ...], trade_date: int) -> int:
    """Deposits that may not leave on a date."""
    return sum([entry.money for entry in held if entry.until >= trade_date])


def is_over(record: DayTrading, equity: int, trade_date: int) -> bool:
    """Whether the restriction to closing ends with a trade date that left ``equity``."""
    last = record.closes_only_until
    return last > 0 and (equity >= EQUITY_MIN_MONEY or last <= trade_date)


def released(record: DayTrading) -> DayTrading:
    """The record once the account may open positions again."""
    return replace(record, closes_only_until=0)


def unflagged(record: DayTrading) -> DayTrading:
    """The record of an account that is no pattern day trader any more."""
    return replace(record, flagged=False, closes_only_until=0)


def closes_only(record: DayTrading, last_equity: int, trade_date: int) -> bool:
    """Whether a pattern day trader may only reduce positions on a date."""
    return record.closes_only_until >= trade_date and last_equity < EQUITY_MIN_MONEY
