"""Intraday margin: deficits, calls and freezes of the rule of 2026 (rules §8.2, margin-and-options §2.5).

Invariants: only transactions that reduce the intraday margin level make a deficit, never the market; a deficit
stands until it is met or its fifteenth business day ends; a small one never freezes an account. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from actors.book.events.parts import Deficit
from actors.book.units import MONEY_PER_DOLLAR
from actors.market.days import Days, after, plus_days

MINOR_MAX_MONEY = 1_000 * MONEY_PER_DOLLAR
MINOR_EQUITY_PARTS = 20
"""A deficit of up to a twentieth (5 %) of equity is small."""
CALL_DAYS, FREEZE_DAYS, OUTSTANDING_DAYS = 2, 5, 15
FREEZE_LASTS_DAYS = 90
BLOCK, AT_END = "real_time_block", "eod_only"


class Freeze(Struct, frozen=True, gc=False):
    """No new or larger short position, no new or larger debit."""

    trigger: int
    first: int
    last: int


def lowest_after(lowest: int, level: int) -> int:
    """The day's worst level after one more transaction that reduced it; never above zero."""
    return min(lowest, level)


def lowest_with_deposit(lowest: int, money: int) -> int:
    """A deposit of the same day counts as made at its start."""
    return min(0, lowest + money) if money > 0 else lowest


def end_day(
    deficits: tuple[Deficit, ...],
    days: Days,
    trade_date: int,
    lowest: int,
    equity: int,
    level_at_end: int,
    net_deposits: int,
) -> tuple[Deficit, ...]:
    """Deficits after a trade date: old ones met or carried on, and the date's own."""
    out = []
    for deficit in deficits:
        if not deficit.satisfied_on:
            deposits = deficit.deposits + net_deposits
            met = max(deposits, level_at_end - deficit.iml_at_end) >= deficit.money
            deficit = replace(deficit, deposits=deposits, satisfied_on=trade_date if met else 0)
        out.append(deficit)
    if lowest < 0:
        money = -lowest
        out.append(
            Deficit(
                trade_date,
                money,
                money <= min(equity // MINOR_EQUITY_PARTS, MINOR_MAX_MONEY),
                after(days, trade_date, CALL_DAYS),
                after(days, trade_date, FREEZE_DAYS),
                after(days, trade_date, OUTSTANDING_DAYS),
                level_at_end,
            )
        )
    return tuple(out)


def still_needed(deficits: tuple[Deficit, ...], trade_date: int) -> tuple[Deficit, ...]:
    """Those that can still have a consequence after ``trade_date``."""
    return tuple(
        d
        for d in deficits
        if not (d.satisfied_on or d.ends_on <= trade_date)
        or ((freeze := freeze_of(d)) is not None and freeze.last > trade_date)
    )


def freeze_of(deficit: Deficit) -> Freeze | None:
    """The freeze that a deficit leads to if it is not met by its fifth business day."""
    if deficit.minor or 0 < deficit.satisfied_on <= deficit.freezes_after:
        return None
    last = plus_days(deficit.freezes_after, FREEZE_LASTS_DAYS)
    if deficit.satisfied_on:
        last = min(last, deficit.satisfied_on)
    return Freeze(deficit.trade_date, plus_days(deficit.freezes_after, 1), last)


def frozen_on(deficits: tuple[Deficit, ...], trade_date: int) -> Freeze | None:
    """The freeze in force on a date."""
    for deficit in deficits:
        freeze = freeze_of(deficit)
        if freeze is not None and freeze.first <= trade_date <= freeze.last:
            return freeze
    return None


def outstanding_through(deficit: Deficit) -> int:
    """Last date on which it stands."""
    return deficit.satisfied_on or deficit.ends_on


def refusal(
    deficits: tuple[Deficit, ...], trade_date: int, mode: str, increases: bool, reduces_level: bool, level_after: int
) -> str:
    """Why an order is refused: the account is frozen, or the level would fall below zero; else empty."""
    if increases and frozen_on(deficits, trade_date) is not None:
        return "margin_freeze"
    if mode == BLOCK and reduces_level and level_after < 0:
        return "intraday_margin_deficit"
    return ""
