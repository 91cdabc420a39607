"""The time of one account since an instant, told once more with other corporate actions.

Invariants: it works on a copy, on which positions alone are kept true; actions come at their own instants, also those
that were known late, and what they pay when it is due; each trade has its quantity, its money, its way of choosing
lots and the number of the lot that it opened. A lot that an action makes has a number that no trade of this time and
nothing of the present has. The present book is never written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from actors.book import events as e
from actors.book.actions.effects import pay_next, plan_of
from actors.book.actions.plan import Plan, asset_id_of, lots_of, say
from actors.book.draft import Draft
from actors.book.events import ActionPay, AppliedAction, LotChoice, LotUse
from actors.book.instruments import Instrument
from actors.book.rules.actions.exchange import Holding, Row
from actors.book.rules.booking import book_value
from actors.book.state.book import Book
from actors.book.state.lots import give_back, take_off
from actors.market.actions import roll_at, sequence_of
from actors.market.world import World

_LIVE = ("applied", "entitled")


class Told(Struct):
    """What one action did in this telling."""

    rows: list[Row] = field(default_factory=list)
    pays: list[ActionPay] = field(default_factory=list)
    prices: tuple[tuple[str, int], ...] = ()


class Again:
    """One telling. Without a ``past`` only the action itself is told, on what is held."""

    def __init__(
        self, ca_id: str, present: Book, past: tuple[Book, list[tuple[int, Any]]] | None, world: World
    ) -> None:
        self._ca_id, self._world, self._present = ca_id, world, present
        self._events = past[1] if past is not None else []
        before = past[0] if past is not None else present
        self.book: Book = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Book)
        self.book.actions.pop(ca_id, None)
        if past is None:
            for other, record in list(self.book.actions.items()):
                self.book.actions[other] = replace(record, pays=())
        pays = [pay.at for record in self.book.actions.values() for pay in record.pays]
        self.book.action_due = min(pays, default=0)
        self._has_past = past is not None
        self._exact = past is not None
        self._todo: list[tuple[int, e.CorporateActionAnnounced]] = []
        self._told: dict[str, Told] = {ca: Told() for ca, record in self.book.actions.items() if record.pays}
        self.becomes: dict[str, Any] = {}
        self._closed: dict[str, tuple[LotUse, ...]] = {}
        self._realized: dict[str, int] = {}
        self._realized_before: dict[str, int] = {}
        self._adjusted_at: dict[str, int] = {}
        trades = (event for _, event in self._events if isinstance(event, e.PositionChanged))
        self._traded_lots = {event.opened.lot_no for event in trades if event.opened is not None}
        self._unused_lot = max(present.next_lot_no, self.book.next_lot_no)

    def run(self, known: e.CorporateActionAnnounced | None) -> dict[str, Told]:
        """Tell it; what every action did by now."""
        assert self._world.days is not None
        wanted = [known] if known is not None else []
        for ca_id, record in self._present.actions.items() if self._has_past else ():
            other = self._world.actions.by_id.get(ca_id)
            if ca_id == self._ca_id or ca_id in self.book.actions or record.stage not in _LIVE:
                continue
            if other is None or other.version != record.version:
                self._exact = False
            else:
                wanted.append(other)
        days = self._world.days
        self._todo = sorted(
            ((roll_at(days, each.action.effective_date), each) for each in wanted),
            key=lambda entry: (entry[0], sequence_of(entry[1].action)),
        )
        for at, event in self._events:
            self._catch_up(at)
            self._follow(event, at)
        self._catch_up(self._world.now)
        for ca_id, told in self._told.items():
            done = self.book.actions.get(ca_id)
            if done is not None:
                told.pays, told.prices = list(done.pays), done.prices
        return self._told

    # ── actions ─────────────────────────────────────────────────────────────────────────────────────────

    def _catch_up(self, until: int) -> None:
        """Whatever actions do by an instant, in order."""
        while True:
            acts_at = self._todo[0][0] if self._todo else 0
            pays_at = self.book.action_due
            if 0 < acts_at <= until and (not pays_at or acts_at <= pays_at):
                self._apply(*self._todo.pop(0))
            elif 0 < pays_at <= until:
                draft = Draft(self.book, pays_at)
                with self._numbers(None):
                    ca_id = pay_next(draft, self._world)
                self._note(draft, ca_id)
            else:
                return

    def _apply(self, at: int, known: e.CorporateActionAnnounced) -> None:
        action = known.action
        before = self._present.actions.get(action.ca_id)
        prices = before.prices if before is not None else ()
        draft = Draft(self.book, at)
        record = AppliedAction(action.ca_id, known.version, at, "applied", action.symbol)
        with self._numbers(plan_of(self.book, action, at, self._world, prices)):
            plan = plan_of(self.book, action, at, self._world, prices)
            say(draft, record, plan, self._world, belongs_at=at)
        if action.ca_id == self._ca_id:
            self.becomes = plan.becomes
        self._note(draft, action.ca_id)

    @contextmanager
    def _numbers(self, plan: Plan | None) -> Iterator[None]:
        """New lots have the numbers that were left for them, for trades may have chosen them; else unused ones.

        Numbers are left where the action was on time when it came first. Told late, they are those of trades.
        """
        book = self.book
        first = book.next_lot_no
        made = {first}
        if plan is not None:
            made = {lot.lot_no for holding in plan.holdings.values() for lot in holding.lots if lot.lot_no >= first}
        if not self._traded_lots & made and max(made, default=0) < self._present.next_lot_no:
            yield
            return
        book.next_lot_no = self._unused_lot = max(self._unused_lot, first)
        yield
        self._unused_lot = book.next_lot_no
        book.next_lot_no = first

    def _note(self, draft: Draft, ca_id: str) -> None:
        rows = self._told.setdefault(ca_id, Told()).rows
        for event in draft.events:
            if isinstance(event, e.ActivityBooked):
                rows.append(
                    Row(
                        event.activity_type, event.activity_sub_type, event.symbol, event.qty, event.net_money,
                        event.price, event.rate, event.dated,
                    )
                )  # fmt: skip
            elif isinstance(event, e.PositionAdjusted):
                _add(self._realized, event)
                self._adjusted_at[event.symbol] = draft.at
                if ca_id == self._ca_id:
                    self._closed[event.symbol] = (*self._closed.get(event.symbol, ()), *event.closed)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, event: Any, at: int) -> None:
        if isinstance(event, e.PositionChanged):
            _add(self._realized_before, event)
            self._trade(event, at)
        elif isinstance(event, e.PositionAdjusted):
            _add(self._realized_before, event)
        elif isinstance(event, e.LotsAssigned):
            self._assign(event)
        elif isinstance(event, e.SettingsChanged):
            self.book.settings = event.settings
        elif isinstance(event, e.AccountReset):
            self._reset()

    def _reset(self) -> None:
        """A new epoch: nothing is held, and nothing of before pays any more."""
        self.book.positions.clear()
        self.book.action_due = 0
        for ca_id, record in list(self.book.actions.items()):
            self.book.actions[ca_id] = replace(record, pays=())

    def _trade(self, event: e.PositionChanged, at: int) -> None:
        """A trade is booked again: same quantity, same money, same way of choosing lots, same new lot."""
        qty = -sum(use.qty for use in event.closed)
        money = sum(use.proceeds_money for use in event.closed)
        order_no = 0
        if event.opened is not None:
            qty, money, order_no = qty + event.opened.qty, money - event.opened.basis_money, event.opened.order_no
        if not qty:
            return
        picks = tuple((use.lot_no, abs(use.qty)) for use in event.closed)
        choice = LotChoice(event.lot_method or "fifo", picks if event.lot_method == "specific" else ())
        instrument = Instrument(event.asset_id, event.symbol)
        change = book_value(self.book, instrument, qty > 0, abs(qty), abs(money), 0, at, order_no, choice)
        next_lot_no = self.book.next_lot_no
        if change.opened is not None and event.opened is not None:
            opened = replace(change.opened, lot_no=event.opened.lot_no, opened_at=event.opened.opened_at)
            change = replace(change, opened=opened)
            next_lot_no = max(next_lot_no, opened.lot_no + 1)
        elif change.opened is not None:
            # What only closed then goes beyond what is held now.
            change = replace(change, opened=replace(change.opened, lot_no=self._unused_lot))
            self._unused_lot += 1
        _add(self._realized, change)
        Draft(self.book, at).emit(change)
        self.book.next_lot_no = next_lot_no

    def _assign(self, event: e.LotsAssigned) -> None:
        """Other lots were chosen for a closing; in other units than it was told in, the choice says nothing."""
        position = self.book.positions.get(event.symbol)
        if position is None or self._adjusted_at.get(event.symbol, 0) > event.closed_at:
            self._exact = self._exact and position is None
            return
        self._realized_before[event.symbol] = self._realized_before.get(event.symbol, 0) + moved(event)
        self._realized[event.symbol] = self._realized.get(event.symbol, 0) + moved(event)
        lots = take_off(give_back(position.lots, event.given_back), event.closed)
        self.book.positions[event.symbol] = replace(
            position, basis_money=sum(lot.basis_money for lot in lots), lots=lots,
            realized_money=position.realized_money + moved(event),
        )  # fmt: skip

    def difference(self, present: Book) -> Plan:
        """What must be said of the positions of the present book so that they are these."""
        plan = Plan(reconcile=not self._exact and self._has_past)
        for symbol in sorted({*present.positions, *self.book.positions, *self._realized, *self._realized_before}):
            lots, held = lots_of(self.book, symbol), lots_of(present, symbol)
            realized = self._realized.get(symbol, 0) - self._realized_before.get(symbol, 0)
            if lots == held and not realized:
                continue
            plan.holdings[symbol] = Holding(symbol, lots, realized, self._closed.get(symbol, ()))
            if symbol not in self._world.instruments.by_symbol:
                plan.instruments[symbol] = Instrument(asset_id_of(symbol, self._world), symbol)
            if any(lot.qty < 0 for lot in lots) and any(lot.qty > 0 for lot in lots):
                plan.reconcile = True
        for contract in self.book.contracts.values():
            if contract.symbol in plan.holdings:
                plan.instruments[contract.symbol] = contract
        return plan


def _add(table: dict[str, int], event: e.PositionChanged | e.PositionAdjusted) -> None:
    table[event.symbol] = table.get(event.symbol, 0) + event.realized_money


def moved(event: e.LotsAssigned) -> int:
    """What choosing other lots added to the realised profit."""
    return sum(use.basis_money for use in event.given_back) - sum(use.basis_money for use in event.closed)
