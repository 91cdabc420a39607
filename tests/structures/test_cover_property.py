"""Whatever an account below the uncovered level trades, waits for, changes and closes, its short calls stay covered."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.commands import CancelAll, CloseAllPositions, ClosePosition, ReplaceOrder, RollStructure
from tests.oracle.cover import trades_keep_cover
from tests.structures.rig import BY_WORD, Floor

CALLS = ("C95", "C100", "C105", "C100'", "C105'")
NAMES = st.sampled_from(("XYZ", *CALLS))
UNITS = ("-C105 +C110", "+C95 -2C100 +C105", "-C100 +C100'", "+C100 -C105'")
STEP = st.one_of(
    st.tuples(st.just("trade"), NAMES, st.sampled_from(("buy", "buy", "sell"))),
    st.tuples(st.just("trade"), st.sampled_from(CALLS), st.just("sell")),
    st.tuples(st.just("rest"), NAMES, st.tuples(st.sampled_from(("buy", "sell")), st.booleans())),
    st.tuples(st.just("close"), NAMES, st.booleans()),
    st.tuples(st.just("close_all"), st.just(""), st.booleans()),
    st.tuples(st.just("unit"), st.sampled_from(UNITS), st.sampled_from((None, "0.05"))),
    st.tuples(st.just("replace"), st.integers(0, 3), st.sampled_from(("1", "2", "3"))),
    st.tuples(st.just("roll"), st.integers(1, 4), st.just("")),
    st.tuples(st.just("cancel"), st.just(""), st.just("")),
    st.tuples(st.just("price"), st.integers(90, 110), st.just("")),
)


def act(floor: Floor, step: tuple[str, Any, Any]) -> None:
    kind, what, more = step
    if kind == "trade":
        floor.single(what, more, "1" if what != "XYZ" else "100")
    elif kind == "rest":
        side, near = more
        away = (0.05, 40.0) if what != "XYZ" else (60.0, 140.0)
        slot = floor.engine.world.board.slots[BY_WORD[what].symbol if what != "XYZ" else what]
        assert slot.quote is not None
        middle = (slot.quote.bid + slot.quote.ask) / 20_000
        price = away[side == "sell"] if not near else max(0.05, middle + (0.5 if side == "sell" else -0.5))
        floor.single(what, side, "1" if what != "XYZ" else "100", limit=f"{price:.2f}")
    elif kind == "close":
        floor.command(ClosePosition(symbol=BY_WORD[what].symbol if what != "XYZ" else what, cancel_orders=more))
    elif kind == "close_all":
        floor.command(CloseAllPositions(cancel_orders=more))
    elif kind == "unit":
        floor.unit(what, limit=more)
    elif kind == "replace":
        orders = [floor.own.orders[no].terms.order_id for no in sorted(floor.own.orders)]
        if orders:
            floor.command(ReplaceOrder(order_id=orders[what % len(orders)], qty=more))
    elif kind == "roll":
        floor.command(RollStructure(structure_id=str(what), expiration_date="2027-01-15"))
    elif kind == "cancel":
        floor.command(CancelAll())
    else:
        floor.price(float(what))
        floor.quote_all()
        floor.wait(3)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=14), st.booleans())
def test_no_trade_uncovers_a_call(steps: list[tuple[str, Any, Any]], cash: bool) -> None:
    floor = Floor(cash=500_000, kind="cash" if cash else "margin", level=3)
    for step in steps:
        act(floor, step)
    floor.wait(60)
    trades_keep_cover(floor.engine.steps)
