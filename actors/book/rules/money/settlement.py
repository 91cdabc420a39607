"""Settled and unsettled cash, and what a cash account may not do with it (margin-and-options §1, rules §8.3, §9).

Invariants: a purchase draws on settled cash first, then on the unsettled proceeds that settle soonest; selling
what was bought with unsettled money before that money settles is a good-faith violation, and free riding when the
money comes later than the purchase itself settles.
"""

from __future__ import annotations

from typing import Final

from actors.book.state.money import Money
from actors.market.days import plus_days

GOOD_FAITH, FREE_RIDING = "good_faith", "free_riding"
GOOD_FAITH_MAX: Final = 3
"""So many within twelve months restrict the account (rules §8.3)."""
COUNT_DAYS: Final = 365
RESTRICTED_DAYS: Final = 90


def unsettled(money: Money, trade_date: int) -> int:
    """What has not settled yet on a trade date: proceeds of a cash account, net change of a margin account's cash."""
    return sum(amount for day, amount in money.settling if day > trade_date)


def settled_cash(cash: int, money: Money, trade_date: int) -> int:
    """Cash that has settled."""
    return cash - unsettled(money, trade_date)


def restricted(money: Money, trade_date: int) -> bool:
    """Whether a cash account may only spend settled cash."""
    return trade_date <= money.settled_only_until


def draw(cash_before: int, money: Money, trade_date: int, cost: int) -> tuple[tuple[int, int], ...]:
    """Unsettled proceeds that a purchase of ``cost`` uses up, as (settlement date, money)."""
    left = cost - max(0, settled_cash(cash_before, money, trade_date))
    draws = []
    for day, amount in money.settling:
        if left <= 0:
            break
        if day > trade_date and amount > 0:
            used = min(left, amount)
            draws.append((day, used))
            left -= used
    return tuple(draws)


def violation_of(money: Money, lot_nos: tuple[int, ...], trade_date: int) -> str:
    """The violation that selling these lots is on a trade date; empty for none."""
    worst = ""
    for lot_no, paid_on, lot_settles_on in money.unpaid:
        if lot_no in lot_nos and trade_date < paid_on:
            if paid_on > lot_settles_on:
                return FREE_RIDING
            worst = GOOD_FAITH
    return worst


def consequence(money: Money, kind: str, trade_date: int) -> tuple[int, int]:
    """How many violations of the kind there are with this one, and the last date of the restriction it brings."""
    since = plus_days(trade_date, -COUNT_DAYS)
    count = 1 + sum(1 for day, other, _ in money.violations if other == kind and day > since)
    if kind == FREE_RIDING or count >= GOOD_FAITH_MAX:
        return count, plus_days(trade_date, RESTRICTED_DAYS)
    return count, 0
