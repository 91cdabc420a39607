"""Corporate actions that became known late, were corrected, or withdrawn: the account as if it had been in time (§7).

The account is put back to just before the instant, from its history; the action's present terms are applied there;
every trade since is booked again on what the positions had become, and other actions again on that. What comes out
differently is one set of facts on the present book: entries of the old version are taken back one by one, those of
the new are booked now.

Invariants: orders that filled stay filled and cash of trades is what it was; nothing of the past is written anew.
Known limits: without a history the action is worked out on the lots of before its instant that are still held, and a
revision takes back only its money, both said by ``reconcile``; a structure follows only what it still holds.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.book import events as e
from actors.book.actions import apply as applying
from actors.book.actions import orders
from actors.book.actions.plan import Becomes, Plan, asset_id_of, lots_of, say
from actors.book.draft import Draft
from actors.book.events import AppliedAction, LotChoice, LotUse
from actors.book.instruments import Instrument
from actors.book.rules.actions.exchange import Holding, Row
from actors.book.rules.booking import book_value
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.market.actions import roll_at
from actors.market.world import World


def take_in(draft: Draft, known: e.CorporateActionAnnounced, world: World, profiles: Profiles) -> None:
    """Make the account what it would be had it known of this version in time."""
    assert world.days is not None
    book, action = draft.book, known.action
    old = book.actions.get(action.ca_id)
    rolls_at = roll_at(world.days, action.effective_date)
    since = min(rolls_at, old.effective_at) if old is not None and old.stage != "passed" else rolls_at
    past = _past(draft, since, world)
    again = _Again(action.ca_id, book, past, world)
    happens = not action.withdrawn and rolls_at <= world.now
    again.run(known if happens else None, rolls_at)
    plan = again.difference(draft.book)
    plan.reconcile = plan.reconcile or (past is None and (old is not None or not happens))
    stage = "withdrawn" if not happens else "applied" if again.concerned else "passed"
    changes = orders.changes(draft, action, rolls_at, world) if happens and (old is None or not old.entries) else []
    if changes:
        stage, plan.groups = "applied", orders.groups(book, changes)
    record = AppliedAction(action.ca_id, known.version, rolls_at, stage, action.symbol)
    live = old.entries if old is not None else ()
    if past is None:
        live = tuple(entry for entry in live if entry.net_money)
    if old is not None:
        orders.follow_structures(draft, _inverse(old.entries), world)
    plan.pays = again.pays
    status = "correct" if live else "executed"
    say(draft, record, plan, world, belongs_at=rolls_at, status=status, reversed_entries=live)
    orders.change(draft, changes, world)
    orders.follow_structures(draft, again.becomes, world)


def _past(draft: Draft, since: int, world: World) -> tuple[Book, list[tuple[int, Any]]] | None:
    """The account before an instant and all since, also what this very turn has done so far."""
    if world.past is None:
        return None
    book = draft.book
    found = world.past(book.account_no, since, book.n - len(draft.events))
    return (found[0], [*found[1], *((draft.at, event) for event in draft.events)]) if found is not None else None


def _inverse(entries: tuple[e.ActionEntry, ...]) -> dict[str, Becomes]:
    """What securities were before an action, from its pairs of entries: the removal, then what came."""
    out: dict[str, Becomes] = {}
    for gone, came in pairwise(entries):
        paired = (gone.type, gone.sub_type) == (came.type, came.sub_type) and gone.qty * came.qty < 0
        if (paired and gone.symbol != came.symbol) or (paired and gone.type == "SPLIT"):
            out[came.symbol] = (gone.symbol, Fraction(abs(gone.qty), abs(came.qty)))
    return out


class _Again:
    """The account's time since an instant, once more."""

    def __init__(self, ca_id: str, book: Book, past: Any, world: World) -> None:
        self.ca_id, self.world, self.present = ca_id, world, book
        self.events: list[tuple[int, Any]] = past[1] if past is not None else []
        self.exact = past is not None
        before = past[0] if past is not None else book
        self.book: Book = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Book)
        self.book.actions.pop(ca_id, None)
        self.book.action_due = 0
        for other, record in list(self.book.actions.items()):
            self.book.actions[other] = replace(record, pays=())
        self.rows: list[Row] = []
        self.pays: list[e.ActionPay] = []
        self.becomes: dict[str, Any] = {}
        self.concerned = False
        self._muted = False
        self._closed: dict[str, tuple[LotUse, ...]] = {}
        self.realized: dict[str, int] = {}
        self.realized_before: dict[str, int] = {}

    def run(self, known: e.CorporateActionAnnounced | None, rolls_at: int) -> None:
        """Apply the action at its instant, and everything else that happened, in order."""
        done = known is None
        for at, event in self.events:
            if not done and at >= rolls_at:
                self._apply(known, rolls_at)
                done = True
            self._pay(at)
            self._follow(event, at)
        if not done:
            self._apply(known, rolls_at)
        self._pay(self.world.now)
        record = self.book.actions.get(self.ca_id)
        self.pays = list(record.pays) if record is not None else []

    def _apply(self, known: e.CorporateActionAnnounced | None, at: int) -> None:
        assert known is not None
        plan = applying.plan_of(self.book, known.action, at, self.world)
        self.concerned = bool(plan.rows or plan.pays)
        self.becomes = plan.becomes
        self._say(AppliedAction(self.ca_id, known.version, at, "applied", known.action.symbol), plan, at)

    def _pay(self, until: int) -> None:
        while 0 < self.book.action_due <= until:
            draft = Draft(self.book, self.book.action_due)
            applying.pay_next(draft, self.world)
            self._note(draft)

    def _say(self, record: AppliedAction, plan: Plan, at: int) -> None:
        draft = Draft(self.book, at)
        say(draft, record, plan, self.world, belongs_at=at)
        self._note(draft)

    def _note(self, draft: Draft) -> None:
        for event in draft.events:
            if isinstance(event, e.ActivityBooked):
                self.rows.append(
                    Row(event.activity_type, event.activity_sub_type, event.symbol, event.qty, event.net_money,
                        event.price, event.rate)
                )  # fmt: skip
            elif isinstance(event, e.PositionAdjusted):
                self._realize(self.realized, event)
                self._closed[event.symbol] = (*self._closed.get(event.symbol, ()), *event.closed)

    def _realize(self, table: dict[str, int], event: e.PositionChanged | e.PositionAdjusted) -> None:
        table[event.symbol] = table.get(event.symbol, 0) + event.realized_money

    def _follow(self, event: Any, at: int) -> None:
        """One more event of the past, on what the positions are in this telling."""
        if isinstance(event, e.PositionChanged):
            self._realize(self.realized_before, event)
            self._trade(event, at)
        elif isinstance(event, e.CorporateActionApplied):
            ca_id = event.record.ca_id
            self._muted = ca_id == self.ca_id
            if not self._muted and ca_id not in self.book.actions:
                self._muted = True
                self._other(ca_id)
        elif isinstance(event, e.PositionAdjusted):
            self._realize(self.realized_before, event)
            if not self._muted:
                self._paid(event, at)
        elif isinstance(event, e.AccountReset):
            self.book.positions.clear()

    def _paid(self, event: e.PositionAdjusted, at: int) -> None:
        """What another action delivered later: its new lots; a change of others' cost cannot be told again."""
        position = self.book.positions.get(event.symbol)
        mine = position.lots if position is not None else ()
        fresh = tuple(lot for lot in event.lots if lot.lot_no >= self.book.next_lot_no)
        self.exact = self.exact and bool(fresh)
        lots = (*mine, *fresh)
        if fresh:
            qty, basis = sum(lot.qty for lot in lots), sum(lot.basis_money for lot in lots)
            Draft(self.book, at).emit(replace(event, qty=qty, basis_money=basis, lots=lots))
            self._realize(self.realized, event)

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
        if change.opened is not None and event.opened is not None:
            change = replace(
                change, opened=replace(change.opened, lot_no=event.opened.lot_no, opened_at=event.opened.opened_at)
            )
        self._realize(self.realized, change)
        Draft(self.book, at).emit(change)

    def _other(self, ca_id: str) -> None:
        """Another action of that time, on what there is in this telling."""
        known = self.world.actions.by_id.get(ca_id)
        if known is None or known.action.withdrawn or self.world.days is None:
            self.exact = False
            return
        at = roll_at(self.world.days, known.action.effective_date)
        plan = applying.plan_of(self.book, known.action, at, self.world)
        draft = Draft(self.book, at)
        say(draft, AppliedAction(ca_id, known.version, at, "applied"), replace_pays(plan), self.world, belongs_at=at)
        for event in draft.events:
            if isinstance(event, e.PositionAdjusted):
                self._realize(self.realized, event)

    def difference(self, present: Book) -> Plan:
        """What must be said of the present book so that it is this one."""
        plan = Plan(rows=self.rows, reconcile=not self.exact and bool(self.events))
        for symbol in sorted({*present.positions, *self.book.positions}):
            lots, held = lots_of(self.book, symbol), lots_of(present, symbol)
            realized = self.realized.get(symbol, 0) - self.realized_before.get(symbol, 0)
            if lots != held or realized:
                closed = self._closed.get(symbol, ())
                rest = realized - sum(use.proceeds_money - use.basis_money for use in closed)
                if rest:
                    closed = (*closed, LotUse(0, 0, 0, rest))
                plan.holdings[symbol] = Holding(symbol, lots, realized, closed)
                if symbol not in self.world.instruments.by_symbol:
                    plan.instruments[symbol] = Instrument(asset_id_of(symbol, self.world), symbol)
            if any(lot.qty < 0 for lot in lots) and any(lot.qty > 0 for lot in lots):
                plan.reconcile = True
        for contract in self.book.contracts.values():
            if contract.symbol in plan.holdings:
                plan.instruments[contract.symbol] = contract
        return plan


def replace_pays(plan: Plan) -> Plan:
    """A plan without what it pays later: that is the other action's own affair."""
    plan.pays = []
    return plan
