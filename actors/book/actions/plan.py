"""What one corporate action, or one payment of it, does to a book: worked out first, then said in facts.

Invariants: all facts of a plan are one transaction; cash moves by bookings only, positions by position facts only;
bookings of one plan share a group. Late ones carry the instant that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from msgspec import Struct, field
from msgspec.structs import replace

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.events import ActionEntry, ActionPay, AppliedAction, Lot, LotUse
from actors.book.instruments import Instrument, named_asset_id
from actors.book.rules.actions.arithmetic import held
from actors.book.rules.actions.exchange import Holding, Row
from actors.book.state.book import Book
from actors.market.world import World

Becomes = tuple[str, Fraction] | int
"""What one unit of a symbol is now: how many of another, or the money that settled it."""


class Plan(Struct):
    """Everything that is to be said."""

    rows: list[Row] = field(default_factory=list)
    holdings: dict[str, Holding] = field(default_factory=dict)
    pays: list[ActionPay] = field(default_factory=list)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    becomes: dict[str, Becomes] = field(default_factory=dict)
    groups: list[tuple[int, int, int]] = field(default_factory=list)
    prices: dict[str, int] = field(default_factory=dict)
    """Of the market, as far as they were asked for; those of an earlier version are asked first."""
    provisional: bool = False
    reconcile: bool = False

    def holding(self, book: Book, symbol: str) -> Holding:
        """What is held of a symbol, as far as the plan has come."""
        found = self.holdings.get(symbol)
        if found is None:
            found = self.holdings[symbol] = Holding(symbol, lots_of(book, symbol))
        return found


def lots_of(book: Book, symbol: str) -> tuple[Lot, ...]:
    """The lots held of a symbol."""
    position = book.positions.get(symbol)
    return position.lots if position is not None else ()


def say(
    draft: Draft, record: AppliedAction, plan: Plan, world: World, *, belongs_at: int, status: str = "executed",
    reversed_entries: Iterable[ActionEntry] = (),
) -> None:  # fmt: skip
    """Emit a plan: what the account knows now, then bookings and positions."""
    book = draft.book
    assert world.days is not None
    dated = world.days.at(belongs_at).trade_date
    rows = [row if row.dated else replace(row, dated=dated) for row in plan.rows]
    first = book.next_activity_no
    undone = list(reversed_entries)
    entries = [
        ActionEntry(
            no, row.type, row.sub_type, row.symbol, row.qty, row.net_money, row.price, row.rate, draft.at, row.dated
        )
        for no, row in enumerate(rows, first + len(undone))
    ]
    record = replace(
        record, entries=(*record.entries, *entries), pays=(*record.pays, *plan.pays),
        prices=tuple(sorted((dict(record.prices) | plan.prices).items())),
        provisional=record.provisional or plan.provisional, reconcile=record.reconcile or plan.reconcile,
    )  # fmt: skip
    record = replace(record, stage=_stage(record))
    instruments = tuple(plan.instruments.values())
    world.instruments.keep(instruments)
    draft.emit(e.CorporateActionApplied(record, instruments, tuple(plan.groups)))
    late = belongs_at if belongs_at < world.now else 0
    for entry in undone:
        _book(draft, _reverse(entry, dated), first, record, late, world, "canceled", entry)
    for row in rows:
        _book(draft, row, first, record, late, world, status)
    for holding in plan.holdings.values():
        _position(draft, holding, record, world)


def _reverse(entry: ActionEntry, dated: int) -> Row:
    """An entry taken back, under its own date."""
    return Row(
        entry.type, entry.sub_type, entry.symbol, -entry.qty, -entry.net_money, entry.price, entry.rate,
        entry.dated or dated,
    )  # fmt: skip


def _stage(record: AppliedAction) -> str:
    if record.stage in ("withdrawn", "passed"):
        return record.stage
    return "entitled" if record.pays else "applied"


def _book(
    draft: Draft, row: Row, group_no: int, record: AppliedAction, late: int, world: World, status: str,
    previous: ActionEntry | None = None,
) -> None:  # fmt: skip
    book = draft.book
    day = world.day
    draft.emit(
        e.ActivityBooked(
            book.next_activity_no, row.type, row.net_money, book.cash + row.net_money, SAYS.get(row.type, row.type),
            row.symbol, row.qty, group_no, row.sub_type, day.trade_date if day is not None else 0, late, row.price,
            0, status, record.ca_id, previous.activity_no if previous is not None else 0,
            previous.at if previous is not None else 0, row.rate, row.dated,
        )
    )  # fmt: skip


SAYS = {
    "SPLIT": "split", "DIV": "dividend", "SPIN": "spin-off", "MA": "merger", "NC": "name change",
    "REORG": "reorganization", "REO": "reorganization", "VOF": "rights distribution",
    "CIL": "cash in lieu of a fraction",
    "OPCA": "contract adjusted", "OPCSH": "cash of an option", "DIVNRA": "withheld from a dividend",
    "DIVROC": "return of capital", "DIVCGL": "long-term capital gains", "DIVCGS": "short-term capital gains",
    "INT": "interest", "FILL": "dividend reinvested",
}  # fmt: skip


def _position(draft: Draft, holding: Holding, record: AppliedAction, world: World) -> None:
    old = draft.book.positions.get(holding.symbol)
    lots = tuple(lot for lot in holding.lots if lot.qty or lot.basis_money)
    if lots == (old.lots if old is not None else ()) and not holding.closed and not holding.realized_money:
        return
    closed = _closed(holding)
    qty, before = held(lots), old.qty if old is not None else 0
    basis = sum(lot.basis_money for lot in lots)
    asset_id = old.asset_id if old is not None else asset_id_of(holding.symbol, world)
    draft.emit(
        e.PositionAdjusted(
            record.ca_id, holding.symbol, asset_id, qty, basis if qty else 0, lots if qty else (), qty - before,
            holding.realized_money, closed,
        )
    )  # fmt: skip


def _closed(holding: Holding) -> tuple[LotUse, ...]:
    """What ended, each lot once; profit that belongs to none (cash beyond what shares had cost, or that came when
    they were gone) stands under lot 0."""
    uses: dict[int, LotUse] = {}
    rest = holding.realized_money
    for use in holding.closed:
        if not use.lot_no:
            continue
        rest -= use.proceeds_money - use.basis_money
        had = uses.get(use.lot_no)
        if had is not None:
            use = replace(
                use, qty=had.qty + use.qty, basis_money=had.basis_money + use.basis_money,
                proceeds_money=had.proceeds_money + use.proceeds_money,
            )  # fmt: skip
        uses[use.lot_no] = use
    return (*uses.values(), LotUse(0, 0, 0, rest)) if rest else tuple(uses.values())


def asset_id_of(symbol: str, world: World) -> str:
    """The asset id of a symbol, derived from its name where no source gives one."""
    known = world.instruments.by_symbol.get(symbol)
    return known.asset_id if known is not None else named_asset_id(symbol)
