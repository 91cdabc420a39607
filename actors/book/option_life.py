"""Booking what became of option contracts: activities move the cash, position facts move contracts and shares.

Invariants: the facts of one call are one transaction in one turn; rows of one outcome carry one group number, the
number of its first activity, so that a removal and its stock or cash are a pair for ever (alpaca-api §4.5). The
option leg is closed at what it settles in cash, nothing for a physical contract; shares are booked at the strike
(margin-and-options §5.5). A position fact of this kind has no cash of its own: its activity has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from actors.book import events as e
from actors.book.aftermath import book_delivery
from actors.book.draft import Draft
from actors.book.instruments import Instrument
from actors.book.rules.booking import book_value
from actors.book.rules.margin.legs import MONEY_PER_PRICE
from actors.book.rules.options.outcome import Activity, Delivery, Outcome, activities
from actors.book.units import format_price
from actors.market.world import World

_BECAUSE = {
    "in_the_money": "in the money",
    "not_in_the_money": "not in the money",
    "do_not_exercise": "in the money, told not to exercise",
    "instructed": "not in the money, told to exercise",
    "beyond_means": "in the money, beyond the account's means",
    "requested": "at the holder's request",
    "early_dividend": "early, for a dividend",
    "early_carry": "early, for the interest on its strike",
    "early_deep": "early, deep in the money",
}
_SAYS = {
    "OPEXP": "option expired",
    "OPEXC": "option exercised",
    "OPASN": "option assigned",
    "OPTRD": "shares of an option",
    "OPCSH": "cash of an option",
}


def book_outcomes(draft: Draft, outcomes: Iterable[Outcome], world: World, booked_for_at: int = 0) -> None:
    """Book outcomes in their order; ``booked_for_at`` is their instant when it is not the step's own.

    Raises ``KeyError`` for a stock that the engine does not know.
    """
    for outcome in outcomes:
        group_no = draft.book.next_activity_no
        contract = world.instruments.by_symbol[outcome.symbol]
        rows = activities([outcome])
        why = _why(contract, outcome)
        _activity(draft, rows[0], why, group_no, booked_for_at)
        rest = rows[1:]
        if outcome.proceeds_money:
            _activity(draft, rest.pop(0), why, group_no, booked_for_at)
        _move(draft, contract, outcome.qty, abs(outcome.proceeds_money))
        for row, delivery in zip(rest, outcome.deliveries, strict=True):
            _activity(draft, row, why, group_no, booked_for_at)
            if delivery.qty:
                _deliver(draft, world.instruments.by_symbol[delivery.symbol], delivery, world)


def _why(contract: Instrument, outcome: Outcome) -> str:
    """Why contracts ended, with the price that decided it where one price did."""
    why = _BECAUSE.get(outcome.reason, outcome.reason)
    if contract.is_adjusted:
        return why
    inside = outcome.intrinsic_money // (contract.multiplier * MONEY_PER_PRICE)
    price = contract.strike + inside if contract.right == "call" else contract.strike - inside
    return f"{why}, {contract.underlying} at {format_price(price)}"


def _activity(draft: Draft, row: Activity, reason: str, group_no: int, booked_for_at: int) -> None:
    book = draft.book
    draft.emit(
        e.ActivityBooked(
            book.next_activity_no,
            row.type,
            row.net_money,
            book.cash + row.net_money,
            f"{_SAYS[row.type]}: {reason}",
            row.symbol,
            row.qty,
            group_no,
            booked_for_at=booked_for_at,
            price=row.price,
        )
    )


def _deliver(draft: Draft, stock: Instrument, delivery: Delivery, world: World) -> None:
    change = _move(draft, stock, delivery.qty, abs(delivery.net_money))
    book_delivery(draft, stock, change, delivery.net_money, world)


def _move(draft: Draft, instrument: Instrument, qty: int, value: int) -> e.PositionChanged:
    """Change a position by a signed quantity that is worth ``value``; its activity has moved the cash."""
    book = draft.book
    change = book_value(book, instrument, qty > 0, abs(qty), value, 0, draft.at, 0)
    change = structs.replace(change, net_money=0, cash=book.cash)
    draft.emit(change)
    return change
