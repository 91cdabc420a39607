"""What a corporate action makes of the shares that an account holds: lots, entries, cash.

Invariants: pure; no share and no micro-dollar of cost appears or is lost but by an entry that says so; lots keep the
day on which they were bought; lots that are not older than the action are in new units already and stay untouched.
Fractions leave the newest lot. Rule source: corporate-actions-and-market-rules §3, §4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book.events import Lot, LotUse
from actors.book.events.actions import ActionLeg, CorporateAction
from actors.book.rules.actions.arithmetic import (
    cash_at,
    cash_of,
    fraction,
    give_back,
    held,
    less_basis,
    new_qty,
    scaled,
    split_off,
    whole_shares,
)
from actors.book.units import QTY_PER_SHARE

WORDS: Final[dict[str, tuple[str, str]]] = {
    "forward_split": ("SPLIT", "FSPLIT"),
    "reverse_split": ("SPLIT", "RSPLIT"),
    "unit_split": ("SPLIT", "USPLIT"),
    "stock_dividend": ("DIV", "SDIV"),
    "cash_dividend": ("DIV", "CDIV"),
    "spin_off": ("SPIN", ""),
    "cash_merger": ("MA", "CMA"),
    "stock_merger": ("MA", "SMA"),
    "stock_and_cash_merger": ("MA", "SCMA"),
    "reorganization": ("REO", "REOSC"),
    "redemption": ("REORG", "REDEMPTION"),
    "worthless_removal": ("REORG", "WRM"),
    "rights_distribution": ("VOF", ""),
}
"""Activity type and subtype (§4)."""


class Row(Struct, frozen=True):
    """An entry to be booked."""

    type: str
    sub_type: str
    symbol: str
    qty: int
    net_money: int = 0
    price: int = 0
    rate: int = 0
    """Billionths of a dollar a share."""
    dated: int = 0
    """Date under which it is shown; 0: that of what it is booked by."""


class Holding(Struct):
    """What an action leaves of one symbol; gathered while it is worked out."""

    symbol: str
    lots: tuple[Lot, ...]
    realized_money: int = 0
    closed: tuple[LotUse, ...] = ()


class Exchanged(Struct):
    """All of it."""

    holdings: dict[str, Holding]
    rows: list[Row]
    cash_money: int = 0
    """Cash of the terms, without that for fractions: it may be posted later."""
    provisional: bool = False


class Terms(Struct, frozen=True):
    """What the account and the market add to an action's terms."""

    fraction_long: str
    price_of: Callable[[str], int]
    """Money units a share, by which fractions are paid when the action names no price; 0 for none."""
    next_lot_no: int
    fractionable: Callable[[str], bool] = lambda symbol: True


def words_of(action: CorporateAction) -> tuple[str, str]:
    """Activity type and subtype of an action's entries."""
    if action.type == "name_change":
        renamed = bool(action.legs) and action.legs[0].symbol != action.symbol
        return "NC", ("SCNC" if renamed else "CNC") if action.new_asset else "SNC"
    if action.type == "reorganization":
        return "REO", ("REOSC" if action.legs else "REOC") if action.cash[0] else "REOS"
    return WORDS[action.type]


def exchange(
    action: CorporateAction,
    lots: Sequence[Lot],
    others: Callable[[str], tuple[Lot, ...]],
    before_at: int,
    terms: Terms,
) -> Exchanged:
    """Work out an action on the lots of its symbol; ``others`` are the lots held of another one."""
    old = tuple(lot for lot in lots if lot.opened_at < before_at)
    young = tuple(lot for lot in lots if lot.opened_at >= before_at)
    run = _Exchange(action, old, young, others, terms)
    run.work()
    return Exchanged(run.holdings, run.rows, run.cash_money, run.provisional)


class _Exchange:
    def __init__(
        self,
        action: CorporateAction,
        old: tuple[Lot, ...],
        young: tuple[Lot, ...],
        others: Callable[[str], tuple[Lot, ...]],
        terms: Terms,
    ) -> None:
        self.action, self.old, self.young, self.others, self.terms = action, old, young, others, terms
        self.holdings: dict[str, Holding] = {}
        self.rows: list[Row] = []
        self.cash_money = 0
        self.provisional = False
        self.kind, self.sub_type = words_of(action)
        self.next_lot_no = terms.next_lot_no

    def work(self) -> None:
        action, old = self.action, self.old
        qty = held(old)
        left = self._holding(action.symbol)
        left.lots = (*old, *self.young) if action.keeps_source else self.young
        money = cash_of(qty, fraction(action.cash))
        if not action.legs:
            self._row(action.symbol, -qty)
            if action.type != "worthless_removal":
                self.cash_money = money
            left.lots, uses = split_off(old, qty, self.cash_money)
            left.lots = (*left.lots, *self.young)
            self._close(left, uses)
            return
        bearing, realized = give_back(old, money) if money else (old, 0)
        left.realized_money += realized
        self.cash_money = money
        if not action.keeps_source and action.type != "stock_dividend":
            self._row(action.symbol, -qty)
        taken: list[tuple[Lot, ...]] = []
        shares = self._shares()
        for leg, share in zip(action.legs, shares, strict=True):
            whole = share == 1 and len(action.legs) == 1
            new = scaled(bearing, fraction(leg.ratio), Fraction(1) if whole else share)
            if leg is action.legs[-1] and not action.keeps_source and not whole:
                new = tuple(
                    replace(lot, basis_money=rest.basis_money)
                    for lot, rest in zip(new, self._rest(bearing, taken), strict=True)
                )
            taken.append(new)
            total = new_qty(qty, fraction(leg.ratio))
            self._row(leg.symbol, total - qty if action.type == "stock_dividend" else total)
            self._add(leg, new, fresh=not whole or action.keeps_source)
        if action.keeps_source:
            self._row(action.symbol, -qty)
            self._row(action.symbol, qty)
            left.lots = (*self._rest(bearing, taken), *self.young)

    def _rest(self, lots: tuple[Lot, ...], taken: list[tuple[Lot, ...]]) -> tuple[Lot, ...]:
        for gone in taken:
            lots = less_basis(lots, gone)
        return lots

    def _shares(self) -> list[Fraction]:
        """Which part of the basis each leg bears, by market value."""
        action = self.action
        if len(action.legs) == 1 and not action.keeps_source:
            return [Fraction(1)]
        names = [*([action.symbol] if action.keeps_source else ()), *(leg.symbol for leg in action.legs)]
        prices = {name: action.price(name).alloc or self.terms.price_of(name) for name in names}
        if not all(prices.values()):
            self.provisional = True
            first = 0 if action.keeps_source else 1
            return [Fraction(first if leg is action.legs[0] else 0) for leg in action.legs]
        values = [fraction(leg.ratio) * prices[leg.symbol] for leg in action.legs]
        whole = sum(values, Fraction(prices[action.symbol] if action.keeps_source else 0))
        return [value / whole for value in values]

    def _row(self, symbol: str, qty: int) -> None:
        self.rows.append(Row(self.kind, self.sub_type, symbol, qty))

    def _holding(self, symbol: str) -> Holding:
        found = self.holdings.get(symbol)
        if found is None:
            lots = self.young if symbol == self.action.symbol else self.others(symbol)
            found = self.holdings[symbol] = Holding(symbol, lots)
        return found

    def _close(self, holding: Holding, uses: tuple[LotUse, ...]) -> None:
        holding.closed = (*holding.closed, *uses)
        holding.realized_money += sum(use.proceeds_money - use.basis_money for use in uses)

    def _add(self, leg: ActionLeg, new: tuple[Lot, ...], *, fresh: bool) -> None:
        """Put shares beside what is held of their symbol, without the fraction that is paid in cash."""
        holding = self._holding(leg.symbol)
        new = tuple(lot for lot in new if lot.qty or lot.basis_money)
        total = held(new)
        rest = total - whole_shares(total)
        if rest and self.action.fraction == "round_up":
            more = (QTY_PER_SHARE if total > 0 else -QTY_PER_SHARE) - rest
            new = (*new[:-1], replace(new[-1], qty=new[-1].qty + more))
        elif rest and self.action.fraction == "drop":
            new, uses = split_off(new, rest, 0)
            self._close(holding, uses)
        elif rest and (total < 0 or self.terms.fraction_long == "cil" or not self.terms.fractionable(leg.symbol)):
            new = self._in_lieu(holding, leg, new, rest)
        if fresh:
            new = tuple(self._numbered(lot) for lot in new)
        self._merge(holding, new)

    def _in_lieu(self, holding: Holding, leg: ActionLeg, new: tuple[Lot, ...], rest: int) -> tuple[Lot, ...]:
        told = self.action.price(leg.symbol)
        price = told.cil or self.terms.price_of(leg.symbol)
        if not price:
            basis = sum(lot.basis_money for lot in new)
            price = abs(basis) * QTY_PER_SHARE // abs(held(new))
        money = cash_at(rest, price)
        new, uses = split_off(new, rest, money)
        self._close(holding, uses)
        self.rows.append(Row("CIL", "", leg.symbol, -rest, money))
        return new

    def _numbered(self, lot: Lot) -> Lot:
        numbered = replace(lot, lot_no=self.next_lot_no)
        self.next_lot_no += 1
        return numbered

    def _merge(self, holding: Holding, new: tuple[Lot, ...]) -> None:
        """Shares that meet their opposite close it at what they cost."""
        while new and holding.lots and (held(new) < 0) != (held(holding.lots) < 0):
            against = -held(new) if abs(held(new)) <= abs(held(holding.lots)) else held(holding.lots)
            new, gone = split_off(new, -against, 0)
            holding.lots, uses = split_off(holding.lots, against, sum(-use.basis_money for use in gone))
            self._close(holding, uses)
        lots = (*holding.lots, *new)
        holding.lots = tuple(sorted(lots, key=lambda lot: (lot.opened_at, lot.lot_no)))
