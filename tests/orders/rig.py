"""A margin account in an open market, and short words for what is sent to it."""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.state.book import Book, Order
from actors.commands import PlaceOrder, StopLoss, TakeProfit
from actors.engine import Engine
from mbtd.records.orders import OrderRecord, accepted_record, follow, replacing_record
from tests.oracle.rig import HOUR, SECOND, START, Do, Wait, events_of, feed, open_engine, quote, session, trade

OPEN = START + 6 * HOUR


class Desk:
    """One account; each call comes a second after the one before."""

    def __init__(
        self, profile: str = "brisk", account_type: str = "margin", cash: str = "100000", opened_at: int = OPEN
    ) -> None:
        self.engine: Engine = open_engine([(account_type, profile, cash)])
        self.at = opened_at
        feed(self.engine, session("core" if opened_at >= OPEN else "pre", opened_at))
        self.quote(1000, 1001)

    @property
    def book(self) -> Book:
        return self.engine.books[1]

    def do(self, action: Any, after: int = SECOND) -> Any:
        self.at += after
        return feed(self.engine, Do(1, action, self.at))

    def place(self, **fields: Any) -> Any:
        given = {"symbol": "AAA", "side": "buy", "qty": "10", "type": "market", "time_in_force": "day", **fields}
        return self.do(PlaceOrder(**given))

    def place_at(self, at: int, **fields: Any) -> Any:
        self.at = at - SECOND
        return self.place(**fields)

    def bracket(self, profit: str = "11.00", loss: str = "9.00", **fields: Any) -> tuple[int, int, int]:
        """Entry, take-profit and stop-loss of a bracket."""
        placed = self.place(
            order_class="bracket",
            take_profit=TakeProfit(limit_price=profit),
            stop_loss=StopLoss(stop_price=loss),
            **fields,
        )
        assert isinstance(placed, Placed), placed
        return placed.order_no, placed.legs[0].order_no, placed.legs[1].order_no

    def oco(self, profit: str = "11.00", loss: str = "9.00", side: str = "sell", qty: str = "10") -> tuple[int, int]:
        placed = self.place(
            side=side, qty=qty, type="limit", order_class="oco", time_in_force="gtc",
            take_profit=TakeProfit(limit_price=profit), stop_loss=StopLoss(stop_price=loss),
        )  # fmt: skip
        assert isinstance(placed, Placed), placed
        return placed.order_no, placed.legs[0].order_no

    def quote(self, bid: int, ask: int, bid_size: int = 100, ask_size: int = 100) -> None:
        """A quote in cents that stays for a second."""
        self.at += SECOND
        feed(self.engine, quote("AAA", bid, ask, self.at, bid_size, ask_size))
        self.wait()

    def print(self, cents: int) -> None:
        self.at += SECOND
        feed(self.engine, trade("AAA", cents, self.at))

    def session(self, phase: str, at: int, day: int = 0) -> None:
        self.at = at
        feed(self.engine, session(phase, at, day))

    def wait(self, until: int = 0) -> None:
        self.at = max(self.at + SECOND, until)
        feed(self.engine, Wait(self.at))

    def order(self, order_no: int) -> Order:
        return self.book.orders[order_no]

    def live(self) -> dict[int, str]:
        return {no: order.status for no, order in sorted(self.book.orders.items())}

    def held(self) -> int:
        """Shares of AAA that exits hold, in whole shares."""
        return self.book.held.get("AAA", 0) // 10**9

    def position(self) -> int:
        position = self.book.positions.get("AAA")
        return position.qty // 10**9 if position is not None else 0

    def events(self) -> list[Any]:
        return events_of(self.engine, 1)

    def records(self) -> dict[int, OrderRecord]:
        """What the projection makes of every order so far."""
        records: dict[int, OrderRecord] = {}
        for step in self.engine.steps:
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, e.OrderAccepted):
                        records[event.order_no] = accepted_record(event, step.at)
                    elif (no := getattr(event, "order_no", 0)) in records:
                        if isinstance(event, e.OrderReplaced):
                            records[event.terms.order_no] = replacing_record(records[no], event, step.at)
                        records[no] = follow(records[no], event, step.at)
        return records

    def ends(self) -> dict[int, tuple[str, str]]:
        """Status and reason of every ended order."""
        return {no: (r.status, r.reason) for no, r in self.records().items() if no not in self.book.orders}
