"""Interest and borrow fees, a day at a time (rules §12, §13).

Invariants: interest runs on settled balances at the end of a trade date, for every calendar day until the next
one; it accrues in money units and is rounded to the cent when it is posted, once a month. Short proceeds do not
reduce a debit. An intraday debit costs nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.book.units import MONEY_PER_CENT, MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, QTY_PER_SHARE, divide_half_even

PPM: Final = 1_000_000
ROUND_LOT: Final = 100
MARGIN_RATES: Final = ((0, 65_000), (20260917, 62_500))
"""First trade date and yearly rate of a debit, ppm."""


class Rates(Struct, frozen=True):
    """What a deployment may set; dated tables hold where a value is 0 or less."""

    margin_interest_ppm: int = -1
    """Yearly, on the settled debit; -1: the dated table."""
    cash_interest_ppm: int = 0
    """Yearly, on positive settled cash."""
    borrow_ppm: int = 100_000
    """Yearly, on hard-to-borrow shorts in round lots."""
    locate_price: int = 100
    """Price units that a share found to borrow costs once."""


def margin_rate(rates: Rates, trade_date: int) -> int:
    """Yearly rate of a debit on a trade date, ppm."""
    if rates.margin_interest_ppm >= 0:
        return rates.margin_interest_ppm
    return max(row for row in MARGIN_RATES if row[0] <= trade_date)[1]


def debit_interest(settled: int, short_proceeds: int, rate_ppm: int, nights: int) -> int:
    """Interest of ``nights`` days on the settled debit; ``short_proceeds`` lie in cash and lend nothing."""
    debit = max(0, short_proceeds - settled)
    return divide_half_even(debit * rate_ppm * nights, 360 * PPM)


def credit_interest(settled: int, rate_ppm: int, nights: int) -> int:
    """Interest of ``nights`` days on positive settled cash, to a hundredth of a cent."""
    step = MONEY_PER_CENT // 100
    return divide_half_even(max(0, settled) * rate_ppm * nights, 365 * PPM * step) * step


def borrow_fee(qty: int, price: int, rate_ppm: int, nights: int) -> int:
    """Fee for shares short, in round lots, rounded to the cent."""
    lots = -(-qty // (ROUND_LOT * QTY_PER_SHARE)) * ROUND_LOT
    money = divide_half_even(lots * price * rate_ppm * nights * MONEY_PER_DOLLAR, 360 * PPM * PRICE_PER_DOLLAR)
    return cents(money)


def cents(money: int) -> int:
    """To the cent, half up on the absolute value (rules §3)."""
    sign = -1 if money < 0 else 1
    return sign * ((abs(money) * 2 + MONEY_PER_CENT) // (2 * MONEY_PER_CENT)) * MONEY_PER_CENT
