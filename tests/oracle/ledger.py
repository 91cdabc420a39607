"""Two independent readings of the events alone: a double-entry ledger, and plain books for the restart tests.

Neither calls the engine's fold. The ledger believes prices and quantities and works the rest out; the books
believe what the events say they leave behind. Both must come to what the engine holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from types import SimpleNamespace
from typing import Any

from actors.book import events as e
from actors.inputs import Step

PENDING = ("pending_cancel", "pending_replace")


class Ledger:
    """Accounts in double entry: every posting has two sides, so all balances together are always nothing."""

    def __init__(self) -> None:
        self.balance: dict[str, int] = {}
        self.lots: dict[str, list[list[Any]]] = {}
        self.realized: dict[str, Fraction] = {}
        self.reserved_money: dict[int, int] = {}
        self.reserved_qty: dict[int, tuple[str, int]] = {}
        self._fill: tuple[str, int, int] | None = None
        self._ending: list[Any] | None = None
        """Contracts or shares that an option moves, and their cash: its activity has it, the position fact none."""
        self._sides: dict[int, tuple[str, str]] = {}
        self._groups: dict[int, int] = {}
        self.fees: dict[str, Fraction] = {}
        """Dollars accrued and not booked, exact, by kind."""
        self.unsettled: dict[int, int] = {}
        self.accrued_interest = 0
        """Owed less earned, not booked."""
        self.posted_interest = 0

    def post(self, debit: str, credit: str, amount: int) -> None:
        self.balance[debit] = self.balance.get(debit, 0) + amount
        self.balance[credit] = self.balance.get(credit, 0) - amount
        assert sum(self.balance.values()) == 0

    def qty(self, symbol: str) -> int:
        return sum(lot[0] for lot in self.lots.get(symbol, []))

    def held(self) -> dict[str, int]:
        """Shares that open orders hold, by symbol; the orders of one group hold the same ones."""
        most: dict[tuple[str, int], int] = {}
        for order_no, (symbol, qty) in self.reserved_qty.items():
            key = (symbol, self._groups[order_no])
            most[key] = max(most.get(key, 0), qty)
        held: dict[str, int] = {}
        for (symbol, _), qty in most.items():
            held[symbol] = held.get(symbol, 0) + qty
        return {symbol: qty for symbol, qty in held.items() if qty}

    def take(self, event: Any) -> None:
        """Post one event."""
        if not isinstance(event, e.PositionAdjusted | e.CorporateActionApplied) and not getattr(event, "ca_id", ""):
            # Cash that came and cost that went, less profit: an action makes and loses nothing.
            assert self.balance.get("action", 0) == 0
        match event:
            case e.PositionAdjusted():
                self._adjusted(event)
            case e.CorporateActionApplied():
                name = f"receivable {event.record.ca_id}"
                due = sum(pay.money for pay in event.record.pays if pay.kind == "cash")
                self.post(name, "action", due - self.balance.get(name, 0))
            case e.ActivityBooked():
                self._booked(event)
            case e.TradeBooked():
                self._settle(event)
            case e.DayEnded():
                self._end_day(event)
            case e.AccountReset():
                self.fees.clear()
                self.unsettled.clear()
                self.accrued_interest = 0
            case e.OrderAccepted():
                self._open(event)
            case e.OrderReplacePending():
                self._hold(event.order_no, event.reserved_money, event.reserved_qty)
            case e.OrderReplaceRejected() if event.order_no in self.reserved_money:
                self._hold(event.order_no, event.reserved_money, event.reserved_qty)
            case e.OrderReplaced():
                self._free(event.order_no)
                self._open(event.terms)
            case e.OrderAdjusted():
                self._hold(event.order_no, self.reserved_money[event.order_no], event.reserved_qty)
            case e.OrderFilled():
                self._filled(event)
            case e.PositionChanged():
                self._check_position(event)
            case e.OrderCanceled() | e.OrderExpired():
                self._free(event.order_no)

    def _adjusted(self, event: e.PositionAdjusted) -> None:
        """What a corporate action left of a position: its cost moved, or became profit."""
        before = self.qty(event.symbol)
        assert event.qty == before + event.qty_change == sum(lot.qty for lot in event.lots)
        assert event.basis_money == sum(lot.basis_money for lot in event.lots)
        profit = sum(use.proceeds_money - use.basis_money for use in event.closed)
        assert profit == event.realized_money
        cost = self.balance.get(f"cost {event.symbol}", 0)
        self.post(f"cost {event.symbol}", "action", event.basis_money - cost)
        self.post("action", "profit", event.realized_money)
        self.lots[event.symbol] = [[lot.qty, Fraction(lot.basis_money, lot.qty)] for lot in event.lots if lot.qty]

    def _booked(self, event: e.ActivityBooked) -> None:
        if event.ca_id:
            income = event.activity_type in ("DIV", "DIVCGL", "DIVCGS", "DIVNRA", "INT")
            self.post("cash", "income" if income else "action", event.net_money)
            assert event.cash == self.balance["cash"]
            return
        if event.activity_type.startswith("OP"):
            self._option(event)
            return
        other = {"FEE": f"fees {event.activity_sub_type}", "INT": "interest"}.get(event.activity_type, "owner")
        self.post("cash", other, event.net_money)
        assert event.cash == self.balance["cash"]
        if event.activity_type == "FEE" and event.activity_sub_type not in ("BORROW", "LOCATE"):
            exact = self.fees.pop(event.activity_sub_type)
            assert -event.net_money == ceil(exact * 100) * 10_000
        elif event.activity_type == "INT":
            self.posted_interest += event.net_money

    def _option(self, event: e.ActivityBooked) -> None:
        pays = event.activity_type == "OPCSH" and self._ending is not None
        if pays:
            assert self._ending is not None
            assert self._ending[0] == event.symbol
            self._ending[2] += event.net_money
        elif event.activity_type != "OPCSH":
            assert self._ending is None
            self._ending = [event.symbol, event.qty, event.net_money]
            assert event.activity_type == "OPTRD" or event.net_money == 0
        moves = pays or event.activity_type == "OPTRD"
        self.post("cash", f"stock {event.symbol}" if moves else "owner", event.net_money)
        assert event.cash == self.balance["cash"]

    def grant(self, symbol: str, qty: int, value: int) -> None:
        """A holding that was given to the account at a value, without an order."""
        self.post(f"stock {symbol}", "cash", value if qty > 0 else -value)
        self._match(symbol, qty, Fraction(value, abs(qty)))

    def _settle(self, event: e.TradeBooked) -> None:
        for fee in event.fees:
            self.fees[fee.kind] = self.fees.get(fee.kind, Fraction(0)) + Fraction(fee.pico, 10**12)
        for day in [day for day in self.unsettled if day <= event.trade_date]:
            del self.unsettled[day]
        for day, money in (*((day, -money) for day, money in event.draws), (event.settles_on, event.settling_money)):
            self.unsettled[day] = self.unsettled.get(day, 0) + money

    def _end_day(self, event: e.DayEnded) -> None:
        assert not self.fees
        assert event.cash == self.balance.get("cash", 0)
        for day in [day for day in self.unsettled if day <= event.trade_date]:
            del self.unsettled[day]
        assert event.settled_money == event.cash - sum(self.unsettled.values())
        self.accrued_interest = event.margin_interest - event.cash_interest

    def _open(self, terms: e.OrderAccepted) -> None:
        assert terms.order_no not in self.reserved_money
        self._sides[terms.order_no] = (terms.symbol, terms.side)
        self._groups[terms.order_no] = terms.group_no or -terms.order_no
        self._hold(terms.order_no, terms.reserved_money, terms.reserved_qty)

    def _hold(self, order_no: int, money: int, qty: int) -> None:
        assert money >= 0
        assert qty >= 0
        self.reserved_money[order_no] = money
        self.reserved_qty[order_no] = (self._sides[order_no][0], qty)

    def _free(self, order_no: int) -> None:
        del self.reserved_money[order_no]
        del self.reserved_qty[order_no]

    def _filled(self, event: e.OrderFilled) -> None:
        symbol, side = self._sides[event.order_no]
        exact = Fraction(event.price * event.qty, 10**7)
        value = round(exact)
        self._fill = (symbol, event.qty if side == "buy" else -event.qty, value)
        self.post(f"stock {symbol}", "cash", value if side == "buy" else -value)
        if event.status == "filled":
            assert event.reserved_money == event.reserved_qty == 0
            self._free(event.order_no)
        else:
            self._hold(event.order_no, event.reserved_money, event.reserved_qty)

    def _check_position(self, event: e.PositionChanged) -> None:
        if self._ending is not None:
            self._check_ended(event, *self._ending)
            self._ending = None
            return
        if self._fill is None:
            # Taken away without a trade, at its cost (account reset).
            assert (event.qty, event.net_money, event.realized_money) == (0, 0, 0)
            assert sum(use.qty for use in event.closed) == self.qty(event.symbol)
            self.post("owner", f"stock {event.symbol}", sum(use.basis_money for use in event.closed))
            self.lots[event.symbol] = []
            self.post(f"cost {event.symbol}", "trades", -self.balance.get(f"cost {event.symbol}", 0))
            return
        symbol, qty, value = self._fill
        self._fill = None
        profit = self._match(symbol, qty, Fraction(value, abs(qty)))
        self.realized[symbol] = self.realized.get(symbol, Fraction(0)) + profit
        basis = sum((lot[0] * lot[1] for lot in self.lots[symbol]), Fraction(0))
        assert event.symbol == symbol
        assert event.qty == self.qty(symbol)
        assert event.cash == self.balance["cash"]
        assert event.net_money == (-value if qty > 0 else value)
        self.post(f"cost {symbol}", "trades", event.basis_money - self.balance.get(f"cost {symbol}", 0))
        assert abs(event.basis_money - basis) <= 64
        assert abs(event.realized_money - profit) <= 64
        opened = event.opened.qty if event.opened is not None else 0
        assert opened - sum(use.qty for use in event.closed) == qty

    def _check_ended(self, event: e.PositionChanged, symbol: str, qty: int, net: int) -> None:
        profit = self._match(symbol, qty, Fraction(abs(net), abs(qty)))
        basis = sum((lot[0] * lot[1] for lot in self.lots[symbol]), Fraction(0))
        assert (event.symbol, event.qty, event.net_money) == (symbol, self.qty(symbol), 0)
        assert event.cash == self.balance.get("cash", 0)
        assert abs(event.realized_money - profit) <= 64
        assert abs(event.basis_money - basis) <= 64
        self.post(f"cost {symbol}", "trades", event.basis_money - self.balance.get(f"cost {symbol}", 0))

    def _match(self, symbol: str, qty: int, unit: Fraction) -> Fraction:
        """First in, first out, in exact fractions; the profit of what this closes."""
        lots, profit = self.lots.setdefault(symbol, []), Fraction(0)
        while qty and lots and (lots[0][0] > 0) != (qty > 0):
            part = min(abs(qty), abs(lots[0][0]))
            sign = 1 if lots[0][0] > 0 else -1
            profit += sign * part * (unit - lots[0][1])
            lots[0][0] -= sign * part
            qty += sign * part
            if not lots[0][0]:
                lots.pop(0)
        if qty:
            lots.append([qty, unit])
        return profit


def check_ledger(ledger: Ledger, book: Any) -> None:
    """The book equals the ledger."""
    assert book.cash == ledger.balance.get("cash", 0)
    assert book.reserved_money == sum(ledger.reserved_money.values())
    assert book.held == ledger.held()
    symbols = {symbol for symbol in ledger.lots if ledger.qty(symbol)}
    assert set(book.positions) == symbols
    for symbol in symbols:
        assert book.positions[symbol].qty == ledger.qty(symbol)
    money = book.ledger()
    assert {fee.kind: Fraction(fee.pico, 10**12) for fee in money.fees} == ledger.fees
    assert dict(money.settling) == {day: amount for day, amount in ledger.unsettled.items() if amount}
    assert money.margin_interest - money.cash_interest == ledger.accrued_interest


def replay_events(steps: Iterable[Step]) -> dict[int, Any]:
    """Plain books from journaled steps, by what the events say of themselves."""
    books: dict[int, Any] = {}
    for step in steps:
        for section in step.sections:
            if not section.account_no:
                continue
            book = books.setdefault(
                section.account_no,
                SimpleNamespace(n=0, cash=0, positions={}, orders={}, quarantined="", status="ACTIVE"),
            )
            assert section.n_first == book.n + 1
            for event in section.events:
                book.n += 1
                _apply(book, event)
    return books


def _order(terms: e.OrderAccepted, status: str) -> dict[str, Any]:
    return {
        "order_id": terms.order_id, "client_order_id": terms.client_order_id, "status": status,
        "filled_qty": terms.filled_qty, "filled_money": terms.filled_money, "before": "",
        "reserved_money": terms.reserved_money, "reserved_qty": terms.reserved_qty, "triggered": False,
        "limit_price": terms.limit_price, "live_at": terms.live_at, "cancel_at": 0, "replace_at": 0,
    }  # fmt: skip


def _apply(book: Any, event: Any) -> None:
    order = book.orders.get(getattr(event, "order_no", 0))
    match event:
        case e.AccountCreated() | e.ActivityBooked():
            book.cash = event.cash
        case e.AccountClosed():
            book.status = "ACCOUNT_CLOSED"
        case e.AccountQuarantined():
            book.quarantined = event.reason
        case e.OrderAccepted():
            held = event.group_no not in (0, event.order_no) or event.waits_for
            book.orders[event.order_no] = _order(event, "held" if held else "accepted")
        case e.OrderActivated():
            order["before" if order["status"] in PENDING else "status"] = "new"
        case e.OrderTriggered():
            order |= {
                "triggered": True,
                "live_at": event.live_at,
                "limit_price": event.limit_price or order["limit_price"],
            }
            place = "before" if order["status"] in PENDING else "status"
            order[place] = "new" if order[place] == "held" else order[place]
        case e.OrderAdjusted():
            order |= {"reserved_qty": event.reserved_qty, "live_at": event.live_at}
        case e.OrderFilled():
            order |= {
                name: getattr(event, name)
                for name in ("filled_qty", "filled_money", "reserved_money", "reserved_qty")
            }
            order["before" if order["status"] in PENDING else "status"] = event.status
            if event.status == "filled":
                del book.orders[event.order_no]
        case e.PositionChanged():
            book.cash = event.cash
            book.positions.pop(event.symbol, None)
            if event.qty:
                book.positions[event.symbol] = (event.qty, event.basis_money)
        case e.PositionAdjusted():
            book.positions.pop(event.symbol, None)
            if event.qty:
                book.positions[event.symbol] = (event.qty, event.basis_money)
        case e.LotsAssigned() if event.symbol in book.positions:
            qty, basis = book.positions[event.symbol]
            given_back, taken = (sum(use.basis_money for use in uses) for uses in (event.given_back, event.closed))
            book.positions[event.symbol] = (qty, basis + given_back - taken)
        case e.OrderCancelPending():
            order |= {"before": order["status"], "status": "pending_cancel", "cancel_at": event.effective_at}
        case e.OrderReplacePending():
            order |= {"before": order["status"], "status": "pending_replace", "replace_at": event.effective_at}
            order |= {"reserved_money": event.reserved_money, "reserved_qty": event.reserved_qty}
        case e.OrderReplaced():
            del book.orders[event.order_no]
            status = "partially_filled" if event.terms.filled_qty else "new"
            status = next((s for s in ("held", "accepted") if s in (order["before"], order["status"])), status)
            book.orders[event.terms.order_no] = _order(event.terms, status)
        case e.OrderReplaceRejected() if order is not None and order["status"] == "pending_replace":
            order |= {"status": order["before"], "before": "", "replace_at": 0}
            order |= {"reserved_money": event.reserved_money, "reserved_qty": event.reserved_qty}
        case e.OrderCanceled() | e.OrderExpired():
            del book.orders[event.order_no]


def same_books(plain: dict[int, Any], books: dict[int, Any]) -> None:
    """The engine's books say what the plain ones say."""
    assert set(plain) == set(books)
    for account_no, book in books.items():
        mine = plain[account_no]
        assert (mine.n, mine.cash, mine.quarantined, mine.status) == (
            book.n,
            book.cash,
            book.quarantined,
            book.status,
        )
        assert mine.positions == {s: (p.qty, p.basis_money) for s, p in book.positions.items()}
        assert set(mine.orders) == set(book.orders)
        for order_no, theirs in book.orders.items():
            terms = theirs.terms
            found = {
                name: getattr(theirs, name, None) if hasattr(theirs, name) else getattr(terms, name)
                for name in mine.orders[order_no]
                if name != "before"
            }
            expected = {name: value for name, value in mine.orders[order_no].items() if name != "before"}
            assert found == expected
