"""What an account was worth at past moments, from what happened to it since.

The walk goes backward from the present book: each archived event says what it changed, so undoing them one by
one gives cash and holdings of any moment, without a base to start from. Invariants: pure; at a moment after
the last event the result is the present book marked at that moment's prices; deposits and withdrawals are
never profit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from actors.book import events as e
from actors.book.units import value_money

CASH_FLOWS = frozenset({"CSD", "CSW", "JNLC", "JNLS", "ACATC", "ACATS"})
"""Activity types that move money in or out; everything else is profit or loss (alpaca-api §4.4)."""

FEES = frozenset({"FEE", "CFEE", "PTC"})

PriceAt = Callable[[str, int], int]
"""Price units of a symbol at an instant, 0 when nothing is known."""


class Change(Struct, frozen=True):
    """One event, as far as it moved cash or a holding."""

    at: int
    cash: int
    """Change of cash."""
    symbol: str = ""
    qty: int = 0
    """Change of the signed quantity."""
    flow: str = ""
    """Activity type when the money came from or went outside."""
    fee: bool = False


class Holding(Struct, frozen=True):
    """A position as it is marked."""

    qty: int
    multiplier: int = 1
    basis_money: int = 0
    """What it counts for while it has no price."""


def change_of(event: object, at: int) -> Change | None:
    """What an event moved; ``None`` for one that moved nothing."""
    if isinstance(event, e.ActivityBooked):
        flow = event.activity_type if event.activity_type in CASH_FLOWS else ""
        return Change(at, event.net_money, flow=flow, fee=event.activity_type in FEES)
    if isinstance(event, e.PositionChanged):
        opened = event.opened.qty if event.opened is not None else 0
        return Change(at, event.net_money, event.symbol, opened - sum(use.qty for use in event.closed))
    if isinstance(event, e.PositionAdjusted):
        return Change(at, 0, event.symbol, event.qty_change)
    return None


def equity_back(
    instants: Sequence[int],
    cash: int,
    holdings: Mapping[str, Holding],
    changes: Iterable[Change],
    price_at: PriceAt,
    multiplier_of: Callable[[str], int],
) -> list[int]:
    """Equity at each of ``instants``, given oldest first.

    ``cash`` and ``holdings`` are those of now, ``changes`` newest first and complete back to the first instant.
    """
    held = {symbol: (holding.qty, holding.multiplier) for symbol, holding in holdings.items()}
    bases = {symbol: (holding.basis_money, holding.qty) for symbol, holding in holdings.items()}
    source = iter(changes)
    change = next(source, None)
    found: list[int] = []
    for at in reversed(instants):
        while change is not None and change.at > at:
            cash -= change.cash
            if change.symbol:
                _undo(held, change, multiplier_of)
            change = next(source, None)
        found.append(cash + sum(_value(s, q, m, at, price_at, bases) for s, (q, m) in held.items()))
    found.reverse()
    return found


def _undo(held: dict[str, tuple[int, int]], change: Change, multiplier_of: Callable[[str], int]) -> None:
    qty, multiplier = held.get(change.symbol) or (0, multiplier_of(change.symbol))
    qty -= change.qty
    if qty:
        held[change.symbol] = (qty, multiplier)
    else:
        held.pop(change.symbol, None)


def _value(
    symbol: str, qty: int, multiplier: int, at: int, price_at: PriceAt, bases: Mapping[str, tuple[int, int]]
) -> int:
    price = price_at(symbol, at)
    if price:
        return value_money(price, qty, multiplier)
    basis, whole = bases.get(symbol, (0, 0))
    return basis * qty // whole if whole else 0
