"""Events as lines: the output of ``mbtd replay`` and the bodies of account streams (contracts §2).

Invariants: one line an event, a pure function of the events so far; nothing in a line depends on groups or on
wall time. The renderer remembers the terms of live orders only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors.book import events as e
from actors.book.ids import derive_fill_id
from actors.book.state.book import Book
from actors.book.units import average_price, format_money, format_price, format_qty, format_scaled, format_time
from actors.house.state import HOUSE_NO, House
from actors.inputs import Section, Step
from mbtd.records.action_lines import ACTION_NAMES, action_fields
from mbtd.records.money_lines import MONEY_NAMES, money_fields
from mbtd.records.option_lines import OPTION_NAMES, option_fields
from mbtd.records.structure_lines import STRUCTURE_NAMES, structure_fields

NAMES: dict[type, str] = {
    e.AccountCreated: "account.created",
    e.AccountConfigured: "account.configured",
    e.AccountClosed: "account.closed",
    e.AccountQuarantined: "account.quarantined",
    e.CommandRefused: "command.refused",
    e.ActivityBooked: "activity.booked",
    e.OrderRejected: "order.rejected",
    e.OrderAccepted: "order.accepted",
    e.OrderActivated: "order.new",
    e.OrderTriggered: "order.triggered",
    e.OrderFilled: "order.filled",
    e.OrderLegFilled: "order.leg_filled",
    e.PositionChanged: "position.changed",
    e.LotsAssigned: "lots.assigned",
    e.OrderCancelPending: "order.pending_cancel",
    e.OrderCanceled: "order.canceled",
    e.OrderCancelRejected: "order.cancel_rejected",
    e.OrderReplacePending: "order.pending_replace",
    e.OrderReplaced: "order.replaced",
    e.OrderReplaceRejected: "order.replace_rejected",
    e.OrderExpired: "order.expired",
    e.OrderAdjusted: "order.adjusted",
    e.MarketGapped: "market.gap",
    **MONEY_NAMES,
    **OPTION_NAMES,
    **STRUCTURE_NAMES,
    **ACTION_NAMES,
}


_ENDS = frozenset({e.OrderCanceled, e.OrderExpired, e.OrderReplaced})


def ends(event: Any) -> bool:
    """Whether an order leaves the book with this event."""
    return type(event) in _ENDS or (isinstance(event, e.OrderFilled) and event.status == "filled")


class HouseNames:
    """Account names as a house holds them, for a renderer that is kept beside it."""

    def __init__(self, house: House) -> None:
        self._house = house

    def get(self, account_no: int, default: str) -> str:
        """The name, or the default."""
        return self._house.name_of(account_no) or default

    def __setitem__(self, account_no: int, name: str) -> None:
        """The house knows it."""


class Lines:
    """Renders steps, in order. Give it every step since the start, or :meth:`prime` it with the books."""

    def __init__(self) -> None:
        self.names: dict[int, str] | HouseNames = {}
        """Account names by ``account_no``."""
        self._terms: dict[tuple[int, int], e.OrderAccepted] = {}

    def prime(self, book: Book) -> None:
        """Take over the live orders of a recovered book."""
        for order_no, order in book.orders.items():
            self._terms[book.account_no, order_no] = order.terms

    def forget(self, account_nos: Iterable[int]) -> None:
        """Know nothing of erased accounts any more."""
        gone = set(account_nos)
        if isinstance(self.names, dict):
            self.names = {no: name for no, name in self.names.items() if no not in gone}
        self._terms = {key: terms for key, terms in self._terms.items() if key[0] not in gone}

    def take_terms(self, account_no: int, terms: e.OrderAccepted) -> None:
        """Know an order that is live already."""
        self._terms[account_no, terms.order_no] = terms

    def render(self, step: Step) -> list[dict[str, Any]]:
        """The lines of one step."""
        lines = []
        seq = step.seq_first
        for section in step.sections:
            for event in section.events:
                line = self.line(section, event, seq, step.at)
                if line is not None:
                    lines.append(line)
                seq += 1
        return lines

    def follow(self, step: Step) -> None:
        """Keep up with a step without rendering it."""
        for section in step.sections:
            self.follow_section(section)

    def follow_section(self, section: Section) -> None:
        """Keep up with one account's events without rendering them."""
        terms = self._terms
        account_no = section.account_no
        events: tuple[Any, ...] = section.events
        for event in events:
            kind = type(event)
            if kind is e.OrderAccepted:
                terms[account_no, event.order_no] = event
            elif kind is e.OrderFilled:
                if event.status == "filled":
                    terms.pop((account_no, event.order_no), None)
            elif kind in _ENDS:
                terms.pop((account_no, event.order_no), None)
                if kind is e.OrderReplaced:
                    terms[account_no, event.terms.order_no] = event.terms
            elif kind is e.AccountRegistered:
                self.names[event.account_no] = event.name

    def line(self, section: Section, event: Any, seq: int, at: int) -> dict[str, Any] | None:
        """One line, or nothing for events that only the house is concerned with."""
        if isinstance(event, e.AccountRegistered):
            self.names[event.account_no] = event.name
            return None
        name = NAMES.get(type(event))
        if name is None:
            return None
        account = self.names.get(section.account_no, "")
        line: dict[str, Any] = {"seq": seq, "at": format_time(at), "account": account, "event": name}
        if section.account_no == HOUSE_NO and isinstance(event, e.CommandRefused):
            line["account"] = event.numbers.get("account", "")
        self._order_fields(section.account_no, event, line)
        _own_fields(event, line)
        return line

    def _order_fields(self, account_no: int, event: Any, line: dict[str, Any]) -> None:
        if isinstance(event, e.OrderAccepted):
            self._terms[account_no, event.order_no] = event
        order_no = getattr(event, "order_no", 0)
        terms = self._terms.get((account_no, order_no)) if order_no else None
        if isinstance(event, e.OrderReplacePending | e.OrderReplaced):
            self._terms[account_no, event.terms.order_no] = event.terms
        if terms is None:
            return
        line["order_id"] = terms.order_id
        line["client_order_id"] = terms.client_order_id
        line["symbol"] = terms.symbol
        line["side"] = terms.side
        line["type"] = terms.type
        if ends(event):
            self._terms.pop((account_no, order_no), None)
        if isinstance(event, e.OrderFilled):
            line["fill_id"] = derive_fill_id(terms.order_id, event.fill_no)


def _amounts(terms: e.OrderAccepted, line: dict[str, Any]) -> None:
    if terms.qty:
        line["qty"] = format_qty(terms.qty)
    else:
        line["notional"] = format_money(terms.notional)
    if terms.limit_price or (terms.legs and terms.type == "limit"):
        line["price"] = format_price(terms.limit_price)
    if terms.stop_price:
        line["stop_price"] = format_price(terms.stop_price)


def _group_fields(terms: e.OrderAccepted, line: dict[str, Any]) -> None:
    if terms.order_class:
        line["order_class"] = terms.order_class
        line["leg"] = terms.leg
    if terms.trail_price:
        line["trail_price"] = format_price(terms.trail_price)
    if terms.trail_ppm:
        line["trail_percent"] = format_scaled(terms.trail_ppm, 4)


def _own_fields(event: Any, line: dict[str, Any]) -> None:
    match event:
        case e.OrderAccepted():
            _amounts(event, line)
            line["status"] = "accepted"
            if event.held_at_first:
                line["event"], line["status"] = "order.held", "held"
            line["profile"] = event.profile
            if event.structure_id:
                line["structure_id"] = event.structure_id
            _group_fields(event, line)
        case e.OrderActivated():
            line["status"] = "new"
        case e.OrderTriggered():
            line["price"] = format_price(event.trigger_price)
            if event.stop_price:
                line["stop_price"] = format_price(event.stop_price)
        case e.OrderAdjusted():
            line["qty"] = format_qty(event.qty)
        case e.OrderFilled():
            _fill_fields(event, line)
        case e.OrderLegFilled():
            line["symbol"], line["side"] = event.symbol, event.side
            line["qty"], line["price"] = format_qty(event.qty), format_price(event.price)
        case e.PositionChanged():
            line["symbol"] = event.symbol
            line["qty"] = format_qty(event.qty)
            line["price"] = format_price(average_price(abs(event.basis_money), abs(event.qty)))
            line["net_amount"] = format_money(event.net_money)
        case e.LotsAssigned():
            line["symbol"] = event.symbol
            line["realized_pl"] = format_money(event.realized_money)
            line["lots"] = [{"lot_no": use.lot_no, "qty": format_qty(abs(use.qty))} for use in event.closed]
        case e.OptionInstructed() | e.OptionWarned() | e.OptionAwaiting() | e.OptionAssigned():
            option_fields(event, line)
        case e.CorporateActionApplied() | e.PositionAdjusted():
            action_fields(event, line)
        case e.OrderCanceled() | e.OrderExpired():
            line["status"] = "canceled" if isinstance(event, e.OrderCanceled) else "expired"
            line["reason"] = event.reason
            if isinstance(event, e.OrderCanceled) and event.ca_id:
                line["ca_id"] = event.ca_id
        case e.OrderCancelPending():
            line["status"] = "pending_cancel"
        case e.OrderReplacePending():
            line["status"] = "pending_replace"
        case e.OrderReplaced():
            line["status"] = "replaced"
            line["replaced_by"] = event.terms.order_id
            if event.ca_id:
                line["reason"], line["ca_id"] = "corporate_action", event.ca_id
            _amounts(event.terms, line)
        case _:
            _other_fields(event, line)


def _other_fields(event: Any, line: dict[str, Any]) -> None:
    match event:
        case e.OrderCancelRejected() | e.OrderReplaceRejected():
            line["order_id"] = event.order_id
            line["reason"] = event.reason
        case e.OrderRejected():
            line |= {
                "client_order_id": event.client_order_id,
                "symbol": event.symbol,
                "side": event.side,
                "type": event.type,
                "qty": event.qty,
                "status": "rejected",
                "reason": event.reason,
            }
        case e.ActivityBooked():
            line["activity_type"] = event.activity_type
            line["net_amount"] = format_money(event.net_money)
            if event.symbol:
                line["symbol"] = event.symbol
            if event.qty:
                line["qty"] = format_qty(event.qty)
        case e.AccountCreated() | e.AccountConfigured():
            line["profile"] = event.profile
        case e.CommandRefused():
            line["reason"] = event.reason
            line["method"] = event.method
        case e.AccountQuarantined() | e.MarketGapped():
            line["reason"] = event.reason
        case e.StructureChanged() | e.StructureExitSet() | e.StructureExitTriggered():
            structure_fields(event, line)
        case _:
            money_fields(event, line)


def _fill_fields(event: e.OrderFilled, line: dict[str, Any]) -> None:
    if event.status != "filled":
        line["event"] = "order.partially_filled"
    line["qty"] = format_qty(event.qty)
    line["price"] = format_price(event.price)
    line["filled_qty"] = format_qty(event.filled_qty)
    line["status"] = event.status
    line["reason"] = event.reason
    line["profile"] = event.evidence.profile
