"""What an order that a corporate action replaced or cancelled is told: which action, when, the figures of both units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.book import events as e
from actors.book.state.book import Order
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE
from mbtd.records.action_lines import position_actions
from mbtd.records.lines import Lines
from mbtd.records.projection import decode_order, project
from mbtd.service.why import why_ended, with_actions
from mbtd.service.why_actions import actions_of
from storage.history import History
from storage.sqlite import SqliteStore
from tests.corporate.rig import Stage
from tests.corporate.test_lives import DIVIDEND, SPLIT, keep

SHARE = QTY_PER_SHARE
REVERSE = {"id": "r", "type": "reverse_split", "symbol": "AAA", "new_rate": "1", "old_rate": "7",
           "ex_date": "2026-08-06"}  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def stage() -> tuple[Stage, int]:
    made = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    made.quote("AAA", 90)
    no = made.account("50000")
    made.hold(no, "AAA", 21 * SHARE, 21 * 90 * MONEY_PER_DOLLAR)
    return made, no


async def asked(made: Stage, no: int, order_no: int, path: Path) -> dict[str, Any]:
    """What an ended order, or the rest of a live one's answer, tells."""
    store = SqliteStore.open(path, ballast_bytes=0)
    if not store.head().seq:
        keep(store, made.engine.steps)
        store.project(project, 10)
    store.close()
    async with History.open(path) as history:
        row = await history.order(no, order_no)
        assert row is not None
        record = decode_order(row[-1])
        told = await actions_of(history, made.engine.world.actions, no, record)
    live = made.book(no).orders.get(order_no)
    found = why_ended(record, told) if live is None else {"state": "waiting", "explanation": "It waits."}
    return with_actions(found, told)


def replacement(made: Stage, no: int) -> Order:
    (order,) = made.book(no).orders.values()
    return order


@pytest.mark.anyio
async def test_a_replaced_order_names_the_action_and_both_figures(tmp_path: Path) -> None:
    made, no = stage()
    old_no = made.plant(no, "AAA", "buy", "limit", 10 * SHARE, limit_price=89_0000)
    old_id = made.book(no).orders[old_no].terms.order_id
    assert made.announce(**SPLIT) is None
    made.go("2026-08-06 10:00")
    new = replacement(made, no).terms
    answer = await asked(made, no, old_no, tmp_path)
    (told,) = answer["corporate_actions"]
    assert (told["ca_id"], told["type"], told["ex_date"]) == ("s", "forward_split", "2026-08-06")
    assert told["order"]["before"] == {
        "order_id": old_id, "symbol": "AAA", "qty": "10", "limit_price": "89", "stop_price": None,
    }  # fmt: skip
    assert told["order"]["after"] == {
        "order_id": new.order_id, "symbol": "AAA", "qty": "30", "limit_price": "29.66", "stop_price": None,
    }  # fmt: skip
    assert [(p["symbol"], p["qty_before"], p["qty_after"]) for p in told["positions"]] == [("AAA", "21", "63")]
    assert answer["reason"] == "corporate_action"
    for word in ("3:1 forward split of AAA", "2026-08-06", "10 AAA", "89", "30 AAA", "29.66", new.order_id):
        assert word in answer["explanation"]


@pytest.mark.anyio
async def test_the_order_in_its_place_tells_where_it_comes_from(tmp_path: Path) -> None:
    made, no = stage()
    made.plant(no, "AAA", "buy", "limit", 10 * SHARE, limit_price=89_0000)
    made.announce(**DIVIDEND)
    made.announce(**SPLIT)
    made.go("2026-08-05 10:00")
    between = replacement(made, no).terms.order_no
    made.go("2026-08-06 10:00")
    last = replacement(made, no).terms.order_no
    (told,) = (await asked(made, no, last, tmp_path))["corporate_actions"]
    assert (told["ca_id"], told["order"]["before"]["limit_price"]) == ("s", "88.6")
    both = await asked(made, no, between, tmp_path)
    assert [each["ca_id"] for each in both["corporate_actions"]] == ["d", "s"]
    assert both["corporate_actions"][0]["called"] == "cash dividend of 0.4 a share on AAA"


@pytest.mark.anyio
async def test_a_cancelled_order_names_the_action(tmp_path: Path) -> None:
    made, no = stage()
    old_no = made.plant(no, "AAA", "sell", "limit", 7 * SHARE, limit_price=99_0000)
    assert made.announce(**REVERSE) is None
    made.go("2026-08-06 10:00")
    assert not made.book(no).orders
    answer = await asked(made, no, old_no, tmp_path)
    (told,) = answer["corporate_actions"]
    assert (told["ca_id"], told["order"]["after"], told["ex_date"]) == ("r", None, "2026-08-06")
    assert "1:7 reverse split of AAA (r) went ex on 2026-08-06" in answer["explanation"]
    assert [(p["qty_before"], p["qty_after"]) for p in told["positions"]] == [("21", "3")]


def test_lines_of_ended_orders_name_the_action() -> None:
    made, no = stage()
    made.plant(no, "AAA", "buy", "limit", 10 * SHARE, limit_price=89_0000)
    made.go("2026-08-05 17:00")
    made.plant(no, "AAA", "sell", "trailing_stop", 10 * SHARE, trail_price=30_0000, high_water_mark=90_0000)
    made.announce(**SPLIT)
    made.go("2026-08-06 10:00")
    lines = Lines()
    found = [line for step in made.engine.steps for line in lines.render(step)]
    ended = [line for line in found if line["event"] in ("order.replaced", "order.canceled")]
    assert [(line["event"], line["ca_id"]) for line in ended] == [("order.replaced", "s"), ("order.canceled", "s")]


def test_a_position_tells_which_actions_made_it_what_it_is() -> None:
    made, no = stage()
    made.announce(**SPLIT)
    made.go("2026-08-06 10:00")
    book = made.book(no)
    assert position_actions(book, book.positions["AAA"], made.engine.world) == [
        {
            "ca_id": "s", "type": "forward_split", "effective_date": "2026-08-06",
            "entries": [{"activity_type": "SPLIT", "qty": "-21"}, {"activity_type": "SPLIT", "qty": "63"}],
        }
    ]  # fmt: skip
    made.quote("AAA", 30)
    made.order(no, "sell", "63")
    made.go("2026-08-06 11:00")
    made.quote("AAA", 30)
    made.order(no, "buy", "5")
    made.go("2026-08-06 11:01")
    assert made.events(no, e.OrderFilled)
    assert position_actions(book, made.book(no).positions["AAA"], made.engine.world) == []
