"""Random lives of brackets, OCO and OTO: never more exits than shares, never both exits, always a clean end."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.book import events as e
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import CancelAll, CancelOrder, ClosePosition, ReplaceOrder, StopLoss, TakeProfit
from actors.engine import Engine
from actors.inputs import encode
from tests.oracle.rig import MS, SECOND, feed, quote, trade
from tests.oracle.scripts import profile
from tests.orders.rig import Desk

PRICES = st.integers(960, 1040)
PAUSES = st.sampled_from([0, 1, 40 * MS, 120 * MS, SECOND])


def text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


class Groups(RuleBasedStateMachine):
    desk: Desk

    @initialize(
        profile_name=st.sampled_from(["realistic", "conservative", "alpaca-parity", "brisk"]), side=st.booleans()
    )
    def open(self, profile_name: str, side: bool) -> None:
        self.desk = Desk(profile_name)
        self.buying = side
        self.closes = False
        """Whether shares may have gone another way than through the exits."""

    @rule(
        qty=st.integers(1, 12),
        middle=PRICES,
        profit=st.integers(1, 20),
        loss=st.integers(1, 20),
        shape=st.sampled_from(["bracket", "bracket", "oto profit", "oto loss"]),
        kind=st.sampled_from(["market", "limit", "stop"]),
        in_force=st.sampled_from(["day", "gtc"]),
        stop_limit=st.booleans(),
    )
    def enter(
        self, qty: int, middle: int, profit: int, loss: int, shape: str, kind: str, in_force: str, stop_limit: bool
    ) -> None:
        sign = 1 if self.buying else -1
        exits: dict[str, Any] = {}
        if shape != "oto loss":
            exits["take_profit"] = TakeProfit(limit_price=text(middle + sign * profit))
        if shape != "oto profit":
            limit = text(middle - sign * (loss + 2)) if stop_limit else None
            exits["stop_loss"] = StopLoss(stop_price=text(middle - sign * loss), limit_price=limit)
        price = {"limit": {"limit_price": text(middle)}, "stop": {"stop_price": text(middle)}}.get(kind, {})
        self.desk.place(
            side="buy" if self.buying else "sell", qty=str(qty), type=kind, order_class=shape.split()[0],
            time_in_force=in_force, **price, **exits,
        )  # fmt: skip

    @precondition(lambda self: self.desk.position())
    @rule(profit=PRICES, loss=PRICES, qty=st.integers(1, 12))
    def leave(self, profit: int, loss: int, qty: int) -> None:
        self.desk.place(
            side="sell" if self.desk.position() > 0 else "buy", type="limit", order_class="oco", qty=str(qty),
            take_profit=TakeProfit(limit_price=text(profit)), stop_loss=StopLoss(stop_price=text(loss)),
        )  # fmt: skip

    @rule(bid=PRICES, width=st.integers(1, 3), sizes=st.tuples(st.integers(1, 8), st.integers(1, 8)), pause=PAUSES)
    def market(self, bid: int, width: int, sizes: tuple[int, int], pause: int) -> None:
        self.desk.at += pause
        feed(self.desk.engine, quote("AAA", bid, bid + width, self.desk.at, *sizes))

    @rule(cents=PRICES, pause=PAUSES)
    def last(self, cents: int, pause: int) -> None:
        self.desk.at += pause
        feed(self.desk.engine, trade("AAA", cents, self.desk.at))

    @precondition(lambda self: self.desk.book.orders)
    @rule(data=st.data(), pause=PAUSES)
    def cancel(self, data: Any, pause: int) -> None:
        self.desk.do(CancelOrder(order_id=self.choose(data)), after=pause)

    @precondition(lambda self: self.desk.book.orders)
    @rule(data=st.data(), price=PRICES, stop=st.booleans(), pause=PAUSES)
    def change(self, data: Any, price: int, stop: bool, pause: int) -> None:
        field = "stop_price" if stop else "limit_price"
        self.desk.do(ReplaceOrder(order_id=self.choose(data), **{field: text(price)}), after=pause)

    @precondition(lambda self: self.desk.position())
    @rule(cancels=st.booleans(), pause=PAUSES)
    def close(self, cancels: bool, pause: int) -> None:
        self.closes = True
        self.desk.do(ClosePosition(symbol="AAA", cancel_orders=cancels), after=pause)

    @rule(pause=PAUSES)
    def wait(self, pause: int) -> None:
        self.desk.wait(self.desk.at + pause)

    def choose(self, data: Any) -> str:
        order_no = data.draw(st.sampled_from(sorted(self.desk.book.orders)))
        return self.desk.order(order_no).terms.order_id

    @invariant()
    def exits_never_exceed_the_position(self) -> None:
        book = self.desk.book
        assert not book.quarantined
        position = book.positions.get("AAA")
        shares = abs(position.qty) if position is not None else 0
        assert 0 <= book.held.get("AAA", 0) <= shares
        for group in book.groups.values():
            assert group.members
            assert group.exit_qty <= group.entry_qty
            assert not group.exit_end
            for order_no in group.members:
                order = book.orders[order_no]
                if order.terms.leg == "entry":
                    continue
                if order.reserved_qty:
                    assert order.reserved_qty == order.leaves_qty <= group.entry_qty - group.exit_qty
                    assert (
                        group.exit_qty
                        or order.terms.profile == "alpaca-parity"
                        or self.closes
                        or (order.reserved_qty == group.entry_qty)
                    )
                else:
                    assert order.dormant
                    assert order.filled_qty == 0

    @invariant()
    def what_the_events_say_is_the_book(self) -> None:
        assert rebuilt(self.desk.engine) == plain(self.desk.book)

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        desk = self.desk
        desk.do(CancelAll())
        desk.wait()
        desk.wait()
        book = desk.book
        assert book.orders == book.groups == book.closing == book.held == book.open_sides == book.by_client == {}
        assert book.reserved_money == 0
        check_ends(desk)


def check_ends(desk: Desk) -> None:
    """No group sold more than it bought; each order ended exactly once."""
    records = desk.records()
    filled: dict[tuple[int, bool], int] = {}
    accepted: dict[int, int] = {}
    ends: dict[int, int] = {}
    for event in desk.events():
        if isinstance(event, e.OrderCanceled | e.OrderExpired | e.OrderReplaced) or (
            isinstance(event, e.OrderFilled) and event.status == "filled"
        ):
            ends[event.order_no] = ends.get(event.order_no, 0) + 1
        if isinstance(event, e.OrderAccepted) and event.order_class == "oco":
            accepted[event.group_no] = max(accepted.get(event.group_no, 0), event.qty)
        if isinstance(event, e.OrderFilled) and (terms := records[event.order_no].terms).group_no:
            key = (terms.group_no, terms.leg == "entry")
            filled[key] = filled.get(key, 0) + event.qty
    for (group_no, entry), qty in filled.items():
        if not entry:
            assert qty <= filled.get((group_no, True), accepted.get(group_no, 0))
    assert set(ends.values()) <= {1}
    assert set(ends) == set(records)


def plain(book: Book) -> bytes:
    """The book without what moves with the tape."""
    from msgspec.structs import replace

    return encode(replace(book, watch={}, consumed={}))


def rebuilt(engine: Engine) -> bytes:
    book = Book(1)
    for step in engine.steps:
        for section in step.sections:
            if section.account_no == 1:
                for event in section.events:
                    fold(book, event, step.at)
    return plain(book)


TestGroups = Groups.TestCase
TestGroups.settings = settings(profile(40), stateful_step_count=30)
