"""Early assignment: who is assigned tonight, drawn from the account's own seed, and why (fill model §15).

Invariants: every short contract is a draw of its own, keyed by date, contract and index, so that a result depends
neither on other accounts nor on the order in which anything happened; only American contracts are assigned early;
each assignment carries the rule, the probability and the numbers behind it. The first indexes are the account's
contracts in no particular order: a contract is like another.

Known limits: a contract without a two-sided quote has no time value to judge by and is not assigned.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from actors.book.ids import chance, draw_u64
from actors.book.rules.options.outcome import Holding, Outcome, Prices, Unpriced, intrinsic, settle
from actors.book.rules.options.precheck import Touch
from actors.book.rules.options.warnings import is_assignable, time_value
from actors.book.units import PRICE_PER_DOLLAR, QTY_PER_SHARE, divide_half_even

Rule = Literal["dividend", "carry", "deep"]

_WHOLE: Final = 1_000_000
_CENT: Final = PRICE_PER_DOLLAR // 100
_DEEP_PARTS: Final = 20
"""More than 5 % in the money."""
_DEEP_DAYS: Final = 4
_DEEP_TIME_VALUE: Final = 5 * _CENT
_DEEP_PPM: Final = 20_000
_DAYS_PER_YEAR: Final = 365


class Evening(Struct, frozen=True):
    """What is known of one contract after the close."""

    price: int
    """Of the underlying, price units."""
    touch: Touch | None
    """The contract's last quote."""
    days_left: int
    """Calendar days to its expiry."""
    dividend_price: int = 0
    """A share, of a dividend whose ex-date is the next session; price units."""
    rate_ppm: int = 0
    """Annual interest."""


class Likelihood(Struct, frozen=True):
    """How likely a contract is to be assigned tonight, and why."""

    probability_ppm: int
    rule: Rule
    numbers: dict[str, int]
    """Price units, ppm and days behind it."""


class Assigned(Struct, frozen=True):
    """Contracts that are assigned tonight."""

    outcome: Outcome
    likelihood: Likelihood
    drawn: tuple[int, ...]
    """The draw of each short contract, in ppm, by index: below the probability means assigned."""


def likelihood(holding: Holding, evening: Evening, scale_ppm: int = _WHOLE) -> Likelihood | None:
    """The probability for each short contract, times ``scale_ppm``; ``None`` when nobody would exercise."""
    instrument = holding.instrument
    if holding.qty >= 0 or not is_assignable(instrument):
        return None
    call = instrument.right == "call"
    inside = evening.price - instrument.strike if call else instrument.strike - evening.price
    value = time_value(instrument, evening.price, evening.touch)
    if inside <= 0 or value is None:
        return None
    found = _by_dividend(evening, value) if call else _by_carry(instrument.strike, evening, value)
    if found is None:
        found = _by_depth(instrument.strike, inside, evening, value)
    if found is None:
        return None
    scaled = min(_WHOLE, found.probability_ppm * scale_ppm // _WHOLE)
    return Likelihood(scaled, found.rule, found.numbers)


def _by_dividend(evening: Evening, value: int) -> Likelihood | None:
    dividend = evening.dividend_price
    if value >= dividend:
        return None
    ppm = 500_000 + divide_half_even(450_000 * min(dividend, dividend - value), dividend)
    return Likelihood(ppm, "dividend", {"dividend_price": dividend, "time_value_price": value})


def _by_carry(strike: int, evening: Evening, value: int) -> Likelihood | None:
    carry = strike * evening.rate_ppm * evening.days_left // (_WHOLE * _DAYS_PER_YEAR)
    if carry <= value + _CENT:
        return None
    ppm = 100_000 + divide_half_even(400_000 * min(carry, carry - value), carry)
    return Likelihood(
        ppm,
        "carry",
        {"carry_price": carry, "time_value_price": value, "rate_ppm": evening.rate_ppm, "days": evening.days_left},
    )


def _by_depth(strike: int, inside: int, evening: Evening, value: int) -> Likelihood | None:
    deep = inside * _DEEP_PARTS > strike
    if not deep or evening.days_left > _DEEP_DAYS or value > _DEEP_TIME_VALUE:
        return None
    return Likelihood(
        _DEEP_PPM, "deep", {"in_the_money_price": inside, "time_value_price": value, "days": evening.days_left}
    )


def draw_assignment(
    holding: Holding,
    evening: Evening,
    prices: Prices,
    *,
    seed: bytes,
    epoch: int,
    profile_hash: bytes,
    day: int,
    scale_ppm: int = _WHOLE,
) -> Assigned | None:
    """Which of an account's short contracts are assigned on the evening of ``day`` (YYYYMMDD); ``None`` for none."""
    found = likelihood(holding, evening, scale_ppm)
    if found is None:
        return None
    symbol = holding.instrument.symbol
    worth = intrinsic(holding.instrument, prices)
    if isinstance(worth, Unpriced):
        return None
    draws = tuple(
        draw_u64(seed, epoch, profile_hash, "", b"assignment", f"{day}/{symbol}/{index}") % _WHOLE
        for index in range(-holding.qty // QTY_PER_SHARE)
    )
    assigned = sum(chance(draw, found.probability_ppm) for draw in draws)
    if not assigned:
        return None
    short = Holding(holding.instrument, -assigned * QTY_PER_SHARE)
    return Assigned(settle(short, f"early_{found.rule}", worth, prices), found, draws)


def assign(holding: Holding, prices: Prices, contracts: int, reason: str) -> Outcome | Unpriced:
    """Assign so many contracts of a short holding, whoever decided it."""
    worth = intrinsic(holding.instrument, prices)
    if isinstance(worth, Unpriced):
        return worth
    contracts = min(contracts, -holding.qty // QTY_PER_SHARE)
    return settle(Holding(holding.instrument, -contracts * QTY_PER_SHARE), reason, worth, prices)
