"""What becomes of option contracts: the words that expiry, exercise and assignment share.

Invariants: an outcome says everything that it moves, in whole numbers: contracts out of the book, what they
bring or cost in cash, and every share that changes hands. One outcome's activities carry one group, so that the
removal of the option and the movement of stock or cash stay a pair (alpaca-api §4.5). Shares are booked at the
strike and the option closes at what was settled in cash, which is 0 for a physical contract
(margin-and-options §5.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from actors.book.instruments import WHOLE_PPM, Instrument
from actors.book.units import (
    MONEY_PER_DOLLAR,
    PRICE_PER_DOLLAR,
    QTY_PER_SHARE,
    average_price,
    divide_half_even,
    value_money,
)

How = Literal["expired", "exercised", "assigned"]
Prices = Mapping[str, int]
"""Price units by symbol; a symbol without an official price is absent."""

_REMOVED_BY: Final[dict[How, str]] = {"expired": "OPEXP", "exercised": "OPEXC", "assigned": "OPASN"}
_MONEY_PER_PRICE: Final = MONEY_PER_DOLLAR // PRICE_PER_DOLLAR


class Holding(Struct, frozen=True):
    """Some contracts of one kind, signed."""

    instrument: Instrument
    qty: int
    """Quantity units; a multiple of a whole contract."""


class Delivery(Struct, frozen=True):
    """Shares, or cash in their place, that change hands because of a contract."""

    symbol: str
    """Of the stock; of the option for cash."""
    qty: int
    """Signed change of the account's shares, quantity units; 0 for cash."""
    price: int
    """Price units a share, informative."""
    net_money: int
    """Signed change of the account's cash."""
    delayed: bool = False


class Outcome(Struct, frozen=True):
    """The end of some contracts of one kind."""

    symbol: str
    how: How
    qty: int
    """Signed change of the account's contracts, quantity units."""
    proceeds_money: int
    """Cash that the contract itself settles in; its profit and loss. 0 for a physical contract."""
    deliveries: tuple[Delivery, ...]
    reason: str
    """Why it ended so; one of a fixed set of words."""
    intrinsic_money: int = 0
    """Of one contract at the settlement price, below zero when out of the money."""

    @property
    def cash_money(self) -> int:
        """Everything that the outcome does to cash."""
        return self.proceeds_money + sum(delivery.net_money for delivery in self.deliveries)


class Activity(Struct, frozen=True):
    """One row of the account's activities (alpaca-api §4.5)."""

    type: str
    symbol: str
    qty: int
    price: int
    net_money: int
    group: int
    """The same for the rows that belong together."""


class NetChange(Struct, frozen=True):
    """What several outcomes do together."""

    cash_money: int
    shares: dict[str, int]
    """Signed quantity units by stock; without entries of zero."""


class Unpriced(Struct, frozen=True):
    """A contract whose worth cannot be told yet: why, and of what the price or the fact is missing."""

    reason: Literal["no_settlement_price", "unknown_deliverable"]
    symbol: str


def intrinsic(instrument: Instrument, prices: Prices) -> int | Unpriced:
    """Money that one contract is in the money (corporate-actions §6.1): the deliverable's value against the cost."""
    value = deliverable_money(instrument, prices)
    if isinstance(value, Unpriced):
        return value
    return value - instrument.exercise_money if instrument.right == "call" else instrument.exercise_money - value


def deliverable_money(instrument: Instrument, prices: Prices) -> int | Unpriced:
    """Value of everything that one contract delivers; of a cash-settled one, the index times the multiplier."""
    if instrument.settlement == "cash":
        price = prices.get(instrument.underlying)
        if not price:
            return Unpriced("no_settlement_price", instrument.underlying)
        return price * _MONEY_PER_PRICE * instrument.multiplier
    if not instrument.deliverables:
        return Unpriced("unknown_deliverable", instrument.symbol)
    value = 0
    for part in instrument.deliverables:
        if part.kind == "cash":
            value += part.amount
            continue
        price = prices.get(part.symbol)
        if not price:
            return Unpriced("no_settlement_price", part.symbol)
        value += value_money(price, part.amount)
    return value


def expire(holding: Holding, reason: str, worth: int) -> Outcome:
    """Contracts that end with nothing."""
    return Outcome(holding.instrument.symbol, "expired", -holding.qty, 0, (), reason, worth)


def settle(holding: Holding, reason: str, worth: int, prices: Prices) -> Outcome:
    """Contracts that are exercised (long) or assigned (short), with everything that this moves."""
    instrument, qty = holding.instrument, holding.qty
    how: How = "exercised" if qty > 0 else "assigned"
    contracts = qty // QTY_PER_SHARE
    if instrument.settlement == "cash":
        return Outcome(instrument.symbol, how, -qty, worth * contracts, (), reason, worth)
    toward = contracts if instrument.right == "call" else -contracts
    deliveries = tuple(_deliveries(instrument, toward, prices))
    return Outcome(instrument.symbol, how, -qty, 0, deliveries, reason, worth)


def _deliveries(instrument: Instrument, toward: int, prices: Prices) -> Iterable[Delivery]:
    """Every part of the deliverable, ``toward`` contracts' worth of it coming in; the last share part takes what
    rounding leaves of the cost, so that the parts cost exactly what the exercise costs."""
    shares = [part for part in instrument.deliverables if part.kind == "equity"]
    cost = instrument.exercise_money * toward
    left = cost
    for place, part in enumerate(shares, 1):
        share = part.allocation_ppm or WHOLE_PPM // len(shares)
        part_cost = left if place == len(shares) else divide_half_even(cost * share, WHOLE_PPM)
        left -= part_cost
        qty = part.amount * toward
        yield Delivery(part.symbol, qty, average_price(abs(part_cost), abs(qty)), -part_cost, part.delayed)
    for part in instrument.deliverables:
        if part.kind == "equity":
            continue
        price = prices.get(part.symbol, 0)
        amount = part.amount if part.kind == "cash" else value_money(price, part.amount)
        yield Delivery(instrument.symbol, 0, price, amount * toward, part.delayed)
    if not shares:
        yield Delivery(instrument.symbol, 0, 0, -cost)


def activities(outcomes: Iterable[Outcome], first_group: int = 1) -> list[Activity]:
    """The rows of some outcomes, in their order; the rows of one outcome share a group."""
    rows: list[Activity] = []
    for group, outcome in enumerate(outcomes, first_group):
        rows.append(Activity(_REMOVED_BY[outcome.how], outcome.symbol, outcome.qty, 0, 0, group))
        if outcome.proceeds_money:
            price = average_price(abs(outcome.proceeds_money), abs(outcome.qty))
            rows.append(Activity("OPCSH", outcome.symbol, 0, price, outcome.proceeds_money, group))
        rows += [
            Activity(
                "OPTRD" if delivery.qty else "OPCSH",
                delivery.symbol,
                delivery.qty,
                delivery.price,
                delivery.net_money,
                group,
            )
            for delivery in outcome.deliveries
        ]
    return rows


def net_change(outcomes: Iterable[Outcome]) -> NetChange:
    """The sum of some outcomes, which are one transaction."""
    cash, shares = 0, dict[str, int]()
    for outcome in outcomes:
        cash += outcome.cash_money
        for delivery in outcome.deliveries:
            if delivery.qty:
                shares[delivery.symbol] = shares.get(delivery.symbol, 0) + delivery.qty
    return NetChange(cash, {symbol: qty for symbol, qty in sorted(shares.items()) if qty})
