"""What an account was worth at past moments, from what happened to it since.

The walk goes backward from the present book: each archived event says what it changed, so undoing them one by
one gives cash, holdings and accruals of any moment, without a base to start from. Invariants: pure; at a moment
after the last event the result is the present book marked at that moment's prices, less the fees and interest that
accrued and are not posted, as in the account's equity; deposits and withdrawals are never profit. Known limit:
within a past date the fees of the date are right to the cent of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from actors.book import events as e
from actors.book.events.parts import Fee
from actors.book.rules.money.fees import PICO_PER_CENT, PICO_PER_MONEY, accrued_money
from actors.book.units import value_money

RESET = "RESET"
"""The flow that a reset brings beside its cash: the positions that it takes away are no loss and no profit."""

CASH_FLOWS = frozenset({"CSD", "CSW", "JNLC", "JNLS", "ACATC", "ACATS"})
"""Activity types that move money in or out; everything else is profit or loss (alpaca-api §4.4)."""

FEES = frozenset({"FEE", "CFEE", "PTC"})

_NEVER_ACCRUED = frozenset({"BORROW", "LOCATE"})
"""Kinds of fees that are booked at once."""

_POSTED = -1
"""In place of an order's number: what the day's end posted for all trades of the date."""

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
    fee_kind: str = ""
    """The kind of fee that was posted, so that nothing of it is accrued any more."""
    fees: tuple[Fee, ...] = ()
    """Fees that accrued by it."""
    interest: int | None = None
    """The end of a date, or a reset: interest owed less earned that is accrued and not posted from then on."""
    reset: bool = False
    """A new epoch begins."""


class Owed(Struct, frozen=True):
    """What accrued against the account and is not posted."""

    fees: tuple[Fee, ...] = ()
    interest: int = 0
    """Owed less earned, now."""
    interest_at_first: int = 0
    """The same before the oldest change that is undone."""


class _Accruals:
    """What is owed, undone event by event."""

    def __init__(self, owed: Owed, changes: Sequence[Change]) -> None:
        self._fees = {(fee.kind, fee.order_no): fee for fee in owed.fees}
        self._interest = owed.interest
        ends = [change.interest for change in changes if change.interest is not None]
        self._before = iter((*ends[1:], owed.interest_at_first))

    def money(self) -> int:
        """Money that is owed."""
        return accrued_money(tuple(self._fees.values())) + self._interest

    def undo(self, change: Change) -> None:
        """Go back before a change."""
        if change.interest is not None:
            self._interest = next(self._before)
            self._fees.clear()
        if change.fee_kind:
            pico = -change.cash * PICO_PER_MONEY
            before = self._fees.get((change.fee_kind, _POSTED))
            self._fees[change.fee_kind, _POSTED] = Fee(change.fee_kind, pico + (before.pico if before else 0))
        for fee in change.fees:
            self._take(fee)

    def _take(self, fee: Fee) -> None:
        """One trade's fee has not accrued yet; of what was posted in whole cents only whole cents are left."""
        key = (fee.kind, fee.order_no)
        pico = self._fees[key].pico - fee.pico if key in self._fees else 0
        if key not in self._fees and (fee.kind, _POSTED) in self._fees:
            key = (fee.kind, _POSTED)
            pico = (self._fees[key].pico - fee.pico) // PICO_PER_CENT * PICO_PER_CENT
        if pico > 0:
            self._fees[key] = Fee(fee.kind, pico, order_no=key[1])
        else:
            self._fees.pop(key, None)


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
        accrued = event.activity_type == "FEE" and event.activity_sub_type not in _NEVER_ACCRUED
        kind = event.activity_sub_type if accrued else ""
        return Change(at, event.net_money, flow=flow, fee=event.activity_type in FEES, fee_kind=kind)
    if isinstance(event, e.PositionChanged):
        opened = event.opened.qty if event.opened is not None else 0
        return Change(at, event.net_money, event.symbol, opened - sum(use.qty for use in event.closed))
    if isinstance(event, e.PositionAdjusted):
        return Change(at, 0, event.symbol, event.qty_change)
    if isinstance(event, e.TradeBooked) and event.fees:
        return Change(at, 0, fees=event.fees)
    if isinstance(event, e.DayEnded):
        return Change(at, 0, interest=event.margin_interest - event.cash_interest)
    if isinstance(event, e.AccountReset):
        return Change(at, 0, interest=0, reset=True)
    return None


def taken_by_resets(changes: Sequence[Change], equity: Mapping[int, int]) -> list[Change]:
    """For each reset the flow that makes it neither profit nor loss; the equity is that just before and after it."""
    found = []
    for at in sorted({change.at for change in changes if change.reset}):
        came = sum(change.cash for change in changes if change.flow and change.at == at)
        found.append(Change(at, equity[at] - equity[at - 1] - came, flow=RESET))
    return found


def equity_back(
    instants: Sequence[int],
    cash: int,
    holdings: Mapping[str, Holding],
    changes: Sequence[Change],
    price_at: PriceAt,
    multiplier_of: Callable[[str], int],
    owed: Owed = Owed(),  # noqa: B008 (frozen)
) -> list[int]:
    """Equity at each of ``instants``, given oldest first.

    ``cash``, ``holdings`` and ``owed`` are those of now, ``changes`` newest first and complete back to the first
    instant.
    """
    held = {symbol: (holding.qty, holding.multiplier) for symbol, holding in holdings.items()}
    bases = {symbol: (holding.basis_money, holding.qty) for symbol, holding in holdings.items()}
    accruals = _Accruals(owed, changes)
    source = iter(changes)
    change = next(source, None)
    found: list[int] = []
    for at in reversed(instants):
        while change is not None and change.at > at:
            cash -= change.cash
            accruals.undo(change)
            if change.symbol:
                _undo(held, change, multiplier_of)
            change = next(source, None)
        marked = sum(_value(s, q, m, at, price_at, bases) for s, (q, m) in held.items())
        found.append(cash + marked - accruals.money())
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
