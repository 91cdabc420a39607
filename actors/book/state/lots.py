"""Plain arithmetic of tax lots: taking parts off and giving them back.

Invariants: no rule, no rounding; what was taken off and is given back leaves the lots as they were, to the money
unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.book.events.base import Lot, LotUse


def take_off(lots: Sequence[Lot], uses: Iterable[LotUse]) -> tuple[Lot, ...]:
    """The lots without what was used of them; used up ones are gone."""
    taken = {use.lot_no: use for use in uses}
    kept = []
    for lot in lots:
        use = taken.get(lot.lot_no)
        if use is None:
            kept.append(lot)
        elif lot.qty != use.qty:
            qty, basis = lot.qty - use.qty, lot.basis_money - use.basis_money
            kept.append(Lot(lot.lot_no, qty, basis, lot.opened_at, lot.order_no))
    return tuple(kept)


def give_back(lots: Sequence[Lot], uses: Iterable[LotUse]) -> tuple[Lot, ...]:
    """The lots with what was used of them, by number; used up ones are there again."""
    found = {lot.lot_no: lot for lot in lots}
    for use in uses:
        lot = found.get(use.lot_no)
        qty, basis = (lot.qty, lot.basis_money) if lot is not None else (0, 0)
        found[use.lot_no] = Lot(use.lot_no, qty + use.qty, basis + use.basis_money, use.opened_at, use.order_no)
    return tuple(found[lot_no] for lot_no in sorted(found))
