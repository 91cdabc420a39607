"""Arithmetic of corporate actions: quantities to nine places, cash to the cent, cost basis shared without a loss.

Invariants: integers and exact fractions only; a rounding is half up on the absolute value, then the sign comes back;
parts of a quantity or of a basis always add up to the whole. Rule source: corporate-actions-and-market-rules §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from actors.book.events import Lot, LotUse
from actors.book.events.actions import Ratio
from actors.book.units import MONEY_PER_CENT, MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, QTY_PER_SHARE

CENT_PRICE: Final = PRICE_PER_DOLLAR // 100


def half_up(value: Fraction) -> int:
    """To the nearest whole, halves away from zero."""
    size = abs(value)
    whole = (2 * size.numerator + size.denominator) // (2 * size.denominator)
    return whole if value >= 0 else -whole


def fraction(ratio: Ratio) -> Fraction:
    """A stored ratio."""
    return Fraction(*ratio)


def new_qty(qty: int, ratio: Fraction) -> int:
    """A quantity in new units (``q9``)."""
    return half_up(qty * ratio)


def cash_of(qty: int, dollars: Fraction) -> int:
    """Money units of whole cents for a quantity at so many dollars a share (``c2``)."""
    return half_up(Fraction(qty, QTY_PER_SHARE) * dollars * 100) * MONEY_PER_CENT


def cash_at(qty: int, price_money: int) -> int:
    """The same at a price in money units a share."""
    return cash_of(qty, Fraction(price_money, MONEY_PER_DOLLAR))


def cent_price(price: Fraction) -> int:
    """Price units of the nearest cent."""
    return half_up(price / CENT_PRICE) * CENT_PRICE


def scaled(lots: Sequence[Lot], ratio: Fraction, share: Fraction = Fraction(1)) -> tuple[Lot, ...]:
    """Lots in new units with ``share`` of their basis; the last ones bear what the roundings left."""
    qty = basis = done_qty = done_basis = 0
    out = []
    for lot in lots:
        qty, basis = qty + lot.qty, basis + lot.basis_money
        new, worth = new_qty(qty, ratio) - done_qty, half_up(basis * share) - done_basis
        done_qty, done_basis = done_qty + new, done_basis + worth
        out.append(replace(lot, qty=new, basis_money=worth))
    return tuple(out)


def less_basis(lots: Sequence[Lot], taken: Sequence[Lot]) -> tuple[Lot, ...]:
    """Lots without the basis that others took."""
    return tuple(
        replace(lot, basis_money=lot.basis_money - gone.basis_money) for lot, gone in zip(lots, taken, strict=True)
    )


def split_off(lots: Sequence[Lot], qty: int, money: int) -> tuple[tuple[Lot, ...], tuple[LotUse, ...]]:
    """Take ``qty`` (signed like the lots) off the newest lots for ``money``; what is left, and what went."""
    left = list(lots)
    uses: list[LotUse] = []
    rest, owed = qty, money
    while rest and left:
        lot = left.pop()
        part = lot.qty if abs(lot.qty) <= abs(rest) else rest
        basis = half_up(Fraction(lot.basis_money * part, lot.qty))
        worth = owed if part == rest else half_up(Fraction(money * part, qty))
        uses.append(LotUse(lot.lot_no, part, basis, worth, lot.opened_at, lot.order_no))
        rest, owed = rest - part, owed - worth
        if part != lot.qty:
            left.append(replace(lot, qty=lot.qty - part, basis_money=lot.basis_money - basis))
    return tuple(left), tuple(uses)


def give_back(lots: Sequence[Lot], money: int) -> tuple[tuple[Lot, ...], int]:
    """Lower the lots' cost by cash received (raise it nearer to zero by cash paid); the profit beyond their cost."""
    whole = sum(lot.qty for lot in lots)
    seen = done = realized = 0
    out = []
    for lot in lots:
        seen += lot.qty
        part = half_up(Fraction(money * seen, whole)) - done
        done += part
        left = lot.basis_money - part
        if (left < 0) != (lot.qty < 0) and left:
            realized, left = realized - left, 0
        out.append(replace(lot, basis_money=left))
    return tuple(out), realized


def held(lots: Sequence[Lot]) -> int:
    """Their quantity."""
    return sum(lot.qty for lot in lots)


def whole_shares(qty: int) -> int:
    """A quantity without its fraction of a share."""
    size = abs(qty) // QTY_PER_SHARE * QTY_PER_SHARE
    return size if qty >= 0 else -size
