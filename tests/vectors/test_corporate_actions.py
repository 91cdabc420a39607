"""One case for each vector of ``corporate_actions.json``: announced to the house, lived through by an account.

Positions and orders of before are facts of the account's earlier life; the action comes by the operator's command, fills
by orders in the market, and time by the calendar.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from actors.book import events as e
from actors.book.instruments import Deliverable, Instrument
from actors.book.units import (
    format_money,
    format_price,
    format_qty,
    parse_money,
    parse_price,
    parse_qty,
    parse_time,
)
from actors.commands import ConfigureAccount
from mbtd.market.calendar import to_date, to_int
from tests.corporate.rig import CALENDAR, Stage, instrument_of
from tests.vectors.cases import load

FILE = "corporate_actions"
DATES = ("ex_date", "effective_date", "process_date")
LAST = (*DATES, "payable_date", "record_date", "expiration_date", "due_bill_redemption_date", "due_bill_off_date")
UNTOLD = ("received_at", "withdrawn")


def actions_of(vector: dict[str, Any]) -> list[dict[str, Any]]:
    found = vector["action"]
    return found if isinstance(found, list) else [found]


class Case:
    """One vector's account."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.vector = vector
        first = actions_of(vector)[0]
        self.effective = date.fromisoformat(next(first[name] for name in DATES if first.get(name)))
        begins = self._days_before(5)
        contracts = [self._contract(row) for row in vector["before"]["positions"] if "contract" in row]
        rows = [*vector["before"]["positions"], *vector["before"]["open_orders"]]
        symbols = {row["symbol"] for row in rows} - {contract.symbol for contract in contracts}
        symbols |= {
            first[name] for name in ("symbol", "source_symbol", "acquiree_symbol", "old_symbol") if name in first
        }
        symbols -= {symbol for symbol in symbols if len(symbol) > 15}
        options = [instrument_of(row["symbol"], CALENDAR) for row in rows if len(row["symbol"]) > 15
                   and row["symbol"] not in {c.symbol for c in contracts}]  # fmt: skip
        self.stage = Stage(f"{begins} 10:00", symbols, [*contracts, *options])
        self.no = self.stage.account(vector["before"]["cash"])
        policy = vector["policy"]
        assert policy["fraction_short"] == "cil"
        self.stage.do(
            self.no,
            ConfigureAccount(
                fraction_long=policy["fraction_long"], action_orders=policy["orders"],
                order_size_rounding=policy["order_size_rounding"], drip=policy["drip"],
                nra_ppm=int(Decimal(policy.get("nra_rate", "0")) * 1_000_000),
            ),
        )  # fmt: skip
        for row in vector["before"]["positions"]:
            multiplier = Decimal(row["cost_basis"]).quantize(Decimal("0.000001"))
            self.stage.hold(self.no, row["symbol"], parse_qty(row["qty"]), parse_money(str(multiplier)))
        # Exits of a group hold their shares before anything else does.
        rows = sorted(vector["before"]["open_orders"], key=lambda row: row["class"] == "simple")
        self.orders = {row["id"]: self._plant(row) for row in rows}
        self.first_event = len(self.stage.events(self.no))

    def _days_before(self, count: int) -> date:
        day = self.effective - timedelta(days=count)
        while not CALENDAR.is_trading_day(to_int(day)):
            day -= timedelta(days=1)
        return day

    def _contract(self, row: dict[str, Any]) -> Instrument:
        told = row["contract"]
        parts = [Deliverable("equity", p["symbol"], parse_qty(p["qty"])) for p in told["deliverable"]["shares"]]
        return structs.replace(
            instrument_of(row["symbol"], CALENDAR), underlying=parts[0].symbol, deliverables=tuple(parts),
            root=told["root"], multiplier=int(told["premium_multiplier"]),
            strike_multiplier=int(told["strike_multiplier"]), strike=parse_price(told["strike"]),
        )  # fmt: skip

    def _plant(self, row: dict[str, Any]) -> int:
        more: dict[str, Any] = {}
        for name in ("limit_price", "stop_price"):
            if name in row:
                more[name] = parse_price(row[name])
        if row["class"] != "simple":
            members = [no for no in self.stage.book(self.no).orders if self.stage.book(self.no).orders[no].terms.leg]
            leg = "take_profit" if row["type"] == "limit" else "stop_loss"
            first = members[0] if members else self.stage.book(self.no).next_order_no
            more |= {"order_class": row["class"], "leg": leg, "group_no": first}
        qty = parse_qty(row["qty"])
        if row["side"] == "sell":
            more["reserved_qty"] = qty
        more["do_not_reduce"] = row.get("dnr", False)
        return self.stage.plant(self.no, row["symbol"], row["side"], row["type"], qty, **more)

    # ── the course of it ────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        moments: list[tuple[int, int, Any]] = []
        start = self.stage.now + 1
        for action in actions_of(self.vector):
            at = parse_time(action["received_at"]) if "received_at" in action else start
            moments.append((at, 0, action))
        moments += [(parse_time(row["at"]), 1, row["fill"]) for row in self.vector.get("events", ())]
        moments += [(parse_time(row["at"]), 2, row) for row in self.vector.get("checkpoints", ())]
        for at, kind, what in sorted(moments, key=lambda moment: moment[:2]):
            self.go(at)
            if kind == 0:
                self.announce(what)
            elif kind == 1:
                self.fill(what)
            else:
                self.check_now(what)
        last = max(
            date.fromisoformat(action[name])
            for action in actions_of(self.vector)
            for name in LAST
            if action.get(name)
        )
        end = datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)
        self.go(max(int(end.timestamp()) * 10**9, self.stage.now + 86_400 * 10**9))

    def go(self, at: int) -> None:
        if at <= self.stage.now:
            return
        for session in CALENDAR.changes(self.stage.now + 1, at):
            self.stage.engine.tape(session)
        self.stage.engine.run_timers_through(at)
        self.stage.now = at
        assert self.stage.engine.failures == []

    def announce(self, action: dict[str, Any]) -> None:
        if action.get("withdrawn"):
            assert self.stage.withdraw(action["id"]) is None
            return
        words = {name: value for name, value in action.items() if name not in UNTOLD and value is not None}
        words["prices"] = self.vector["prices"]
        if "occ_adjustment" in self.vector:
            words["occ_adjustments"] = [self.vector["occ_adjustment"]]
        assert self.stage.announce(**words) is None

    def fill(self, row: dict[str, Any]) -> None:
        self.stage.quote(row["symbol"], float(row["price"]))
        terms = {"type": "limit", "limit_price": row["price"], "extended_hours": True}
        self.stage.order(self.no, row["side"], row["qty"], row["symbol"], **terms)
        self.go(self.stage.now + 10**9)
        fills = self.stage.events(self.no, e.OrderFilled)
        assert (fills[-1].qty, fills[-1].price) == (parse_qty(row["qty"]), parse_price(row["price"]))

    def check_now(self, row: dict[str, Any]) -> None:
        book = self.stage.book(self.no)
        if "cash" in row:
            assert format_money(book.cash) == row["cash"]
        if "positions" in row:
            self.check_positions(row["positions"])
        if "receivables" in row:
            pays = [(record.ca_id, pay) for record in book.actions.values() for pay in record.pays]
            shown = [
                {"ca_id": ca_id, "symbol": pay.symbol, "entitled_qty": format_qty(pay.qty),
                 "amount": format_money(pay.money), "post_date": to_date(self._day_of(pay.at)).isoformat()}
                for ca_id, pay in pays
            ]  # fmt: skip
            assert shown == row["receivables"]

    def _day_of(self, at: int) -> int:
        return self.stage.engine.world.days.at(at).trade_date  # type: ignore[union-attr]

    # ── what must have come of it ───────────────────────────────────────────────────────────────────────

    def check_positions(self, wanted: list[dict[str, Any]]) -> None:
        book = self.stage.book(self.no)
        assert sorted(book.positions) == sorted(row["symbol"] for row in wanted)
        for row in wanted:
            position = book.positions[row["symbol"]]
            assert format_qty(position.qty) == row["qty"]
            basis = Decimal(format_money(position.basis_money))
            assert abs(basis - Decimal(row["cost_basis"])) <= Decimal("0.0001")
            if "contract" in row:
                self.check_contract(row["symbol"], row["contract"])

    def check_contract(self, symbol: str, wanted: dict[str, Any]) -> None:
        found = self.stage.engine.world.instruments.by_symbol[symbol]
        assert (found.root, found.strike) == (wanted["root"], parse_price(wanted["strike"]))
        assert found.right == ("call" if wanted["right"] == "C" else "put")
        assert found.multiplier == int(wanted["premium_multiplier"])
        assert (found.strike_multiplier or found.multiplier) == int(wanted["strike_multiplier"])
        assert to_date(found.osi_date).isoformat() == wanted["expiration"]
        parts = {"shares": [], "cash": "0", "cash_in_lieu": []}
        for part in found.deliverables:
            if part.kind == "cash":
                parts["cash"] = format_money(part.amount)
            else:
                name = "shares" if part.kind == "equity" else "cash_in_lieu"
                parts[name].append({"symbol": part.symbol, "qty": format_qty(part.amount)})  # type: ignore[attr-defined]
        assert parts == wanted["deliverable"]

    def check(self) -> None:
        expected = self.vector["expected"]
        book = self.stage.book(self.no)
        assert format_money(book.cash) == expected["cash"]
        self.check_positions(expected["positions"])
        self.check_orders(expected["open_orders"])
        facts = self.stage.events(self.no)[self.first_event :]
        booked = [fact for fact in facts if isinstance(fact, e.ActivityBooked)]
        rows = Counter(
            (b.activity_type, b.activity_sub_type or None, b.symbol, format_qty(b.qty), format_money(b.net_money))
            for b in booked
        )
        assert rows == Counter(
            (row["type"], row["subtype"], row["symbol"], row["qty"], row["net_amount"])
            for row in expected["activities"]
        )
        statuses = Counter(row["status"] for row in expected["activities"] if "status" in row)
        assert statuses == Counter(b.status for b in booked if b.status != "executed")
        realized = sum(
            fact.realized_money for fact in facts if isinstance(fact, e.PositionChanged | e.PositionAdjusted)
        )
        assert abs(Decimal(format_money(realized)) - Decimal(expected["realized_pl"])) <= Decimal("0.0001")

    def check_orders(self, wanted: list[dict[str, Any]]) -> None:
        book = self.stage.book(self.no)
        ends: dict[int, Any] = {}
        for event in self.stage.events(self.no):
            if isinstance(event, e.OrderReplaced | e.OrderCanceled | e.OrderExpired):
                ends[event.order_no] = event
        for row in wanted:
            order_no = self.orders[row["id"]]
            while isinstance(ends.get(order_no), e.OrderReplaced):
                order_no = ends[order_no].terms.order_no
            if row["status"] == "canceled":
                assert ends[order_no].reason.upper() == row["reason"]
                continue
            terms = book.orders[order_no].terms
            assert (terms.symbol, format_qty(terms.qty)) == (row["symbol"], row["qty"])
            for name in ("limit_price", "stop_price"):
                assert Decimal(format_price(getattr(terms, name))) == Decimal(row.get(name, "0"))
        assert len(book.orders) == sum(row["status"] == "open" for row in wanted)


@pytest.mark.parametrize("vector", load(FILE))
def test_vectors(vector: dict[str, Any]) -> None:
    case = Case(vector)
    case.run()
    case.check()
