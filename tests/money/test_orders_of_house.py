"""An order that the house placed stays: its owner can neither cancel nor change it, and lists say that it was left."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.outcome import Closed, Done, Placed
from actors.book.rules.reasons import Refusal
from actors.commands import CancelAll, CancelOrder, CloseAllPositions, ClosePosition, RecallBorrow, ReplaceOrder
from actors.market.messages import Quote
from tests.money.rig import Bench

SHARE = 10**9


class Owner:
    """Short 30 AAA, of which 20 are being bought in, and long 10 BBB; nobody offers AAA."""

    def __init__(self) -> None:
        self.bench = bench = Bench("2026-08-03 10:00")
        for symbol in ("AAA", "BBB"):
            bench.quote(symbol, 100)
        self.no = bench.account("10000")
        bench.order(self.no, "sell", "30")
        bench.order(self.no, "buy", "10", "BBB")
        bench.do(self.no, RecallBorrow(symbol="AAA", qty="20"))
        bench.now += 1
        bench.engine.tape(Quote("AAA", 1_000_000, 10_000, 0, 0, bench.now))
        bench.go("2026-08-04 09:31")
        self.terms = next(order.terms for order in bench.book(self.no).orders.values())
        assert self.terms.client_order_id.startswith("buy-in-")

    def held(self) -> dict[str, int]:
        return {symbol: position.qty // SHARE for symbol, position in self.bench.book(self.no).positions.items()}

    def status(self) -> str:
        return str(self.bench.book(self.no).orders[self.terms.order_no].status)


@pytest.fixture
def owner() -> Owner:
    return Owner()


def refused(outcome: object) -> Refusal:
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "order_of_house"
    return outcome


@pytest.mark.parametrize("by", ["order_id", "client_order_id"])
def test_it_is_neither_cancelled_nor_changed(owner: Owner, by: str) -> None:
    name = {by: getattr(owner.terms, by)}
    before = owner.status()
    assert refused(owner.bench.do(owner.no, CancelOrder(**name))).numbers["order_id"] == owner.terms.order_id
    refused(owner.bench.do(owner.no, ReplaceOrder(qty="1", **name)))
    assert owner.status() == before
    owner.bench.quote("AAA", 101)
    assert owner.held() == {"AAA": -10, "BBB": 10}


def test_cancelling_all_leaves_it_and_says_so(owner: Owner) -> None:
    own = owner.bench.order(owner.no, "sell", "1", "BBB", type="limit", limit_price="150")
    assert isinstance(own, Placed)
    outcome = owner.bench.do(owner.no, CancelAll())
    assert isinstance(outcome, Done)
    assert outcome.order_nos == (own.order_no,)
    ((order_id, why),) = outcome.left
    assert order_id == owner.terms.order_id
    refused(why)
    owner.bench.quote("AAA", 101)
    assert owner.held()["AAA"] == -10


def test_closing_all_waits_for_it_and_closes_the_rest(owner: Owner) -> None:
    outcome = owner.bench.do(owner.no, CloseAllPositions(cancel_orders=True))
    assert isinstance(outcome, Closed)
    left = [symbol for symbol, item in outcome.items if isinstance(item, Refusal) and refused(item)]
    assert left == ["AAA"]
    assert sorted(symbol for symbol, item in outcome.items if isinstance(item, Placed)) == ["AAA", "BBB"]
    for price in (101, 102, 103):
        owner.bench.quote("AAA", price)
        owner.bench.quote("BBB", price)
    assert owner.held() == {}
    bought = [f for f in owner.bench.events(owner.no, e.OrderFilled) if f.order_no == owner.terms.order_no]
    assert sum(fill.qty for fill in bought) == 20 * SHARE


def test_closing_one_position_behind_its_orders_waits_for_it(owner: Owner) -> None:
    assert isinstance(owner.bench.do(owner.no, ClosePosition(symbol="AAA", cancel_orders=True)), Placed)
    for price in (101, 102):
        owner.bench.quote("AAA", price)
    assert owner.held() == {"BBB": 10}


def test_an_order_that_is_only_called_so_is_its_owners() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    no = bench.account("10000")
    for name in ("buy-in-1", "liquidation-2", "expiry-3"):
        bench.order(no, "buy", "1", type="limit", limit_price="50", client_order_id=name)
        assert isinstance(bench.do(no, CancelOrder(client_order_id=name)), Done)
