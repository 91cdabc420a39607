"""Expiration: what every contract of one underlying becomes on its last day (fill model §15, margin-and-options §5).

Invariants:
- All contracts that settle by one price are one transaction, in the order worthless, exercised, assigned.
- Nothing is dropped: when the price of anything that the group delivers is missing, the whole group waits and
  says for what.
- Lack of means never prevents a settlement under ``allow``; it is a deficit that somebody else deals with.
- The same holdings, prices and instructions give the same outcome in the same order, however they were listed.

Known limits: every short that ends in the money is assigned in full, although some holder somewhere may decline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct, structs

from actors.book.instruments import Instrument
from actors.book.rules.options.means import Judge, fewest
from actors.book.rules.options.outcome import (
    Holding,
    Outcome,
    Prices,
    Unpriced,
    expire,
    intrinsic,
    net_change,
    settle,
)
from actors.book.units import MONEY_PER_CENT, QTY_PER_SHARE

Shortfall = Literal["allow", "dne", "liquidate"]


class ExpiryPolicy(Struct, frozen=True):
    """How an account's expiring contracts are dealt with; data, chosen with the account's profile."""

    exercise_threshold_money: int = MONEY_PER_CENT
    """A share, in the money: from here on a long is exercised unless told otherwise (OCC Rule 805)."""
    shortfall: Shortfall = "allow"
    """``allow``: settle anyway. ``dne``: what cannot be paid or delivered lapses. ``liquidate``: as ``allow``, but
    sold before the close as far as it could not be settled."""
    contrary_exercise: bool = False
    """Whether an instruction may exercise what is not in the money."""


SETTLE: Final = ExpiryPolicy()
CLOSEOUT: Final = ExpiryPolicy(shortfall="liquidate")


class Instruction(Struct, frozen=True):
    """What a holder wants done with some contracts at their expiry."""

    kind: Literal["exercise", "do_not_exercise"]
    symbol: str
    qty: int
    """Quantity units, positive."""


class Group(Struct, frozen=True):
    """Contracts that one settlement price ends together."""

    underlying: str
    settles_on: int
    settles: str
    holdings: tuple[Holding, ...]


class Settled(Struct, frozen=True):
    """A whole group's end."""

    outcomes: tuple[Outcome, ...]


class Waiting(Struct, frozen=True):
    """A group that cannot be settled yet."""

    reason: str
    missing: str
    """The symbol whose price or deliverable is not known."""


def groups(holdings: Iterable[Holding]) -> list[Group]:
    """Holdings by what ends them together: underlying, settlement, and what an adjusted contract delivers."""
    found: dict[tuple[str, int, str, str], list[Holding]] = {}
    for holding in sorted(holdings, key=_by_symbol):
        instrument = holding.instrument
        kind = instrument.root if instrument.is_adjusted else ""
        key = (instrument.underlying, instrument.settlement_date, instrument.settles, kind)
        found.setdefault(key, []).append(holding)
    return [Group(key[0], key[1], key[2], tuple(part)) for key, part in sorted(found.items())]


def resolve(
    group: Group, prices: Prices, policy: ExpiryPolicy = SETTLE, instructions: Sequence[Instruction] = ()
) -> Settled | Waiting:
    """What becomes of a group at ``prices``; the account's means are not asked."""
    worths: dict[str, int] = {}
    for holding in group.holdings:
        worth = intrinsic(holding.instrument, prices)
        if isinstance(worth, Unpriced):
            return Waiting(worth.reason, worth.symbol)
        worths[holding.instrument.symbol] = worth
    outcomes: list[Outcome] = []
    for holding in group.holdings:
        worth = worths[holding.instrument.symbol]
        if holding.qty > 0:
            outcomes += _long(holding, worth, prices, policy, instructions)
        elif is_in_the_money(holding.instrument, worth, policy):
            outcomes.append(settle(holding, "in_the_money", worth, prices))
        else:
            outcomes.append(expire(holding, "not_in_the_money", worth))
    return Settled(tuple(sorted(outcomes, key=_in_order)))


def resolve_within_means(
    group: Group,
    prices: Prices,
    judge: Judge,
    policy: ExpiryPolicy = SETTLE,
    instructions: Sequence[Instruction] = (),
) -> Settled | Waiting:
    """As :func:`resolve`; under ``dne`` the fewest longs lapse that leave the rest payable and deliverable.

    ``judge`` says how much is missing after a change, in money units. It gives value away, so it is a last resort.
    """
    settled = resolve(group, prices, policy, instructions)
    if isinstance(settled, Waiting) or policy.shortfall != "dne":
        return settled
    fixed = [outcome for outcome in settled.outcomes if outcome.how != "exercised"]
    longs = [outcome for outcome in settled.outcomes if outcome.how == "exercised"]
    by_symbol = {holding.instrument.symbol: holding.instrument for holding in group.holdings}

    def after(lapsed: Sequence[int]) -> list[Outcome]:
        outcomes = list(fixed)
        for outcome, count in zip(longs, lapsed, strict=True):
            outcomes += _lapse(by_symbol[outcome.symbol], outcome, count, prices)
        return outcomes

    counts = [-outcome.qty // QTY_PER_SHARE for outcome in longs]
    lapsed = fewest(counts, lambda taken: judge(net_change(after(taken))))
    return Settled(tuple(sorted(after(lapsed), key=_in_order)))


def is_in_the_money(instrument: Instrument, worth: int, policy: ExpiryPolicy = SETTLE) -> bool:
    """Whether a contract whose intrinsic value is ``worth`` is exercised by exception."""
    return worth >= policy.exercise_threshold_money * instrument.multiplier


def _long(
    holding: Holding, worth: int, prices: Prices, policy: ExpiryPolicy, instructions: Sequence[Instruction]
) -> list[Outcome]:
    """Exercised by exception or not, except for what the holder said otherwise."""
    automatic = is_in_the_money(holding.instrument, worth, policy)
    wish = "do_not_exercise" if automatic else "exercise"
    told = 0
    if automatic or policy.contrary_exercise:
        told = sum(i.qty for i in instructions if i.kind == wish and i.symbol == holding.instrument.symbol)
    told = min(told, holding.qty)
    rest = structs.replace(holding, qty=holding.qty - told)
    other = structs.replace(holding, qty=told)
    found: list[Outcome] = []
    if automatic:
        if rest.qty:
            found.append(settle(rest, "in_the_money", worth, prices))
        if told:
            found.append(expire(other, "do_not_exercise", worth))
        return found
    if rest.qty:
        found.append(expire(rest, "not_in_the_money", worth))
    if told:
        found.append(settle(other, "instructed", worth, prices))
    return found


def _lapse(instrument: Instrument, outcome: Outcome, count: int, prices: Prices) -> list[Outcome]:
    """An exercise of which ``count`` contracts lapse."""
    if not count:
        return [outcome]
    lapsed = count * QTY_PER_SHARE
    kept = -outcome.qty - lapsed
    found = [expire(Holding(instrument, lapsed), "beyond_means", outcome.intrinsic_money)]
    if kept:
        found.append(settle(Holding(instrument, kept), outcome.reason, outcome.intrinsic_money, prices))
    return found


_ORDER: Final = {"expired": 0, "exercised": 1, "assigned": 2}


def _in_order(outcome: Outcome) -> tuple[int, str, str]:
    return _ORDER[outcome.how], outcome.symbol, outcome.reason


def _by_symbol(holding: Holding) -> str:
    return holding.instrument.symbol
