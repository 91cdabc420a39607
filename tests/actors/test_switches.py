"""Kill switches in the engine: what each forbids, what goes on, and that a restart knows them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.outcome import Placed
from actors.book.rules.admission.switches import MARKET_DATA, NEW_ORDERS, SOURCES, SWITCHES, TRADING
from actors.book.rules.reasons import Refusal
from actors.commands import CancelOrder, Deposit, PlaceOrder, ReplaceOrder
from actors.engine import Engine
from actors.house.state import House
from actors.inputs import SwitchInput, decode_steps, encode
from actors.market.messages import Quote, Trade
from actors.switching import show, switch
from tests.oracle.rig import MS, SECOND, Do, Wait, feed, open_engine, session
from tests.oracle.scripts import ACCOUNTS, OPEN

BUY: dict[str, Any] = {"symbol": "AAA", "qty": "10", "side": "buy", "type": "limit", "time_in_force": "day"}


class Floor:
    """An engine in the core session, with a clock that goes on by itself."""

    def __init__(self, account_no: int = 1) -> None:
        self.account_no = account_no
        self.engine = open_engine(ACCOUNTS)
        feed(self.engine, session("core", OPEN))
        self.now = OPEN + SECOND
        self.quote(9.99, 10.00)

    def pass_on(self, seconds: float = 2.0) -> None:
        self.now += round(seconds * SECOND)
        feed(self.engine, Wait(self.now))

    def quote(self, bid: float, ask: float) -> None:
        self.now += 300 * MS
        prices = round(bid * 10_000), round(ask * 10_000)
        feed(self.engine, Quote("AAA", prices[0], 5_000, prices[1], 5_000, self.now, received_at=self.now))

    def do(self, action: Any, order_no: int = 0) -> Any:
        self.now += MS
        return feed(self.engine, Do(self.account_no, action, self.now, order_no))

    def throw(self, name: str, on: bool = True, source: str = "console") -> bool:
        self.now += MS
        return switch(self.engine, SwitchInput(name, source, on, "uid:0", "a test"), self.now)

    @property
    def book(self) -> Any:
        return self.engine.books[self.account_no]

    def fills(self) -> int:
        return sum(position.qty for position in self.book.positions.values())


def reason(outcome: Any) -> str:
    return outcome.reason if isinstance(outcome, Refusal) else ""


def test_trading_disabled_stops_place_replace_and_matching_and_nothing_else() -> None:
    floor = Floor()
    assert isinstance(floor.do(PlaceOrder(**BUY, limit_price="9.50")), Placed)
    floor.pass_on()
    assert floor.throw(TRADING)
    assert reason(floor.do(PlaceOrder(**BUY, limit_price="9.40"))) == TRADING
    assert reason(floor.do(ReplaceOrder(limit_price="9.60"), 1)) == TRADING
    for _ in range(20):
        floor.quote(9.20, 9.30)
    assert floor.fills() == 0
    assert reason(floor.do(Deposit(amount="5"))) == ""
    assert floor.throw(TRADING, on=False)
    for _ in range(20):
        floor.quote(9.20, 9.30)
    assert floor.fills() > 0


def test_cancels_take_effect_under_every_switch() -> None:
    for name in SWITCHES:
        floor = Floor()
        floor.do(PlaceOrder(**BUY, limit_price="9.50"))
        floor.pass_on()
        floor.throw(name)
        assert reason(floor.do(CancelOrder(), 1)) == ""
        floor.pass_on()
        assert not floor.book.orders


def test_a_replace_under_way_is_refused_when_trading_stops() -> None:
    seen = 0
    for account_no in range(1, len(ACCOUNTS) + 1):
        floor = Floor(account_no)
        floor.do(PlaceOrder(**BUY, limit_price="9.50"))
        floor.pass_on()
        floor.do(ReplaceOrder(limit_price="9.60"), 1)
        if 1 in floor.book.orders and floor.book.orders[1].status == "pending_replace":
            seen += 1
            floor.throw(TRADING)
            floor.pass_on()
            assert [order.limit_price for order in floor.book.orders.values()] == [95_000]
    assert seen


def test_new_orders_disabled_takes_reductions_and_fills_what_rests() -> None:
    floor = Floor()
    floor.do(PlaceOrder(**(BUY | {"type": "market"})))
    for _ in range(5):
        floor.quote(9.99, 10.00)
    held = floor.fills()
    assert held > 0
    floor.do(PlaceOrder(**BUY, limit_price="9.50"))
    floor.pass_on()
    floor.throw(NEW_ORDERS)
    assert reason(floor.do(PlaceOrder(**BUY, limit_price="9.40"))) == NEW_ORDERS
    assert isinstance(floor.do(PlaceOrder(**(BUY | {"side": "sell", "qty": "1"}), limit_price="50")), Placed)
    resting = next(no for no, order in floor.book.orders.items() if order.terms.side == "buy")
    assert reason(floor.do(ReplaceOrder(qty="20"), resting)) == NEW_ORDERS
    for _ in range(20):
        floor.quote(9.20, 9.30)
    assert floor.fills() > held


def test_market_data_disabled_lets_orders_wait_for_a_new_quote() -> None:
    floor = Floor()
    floor.throw(MARKET_DATA)
    assert isinstance(floor.do(PlaceOrder(**(BUY | {"type": "market"}))), Placed)
    floor.pass_on()
    assert floor.fills() == 0
    floor.throw(MARKET_DATA, on=False)
    floor.pass_on()
    assert floor.fills() == 0, "the quote from before is not usable"
    for _ in range(5):
        floor.quote(9.99, 10.00)
    assert floor.fills() > 0


def test_a_print_elects_no_stop_while_trading_is_off() -> None:
    floor = Floor()
    floor.do(PlaceOrder(**(BUY | {"type": "stop"}), stop_price="10.50"))
    floor.pass_on()
    floor.throw(TRADING)
    floor.now += MS
    feed(floor.engine, Trade("AAA", 106_000, 100, floor.now))
    assert not floor.book.orders[1].triggered
    floor.throw(TRADING, on=False)
    floor.now += MS
    feed(floor.engine, Trade("AAA", 106_000, 100, floor.now))
    assert 1 not in floor.book.orders or floor.book.orders[1].triggered


@given(st.lists(st.tuples(st.sampled_from(SWITCHES), st.sampled_from(SOURCES), st.booleans()), max_size=20))
def test_the_state_is_the_or_of_the_sources_and_is_recovered(changes: list[tuple[str, str, bool]]) -> None:
    floor = Floor()
    held: set[tuple[str, str]] = set()
    for name, source, on in changes:
        assert floor.throw(name, on, source) == (((name, source) in held) != on)
        (held.add if on else held.discard)((name, source))
        assert floor.engine.world.switches == {name for name, _ in held}
    again = Engine(bytes(32))
    for step in decode_steps(encode(floor.engine.steps)):
        again.restore_step(step)
    show(again)
    assert again.world.switches == floor.engine.world.switches
    assert House.decode(floor.engine.house.encode()).switches == again.house.switches


def test_an_unknown_switch_or_source_is_an_error() -> None:
    floor = Floor()
    with pytest.raises(ValueError, match="no switch"):
        floor.throw("everything")
    with pytest.raises(ValueError, match="no switch"):
        floor.throw(TRADING, source="a friend")
