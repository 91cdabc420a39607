"""A repeat under its client order id is answered with the first order, whatever became of the instrument since."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.commands import OrderLeg, PlaceOrder
from tests.options_orders.rig import CALLS, STOCK, Desk

GONE: tuple[dict[str, Any], ...] = (
    {"active": False},
    {"tradable": False},
    {"active": False, "tradable": False, "fractionable": False},
)


def _order(**more: Any) -> PlaceOrder:
    given = {"side": "buy", "qty": "1", "type": "limit", "limit_price": "50", "client_order_id": "mine"}
    return PlaceOrder(**(given | more))


ORDERS = (
    _order(symbol=STOCK.symbol),
    _order(symbol=STOCK.symbol, qty="0.5", time_in_force="day"),
    _order(symbol=CALLS[100].symbol, limit_price="1.00"),
    _order(
        side=None, limit_price="0.01", order_class="mleg",
        legs=(
            OrderLeg(symbol=CALLS[100].symbol, ratio_qty="1", side="buy"),
            OrderLeg(symbol=CALLS[105].symbol, ratio_qty="1", side="sell"),
        ),
    ),
)  # fmt: skip


def change(desk: Desk, order: PlaceOrder, **what: Any) -> None:
    """The instruments of an order as reference data lists them now."""
    symbols = [leg.symbol for leg in order.legs or ()] or [order.symbol or ""]
    known = desk.engine.world.instruments
    desk.engine.reference([structs.replace(known.by_symbol[symbol], **what) for symbol in symbols], desk.at)


@pytest.mark.parametrize("what", GONE)
@pytest.mark.parametrize("order", ORDERS)
def test_a_repeat_outlives_the_listing(order: PlaceOrder, what: dict[str, Any]) -> None:
    desk = Desk()
    for call in CALLS.values():
        desk.quote(call, 500, 510)
    first = desk.do(order)
    assert isinstance(first, Placed)
    change(desk, order, **what)
    again = desk.do(order)
    assert isinstance(again, Placed), again
    assert (again.order_no, again.duplicate) == (first.order_no, True)
    other = desk.do(structs.replace(order, qty="7"))
    assert isinstance(other, Refusal)
    assert other.reason == "client_order_id_not_unique"
    fresh = desk.do(structs.replace(order, client_order_id="another"))
    assert isinstance(fresh, Refusal)
    assert fresh.reason.endswith(("_not_active", "_not_tradable"))


def test_a_repeat_outlives_the_instrument_itself() -> None:
    desk = Desk()
    order = _order(symbol=STOCK.symbol)
    first = desk.do(order)
    known = desk.engine.world.instruments
    del known.by_symbol[STOCK.symbol]
    again = desk.do(order)
    assert isinstance(again, Placed)
    assert (again.order_no, again.duplicate) == (first.order_no, True)
    assert desk.do(structs.replace(order, client_order_id="another")).reason == "asset_not_found"
