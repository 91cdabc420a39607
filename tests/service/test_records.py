"""Activities, closed lots, portfolio history and performance of a running daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from alpaca.trading.models import PortfolioHistory

from mbtd.rpc.client import Client, RpcRefusal
from tests.service.conftest import ended, make_account

ID = re.compile(r"[0-9]{17}::[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
Buy = Callable[..., dict[str, Any]]


def _sell(client: Client, account: str, qty: str) -> None:
    sold = client.call("order.place", account=account, symbol="AAPL", side="sell", qty=qty, type="market")["order"]
    assert ended(client, account, sold["id"])["status"] == "filled"


def test_fills_and_bookings_are_one_list(client: Client, account: str, bought: Buy) -> None:
    bought("10")
    client.call("account.deposit", account=account, amount="50")
    _sell(client, account, "4")
    rows = client.call("activity.list", account=account)["items"]
    assert [row["activity_type"] for row in rows] == ["FILL", "CSD", "FILL", "JNLC"]
    assert [row["side"] for row in rows if row["activity_type"] == "FILL"] == ["sell", "buy"]
    assert all(ID.match(row["id"]) for row in rows)
    assert sorted((row["id"] for row in rows), reverse=True) == [row["id"] for row in rows]
    for direction in ("desc", "asc"):
        got: list[str] = []
        token = None
        while True:
            page = client.call("activity.list", account=account, limit=1, page_token=token, direction=direction)
            got += [row["id"] for row in page["items"]]
            token = page["next_page_token"]
            if token is None:
                break
        assert got == [row["id"] for row in (rows if direction == "desc" else reversed(rows))]
    only = client.call("activity.list", account=account, activity_types=["TRANS"])["items"]
    assert [row["activity_type"] for row in only] == ["CSD"]
    trades = client.call("activity.list", account=account, category="trade_activity")["items"]
    assert {row["activity_type"] for row in trades} == {"FILL"}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"activity_types": ["NONSENSE"]}, "activity_types"),
        ({"activity_types": ["FILL"], "category": "trade_activity"}, "category"),
        ({"page_token": "20260101000000000::nothing"}, "page_token"),
        ({"after": "yesterday"}, "after"),
    ],
)
def test_bad_activity_requests_name_the_field(
    client: Client, account: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(RpcRefusal) as refusal:
        client.call("activity.list", account=account, **params)
    assert refusal.value.error.data.field == field


def test_closed_lots_add_up_to_the_realised_profit(client: Client, account: str, bought: Buy) -> None:
    bought("10")
    bought("10")
    _sell(client, account, "15")
    lots = client.call("lot.list", account=account)["items"]
    assert [lot["qty"] for lot in lots] == ["5", "10"]
    assert all(lot["side"] == "long" and lot["term"] == "short" for lot in lots)
    position = client.call("position.get", account=account, symbol="AAPL")
    total = sum(float(lot["realized_pl"]) for lot in lots)
    assert total == pytest.approx(float(position["realized_pl"]), abs=1e-6)
    first = client.call("lot.list", account=account, limit=1)
    rest = client.call("lot.list", account=account, limit=1, page_token=first["next_page_token"])
    assert first["items"] + rest["items"] == lots
    assert rest["next_page_token"] is None


def test_lots_are_chosen_after_the_fill_and_everything_told_of_them_follows(
    client: Client, account: str, bought: Buy
) -> None:
    bought("10")
    bought("10")
    _sell(client, account, "5")
    (fill, *_) = client.call("fill.list", account=account)["items"]
    first, second = (lot["lot_no"] for lot in client.call("position.get", account=account, symbol="AAPL")["lots"])
    assert [lot["lot_no"] for lot in client.call("lot.list", account=account)["items"]] == [first]
    chosen = [{"lot_no": second, "qty": "5"}]
    answer = client.call("lot.assign", account=account, fill_id=fill["fill_id"], lots=chosen)
    assert [(lot["lot_no"], lot["qty"], lot["lot_method"]) for lot in answer["lots"]] == [(second, "5", "specific")]
    assert client.call("lot.list", account=account)["items"] == answer["lots"]
    position = client.call("position.get", account=account, symbol="AAPL")
    assert [(lot["lot_no"], lot["qty"]) for lot in position["lots"]] == [(first, "10"), (second, "5")]
    assert position["realized_pl"] == answer["realized_pl"]
    got = client.call("performance.get", account=account)
    assert (got["trades"], float(got["realized_pl"])) == (1, float(answer["realized_pl"]))
    with pytest.raises(RpcRefusal) as refusal:
        client.call("lot.assign", account=account, fill_id="nothing", lots=chosen)
    assert (refusal.value.error.code, refusal.value.error.data.reason) == (3424, "fill_settled")


def test_history_ends_at_the_present_equity(client: Client, account: str, bought: Buy) -> None:
    bought("100")
    client.call("account.deposit", account=account, amount="777")
    answer = client.call("history.portfolio", account=account, period="1D", timeframe="1Min", pnl_reset="no_reset")
    model = PortfolioHistory(**answer)
    assert len(model.timestamp) == len(model.equity) == len(model.profit_loss) == len(model.profit_loss_pct)
    daily = client.call("history.portfolio", account=account, period="1M", timeframe="1D", cashflow_types="CSD,JNLC")
    equity = float(client.call("account.get", account=account)["equity"])
    assert daily["equity"][-1] == pytest.approx(equity, rel=0.05)
    assert abs(daily["profit_loss"][-1]) < 0.05 * equity
    assert sum(daily["cashflow"]["CSD"]) == 777.0
    assert sum(daily["cashflow"]["JNLC"]) == 1_000_000.0


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"period": "1Y"}, "period"),
        ({"period": "1A", "timeframe": "1Min"}, "timeframe"),
        ({"period": "2M", "timeframe": "1H"}, "timeframe"),
        ({"period": "1D", "start": "2026-01-01", "end": "2026-01-02"}, "period"),
        ({"start": "2100-01-01"}, "start"),
    ],
)
def test_bad_history_requests_name_the_field(
    client: Client, account: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(RpcRefusal) as refusal:
        client.call("history.portfolio", account=account, **params)
    assert refusal.value.error.data.field == field


def test_performance_counts_closed_trades(client: Client, account: str, bought: Buy) -> None:
    bought("10")
    _sell(client, account, "10")
    got = client.call("performance.get", account=account)
    lots = client.call("lot.list", account=account)["items"]
    assert got["trades"] == 1
    assert got["wins"] + got["losses"] <= 1
    assert float(got["realized_pl"]) == pytest.approx(sum(float(lot["realized_pl"]) for lot in lots))
    assert got["by_symbol"][0]["symbol"] == "AAPL"
    idle = make_account(client, "never-traded")
    got = client.call("performance.get", account=idle)
    assert (got["trades"], got["win_rate"], got["net_deposits"]) == (0, None, "1000000")
