"""The look at expiring contracts before the close: what could not be settled, and what to close for it.

Invariants: all contracts of an underlying that expire on the day are looked at together, and a structure is
closed whole or not at all; what is proposed is the fewest units that leave the rest payable at the present price.
A unit with a leg that nobody bids for (or offers, of a short) cannot be closed and is never proposed.

Known limits: a proposal is at the touch; what the orders really get is the matching's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.options.expiry import ExpiryPolicy, Settled, Waiting, groups, resolve
from actors.book.rules.options.means import Judge, fewest
from actors.book.rules.options.outcome import Holding, NetChange, Outcome, Prices, net_change
from actors.book.units import QTY_PER_SHARE, value_money


class UnitLeg(Struct, frozen=True):
    """One leg of a unit."""

    instrument: Instrument
    contracts: int
    """Signed, of one unit."""


class Unit(Struct, frozen=True):
    """What is closed together: one contract, or a structure in its ratios."""

    name: str
    """The structure's id, or the contract's symbol."""
    legs: tuple[UnitLeg, ...]
    count: int


class Touch(Struct, frozen=True):
    """The standing quote of a contract, price units; 0 for a missing side."""

    bid: int
    ask: int


class CloseOut(Struct, frozen=True):
    """So many units to be closed, and what that brings at the touch."""

    unit: Unit
    count: int
    net_money: int


class Precheck(Struct, frozen=True):
    """What the look found."""

    deficit_money: int
    """Missing if everything were held to its end at the present price; 0 when it can be settled."""
    closings: tuple[CloseOut, ...]
    left_money: int
    """Missing after the closings; above 0 only when nothing else can be closed."""


def precheck(
    units: Sequence[Unit], prices: Prices, quotes: Mapping[str, Touch], judge: Judge, policy: ExpiryPolicy
) -> Precheck | Waiting:
    """The units to close so that what is left can be settled at ``prices``, the present ones.

    ``judge`` gets the change of holding to the end, with what closing brings in its cash.
    """
    brings = [closing_money(unit, quotes) for unit in units]
    counts = [0 if money is None else unit.count for unit, money in zip(units, brings, strict=True)]
    first = _settled(_held(units, [0] * len(units)), prices, policy)
    if isinstance(first, Waiting):
        return first

    def lacks(closed: Sequence[int]) -> int:
        settled = _settled(_held(units, closed), prices, policy)
        assert not isinstance(settled, Waiting)
        change = net_change(settled)
        gained = sum(count * money for count, money in zip(closed, brings, strict=True) if money is not None)
        return judge(NetChange(change.cash_money + gained, change.shares))

    deficit = lacks([0] * len(units))
    closed = fewest(counts, lacks) if deficit else [0] * len(units)
    closings = tuple(
        CloseOut(unit, count, count * money)
        for unit, count, money in zip(units, closed, brings, strict=True)
        if count and money is not None
    )
    return Precheck(deficit, closings, lacks(closed))


def closing_money(unit: Unit, quotes: Mapping[str, Touch]) -> int | None:
    """Money that closing one unit at the touch brings, signed; ``None`` when a leg has nobody on the other side."""
    money = 0
    for leg in unit.legs:
        touch = quotes.get(leg.instrument.symbol)
        price = 0 if touch is None else touch.bid if leg.contracts > 0 else touch.ask
        if not price:
            return None
        money += value_money(price, leg.contracts * QTY_PER_SHARE, leg.instrument.multiplier)
    return money


def _held(units: Sequence[Unit], closed: Sequence[int]) -> list[Holding]:
    found: dict[str, Holding] = {}
    for unit, count in zip(units, closed, strict=True):
        for leg in unit.legs:
            symbol = leg.instrument.symbol
            before = found[symbol].qty if symbol in found else 0
            qty = before + leg.contracts * (unit.count - count) * QTY_PER_SHARE
            found[symbol] = Holding(leg.instrument, qty)
    return [holding for holding in found.values() if holding.qty]


def _settled(holdings: Sequence[Holding], prices: Prices, policy: ExpiryPolicy) -> list[Outcome] | Waiting:
    outcomes: list[Outcome] = []
    for group in groups(holdings):
        settled = resolve(group, prices, policy)
        if isinstance(settled, Waiting):
            return settled
        assert isinstance(settled, Settled)
        outcomes += settled.outcomes
    return outcomes
