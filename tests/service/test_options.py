"""Contracts, chains and payoffs through a real daemon's socket and command line."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mbtd.rpc.client import Client
from tests.service.conftest import ended
from tests.service.running import Daemon, printed, refusal, until


def chain(client: Client, underlying: str, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.call("option.chain", underlying_symbol=underlying, **params)
    return answer


def near(answer: dict[str, Any], right: str, beside: int = 0) -> dict[str, Any]:
    """The contract of one right that is ``beside`` strikes above the price."""
    price = Decimal(answer["underlying_price"])
    rows = [row for row in answer["items"] if row["type"] == right]
    place = min(range(len(rows)), key=lambda n: abs(Decimal(rows[n]["strike_price"]) - price))
    return rows[place + beside]


@pytest.fixture(scope="module")
def month(daemon: Daemon) -> str:
    """An expiry of AAPL some weeks away, quoted."""
    with daemon.client() as client:

        def look() -> str | None:
            day = chain(client, "AAPL", limit=1)["expiration_dates"][-2]
            rows = chain(client, "AAPL", expiration_date=day)["items"]
            return day if rows and all(row["ask_price"] for row in rows) else None

        found: str = until(look, "a quoted chain")
    return found


def test_a_chain_has_quotes_volatilities_and_greeks(client: Client, month: str) -> None:
    answer = chain(client, "AAPL", expiration_date=month)
    call, put = near(answer, "call"), near(answer, "put")
    assert 0.1 < float(call["implied_volatility"]) < 1.0
    assert float(call["implied_volatility"]) == pytest.approx(float(put["implied_volatility"]), abs=0.01)
    assert 0.3 < float(call["greeks"]["delta"]) < 0.7
    assert -0.7 < float(put["greeks"]["delta"]) < -0.3
    assert float(call["greeks"]["theta"]) < 0 < float(call["greeks"]["vega"])
    middle = (float(call["bid_price"]) + float(call["ask_price"])) / 2
    assert float(call["theoretical_price"]) == pytest.approx(middle, rel=0.01)
    deltas = [float(row["greeks"]["delta"]) for row in answer["items"] if row["type"] == "call"]
    assert deltas == sorted(deltas, reverse=True)
    bare = chain(client, "AAPL", expiration_date=month, greeks=False)["items"]
    assert all(row["greeks"] is None and row["ask_price"] for row in bare)


def test_pages_of_a_chain_join_to_the_whole(client: Client, month: str) -> None:
    whole = chain(client, "AAPL", expiration_date=month, limit=500)
    assert whole["next_page_token"] is None
    symbols: list[str] = []
    token = None
    while True:
        page = chain(client, "AAPL", expiration_date=month, limit=7, page_token=token)
        symbols += [row["symbol"] for row in page["items"]]
        assert all(row["greeks"] for row in page["items"])
        token = page["next_page_token"]
        if token is None:
            break
    assert symbols == [row["symbol"] for row in whole["items"]]


def test_contracts_are_alpacas_with_ours_beside(client: Client, month: str) -> None:
    rows = client.call(
        "option.contracts",
        underlying_symbols=["AAPL"],
        expiration_date=month,
        type="put",
        show_deliverables=True,
        limit=2,
    )
    first = rows["items"][0]
    assert rows["next_page_token"]
    assert (first["style"], first["settlement"], first["multiplier"], first["ppind"]) == (
        "american",
        "physical",
        "100",
        True,
    )
    assert first["underlying_asset_id"] == client.call("asset.get", symbol="AAPL")["id"]
    (delivered,) = first["deliverables"]
    assert (delivered["type"], delivered["symbol"], delivered["amount"]) == ("equity", "AAPL", "100")
    assert delivered["allocation_percentage"] == "100"
    morning = client.call(
        "option.contracts", underlying_symbols=["SPX"], root_symbol="SPX", expiration_date_gte="2000-01-01", limit=1
    )["items"][0]
    assert (morning["settlement"], morning["settlement_time"], morning["style"]) == ("cash", "am", "european")
    assert morning["last_trading_date"] < morning["expiration_date"]


def test_by_default_contracts_end_with_the_next_weekend(client: Client) -> None:
    soon = {row["expiration_date"] for row in client.call("option.contracts", underlying_symbols=["SPY"])["items"]}
    listed = chain(client, "SPY", limit=1)["expiration_dates"]
    assert soon
    assert soon < set(listed)
    assert soon == set(listed[: len(soon)])


@pytest.mark.parametrize(
    ("method", "params", "reason", "field"),
    [
        ("option.chain", {"underlying_symbol": "NOPE"}, "unknown_symbol", "underlying_symbol"),
        (
            "option.chain",
            {"underlying_symbol": "SPY", "expiration_date": "soon"},
            "invalid_params",
            "expiration_date",
        ),
        (
            "option.chain",
            {"underlying_symbol": "SPY", "strike_price_gte": "1e3"},
            "invalid_params",
            "strike_price_gte",
        ),
        ("option.chain", {"underlying_symbol": "SPY", "page_token": "SPY"}, "invalid_params", "page_token"),
        ("option.contracts", {"type": "straddle"}, "invalid_params", "type"),
        ("option.contracts", {"underlyings": ["SPY"]}, "invalid_params", "underlyings"),
        ("option.payoff", {"legs": []}, "invalid_params", "legs"),
        ("option.payoff", {"legs": [{"symbol": "NOPE", "qty": 1}]}, "not_found", "legs.0.symbol"),
        ("option.payoff", {"legs": [{"symbol": "SPX", "qty": 1}]}, "not_found", "legs.0.symbol"),
        ("option.payoff", {"legs": [{"symbol": "SPY", "qty": 0}]}, "invalid_params", "legs.0.qty"),
        (
            "option.payoff",
            {"legs": [{"symbol": "SPY", "qty": 1}, {"symbol": "QQQ", "qty": 1}]},
            "invalid_params",
            "legs",
        ),
        ("option.payoff", {"legs": [{"symbol": "SPY", "qty": 1}], "cost": "cheap"}, "invalid_params", "cost"),
    ],
)
def test_bad_questions_are_refused_by_field(
    client: Client, method: str, params: dict[str, Any], reason: str, field: str
) -> None:
    error = refusal(lambda: client.call(method, **params))
    assert (error["data"]["reason"], error["data"].get("field")) == (reason, field)


def test_an_expiry_that_is_not_listed_is_named_with_the_nearest(daemon: Daemon, client: Client) -> None:
    listed = chain(client, "AAPL", limit=1)["expiration_dates"]
    day = next(d for n in range(1, 9) if (d := str(date.fromisoformat(listed[2]) + timedelta(n))) not in listed)
    error = refusal(lambda: chain(client, "AAPL", expiration_date=day))
    assert (error["data"]["reason"], error["data"]["field"]) == ("invalid_params", "expiration_date")
    assert day in error["message"]
    named = [word.strip(",") for word in error["message"].split() if word.strip(",") in listed]
    away = {other: abs((date.fromisoformat(other) - date.fromisoformat(day)).days) for other in listed}
    assert named == sorted(named)
    assert sorted(away[other] for other in named) == sorted(away.values())[:4]
    shown = daemon.cli("chain", "AAPL", "--expiry", day)
    assert shown.returncode == 1
    assert named[0] in shown.stderr
    high = refusal(lambda: chain(client, "AAPL", expiration_date=listed[-1], strike_price_gte="90000"))
    assert (high["data"]["reason"], high["data"]["field"]) == ("invalid_params", "strike_price_gte")


def condor(client: Client, month: str) -> list[dict[str, Any]]:
    answer = chain(client, "AAPL", expiration_date=month)
    return [
        {"symbol": near(answer, "put", -4)["symbol"], "qty": 1},
        {"symbol": near(answer, "put", -2)["symbol"], "qty": -1},
        {"symbol": near(answer, "call", 2)["symbol"], "qty": -1},
        {"symbol": near(answer, "call", 4)["symbol"], "qty": 1},
    ]


def test_a_condors_payoff_has_its_width_credit_and_breakevens(client: Client, month: str) -> None:
    answer = client.call("option.payoff", legs=condor(client, month), cost="-123.5")
    assert (answer["max_profit"], answer["max_loss"]) == ("123.5", "376.5")
    low, high = (float(price) for price in answer["breakevens"])
    assert low < float(answer["spot"]) < high
    assert [curve["theoretical"] for curve in answer["curves"]] == [False, True, True]
    at_market = client.call("option.payoff", legs=condor(client, month))
    assert -500 < float(at_market["cost"]) < 0
    now = next(curve for curve in at_market["curves"] if curve["label"] == "now")
    here = min(
        zip(now["prices"], now["profits"], strict=True), key=lambda row: abs(float(row[0]) - float(answer["spot"]))
    )
    assert abs(float(here[1])) < 15


def test_the_command_line_shows_chain_contracts_and_payoff(
    daemon: Daemon, client: Client, month: str, tmp_path: Path
) -> None:
    shown = daemon.cli("chain", "AAPL", "--expiry", month, "--strikes", "3")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert len(lines) == 10
    assert sum("<" in line for line in lines) == 1
    whole = printed(daemon.cli("chain", "AAPL", "--expiry", month, "--json"))
    assert len(whole["items"]) == len(chain(client, "AAPL", expiration_date=month, limit=500)["items"])
    listed = printed(daemon.cli("contracts", "AAPL", "--expiry", month, "--limit", "3", "--json"))
    assert len(listed["items"]) == 3
    legs = [f"{leg['symbol']}:{leg['qty']}" for leg in condor(client, month)]
    picture = daemon.cli("payoff", *legs, "--cost", "-100")
    assert picture.returncode == 0, picture.stderr
    assert "max profit 100" in picture.stdout.splitlines()[-1]
    assert daemon.cli("payoff", "-1xAAPL").returncode == daemon.cli("payoff", "AAPL:x").returncode == 2
    assert daemon.cli("chain", "NOPE").returncode == 1
    pytest.importorskip("matplotlib")
    png = tmp_path / "payoff.png"
    assert daemon.cli("payoff", *legs, "--cost", "-100", "--png", str(png)).returncode == 0
    assert png.read_bytes().startswith(b"\x89PNG")


# ── orders of several legs ───────────────────────────────────────────────────────────────────────────────


def test_a_condor_is_placed_filled_shown_and_closed(client: Client, month: str, account: str) -> None:
    answer = chain(client, "AAPL", expiration_date=month)
    wanted = [("put", -4, "buy"), ("put", -2, "sell"), ("call", 2, "sell"), ("call", 4, "buy")]
    legs = [
        {"symbol": near(answer, right, beside)["symbol"], "ratio_qty": "1", "side": side}
        for right, beside, side in wanted
    ]

    def send(parts: list[dict[str, str]]) -> dict[str, Any]:
        placed = client.call("order.place", account=account, order_class="mleg", qty="2", type="market", legs=parts)
        return ended(client, account, placed["order"]["id"])

    opened = send(legs)
    assert opened["status"] == "filled"
    assert float(opened["filled_avg_price"]) < 0
    assert [leg["symbol"] for leg in opened["legs"]] == [leg["symbol"] for leg in legs]
    net = sum(Decimal(leg["filled_avg_price"]) * (1 if leg["side"] == "buy" else -1) for leg in opened["legs"])
    assert net == Decimal(opened["filled_avg_price"])
    second = opened["legs"][1]
    assert client.call("order.get", account=account, order_id=second["id"]) == second
    assert client.call("order.get", account=account, client_order_id=second["client_order_id"]) == second
    held = {row["symbol"]: row["qty"] for row in client.call("position.list", account=account)["items"]}
    assert held == {leg["symbol"]: "2" if leg["side"] == "buy" else "-2" for leg in legs}
    back = [{**leg, "side": "sell" if leg["side"] == "buy" else "buy"} for leg in legs]
    assert send(back)["status"] == "filled"
    assert client.call("position.list", account=account)["items"] == []
    told = client.call("order.why", account=account, order_id=opened["id"])
    assert told["fills"][0]["reproduced"]
    words = told["fills"][0]["explanation"]
    assert f"at a credit of {-Decimal(opened['filled_avg_price'])!s}" in words
    for leg in opened["legs"]:
        done = "ought" if leg["side"] == "buy" else "old"
        assert f"{done} 2 {leg['symbol']} at {leg['filled_avg_price']}" in words
