"""Choosing the tax lots of a sale after its fill, until it settles (Treas. Reg. 1.1012-1(c)(2)).

The lots that a closing took go back, and the chosen ones are taken in their place. Invariants: quantity, cash and the
proceeds of the closing stay what they were to the money unit; only what was open when it filled can be chosen; what a
later closing has taken is its own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.book.events.base import Lot, LotUse
from actors.book.rules.lots import read_part
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.lots import give_back
from actors.book.units import divide_half_even, format_qty
from actors.commands import LotPick


def read_later(
    open_lots: Sequence[Lot], closed: Sequence[LotUse], filled_at: int, picks: Iterable[LotPick]
) -> list[tuple[Lot, int]] | Refusal:
    """The chosen lots with how much of each, held against what was open when the closing filled."""
    sign = 1 if closed[0].qty > 0 else -1
    pool = {
        lot.lot_no: lot for lot in give_back(open_lots, closed) if lot.qty * sign > 0 and lot.opened_at <= filled_at
    }
    wanted = abs(sum(use.qty for use in closed))
    chosen: list[tuple[Lot, int]] = []
    for pick in picks:
        lot = pool.pop(pick.lot_no, None)
        if lot is None:
            problem = f"lot {pick.lot_no} was not open when the fill happened, or is taken"
            return refuse_lots(problem)
        part = read_part(pick, abs(lot.qty))
        if isinstance(part, Refusal):
            return part
        chosen.append((lot, part))
    found = sum(part for _, part in chosen)
    if found != wanted:
        return refuse_lots(f"the lots have {format_qty(found)}, the fill closed {format_qty(wanted)}")
    return chosen


def refuse_lots(problem: str) -> Refusal:
    """Lots that cannot be taken, and why."""
    return refuse("invalid_lots", "lots", problem=problem)


def used(chosen: Sequence[tuple[Lot, int]], proceeds_money: int) -> tuple[LotUse, ...]:
    """What the chosen lots give for the proceeds of the closing, which are shared by quantity."""
    whole = left = sum(part for _, part in chosen)
    rest = proceeds_money
    out = []
    for lot, part in chosen:
        left -= part
        share = divide_half_even(proceeds_money * part, whole) if left else rest
        rest -= share
        basis = lot.basis_money if part == abs(lot.qty) else divide_half_even(lot.basis_money * part, abs(lot.qty))
        out.append(LotUse(lot.lot_no, part if lot.qty > 0 else -part, basis, share, lot.opened_at, lot.order_no))
    return tuple(out)
