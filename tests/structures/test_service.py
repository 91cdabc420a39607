"""Structures through a real daemon's socket and command line, as a user meets them."""

from __future__ import annotations

from base64 import b64decode
from decimal import Decimal
from typing import Any

import pytest

from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account
from tests.service.running import Daemon, printed, refusal, until
from tests.service.test_options import chain, near

WANTED = (("put", -4, "buy"), ("put", -2, "sell"), ("call", 2, "sell"), ("call", 4, "buy"))


@pytest.fixture(scope="module")
def months(daemon: Daemon) -> tuple[str, str]:
    """Two expiries of AAPL with strikes in common, quoted."""
    with daemon.client() as client:
        days = chain(client, "AAPL", limit=1)["expiration_dates"]

        def quoted(day: str) -> bool:
            rows = chain(client, "AAPL", expiration_date=day, greeks=False)["items"]
            return bool(rows) and all(row["ask_price"] and row["bid_price"] for row in _around(rows))

        def look() -> tuple[str, str] | None:
            found = [day for day in days[-4:] if quoted(day)]
            for place, first in enumerate(found):
                for second in found[place + 1 :]:
                    if _strikes(client, first) <= _strikes(client, second):
                        return first, second
            return None

        found: tuple[str, str] = until(look, "two quoted expiries")
    return found


def _around(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[len(rows) // 2 - 8 : len(rows) // 2 + 8]


def _strikes(client: Client, day: str) -> set[str]:
    answer = chain(client, "AAPL", expiration_date=day, greeks=False)
    return {near(answer, right, beside)["symbol"][-9:] for right, beside, _ in WANTED}


def condor(client: Client, account: str, day: str, qty: str = "2") -> dict[str, Any]:
    """Sell a condor at the market; the reply to the order."""
    answer = chain(client, "AAPL", expiration_date=day, greeks=False)
    legs = [
        {"symbol": near(answer, right, beside)["symbol"], "ratio_qty": "1", "side": side}
        for right, beside, side in WANTED
    ]
    placed: dict[str, Any] = client.call(
        "order.place", account=account, order_class="mleg", qty=qty, type="market", legs=legs
    )
    assert ended(client, account, placed["order"]["id"])["status"] == "filled"
    return placed


def get(client: Client, account: str, structure: str) -> dict[str, Any]:
    found: dict[str, Any] = client.call("structure.get", account=account, structure_id=structure)
    return found


def test_a_condor_from_order_to_close(client: Client, account: str, months: tuple[str, str]) -> None:
    placed = condor(client, account, months[0])
    (listed,) = client.call("structure.list", account=account)["items"]
    assert listed["id"] == placed["structure_id"]
    shown = get(client, account, listed["id"])
    assert (shown["name"], shown["qty"], shown["status"], shown["broken"]) == (
        "short_iron_condor",
        "2",
        "open",
        False,
    )
    assert [leg["qty"] for leg in shown["legs"]] == ["2", "-2", "-2", "2"]
    credit = -Decimal(shown["entry_net"])
    width = Decimal(shown["legs"][1]["strike_price"]) - Decimal(shown["legs"][0]["strike_price"])
    assert Decimal(shown["max_profit"]) == credit * 200
    assert Decimal(shown["max_loss"]) == (width - credit) * 200
    low, high = (Decimal(price) for price in shown["breakevens"])
    assert low == Decimal(shown["legs"][1]["strike_price"]) - credit
    assert high == Decimal(shown["legs"][2]["strike_price"]) + credit
    assert Decimal(shown["campaign"]["net_premium"]) == credit * 200
    assert Decimal(shown["total_pl"]) == Decimal(shown["unrealized_pl"]) + Decimal(shown["realized_pl"])
    assert float(shown["greeks"]["theta"]) > 0 > float(shown["greeks"]["vega"])
    assert all(leg["greeks"] for leg in shown["legs"])
    part = client.call("structure.close", account=account, structure_id=listed["id"], qty="1")
    assert part["structure_id"] == listed["id"]
    ended(client, account, part["order"]["id"])
    assert get(client, account, listed["id"])["qty"] == "1"
    rest = client.call("structure.close", account=account, structure_id=str(listed["number"]))
    ended(client, account, rest["order"]["id"])
    assert client.call("structure.list", account=account)["items"] == []
    assert client.call("position.list", account=account)["items"] == []
    past = get(client, account, listed["id"])
    assert (past["status"], past["closed_by"], past["name"]) == ("closed", "trade", "short_iron_condor")
    assert [fact["reason"] for fact in past["story"]] == ["opened", "reduced", "reduced"]
    (gone,) = client.call("structure.list", account=account, status="closed")["items"]
    assert gone["id"] == listed["id"]
    assert gone["realized_pl"] == past["realized_pl"]
    assert client.call("structure.list", account=account, status="all")["items"] == [gone]
    orders = client.call("order.list", account=account, status="all")["items"]
    assert [order["structure_id"] for order in orders] == [listed["id"]] * 3
    assert [leg["structure_id"] for leg in orders[0]["legs"]] == [listed["id"]] * 4
    bought = client.call("order.place", account=account, symbol="AAPL", side="buy", qty="1", type="market")
    assert bought["order"]["structure_id"] is None


def test_a_roll_keeps_the_campaign(client: Client, account: str, months: tuple[str, str]) -> None:
    placed = condor(client, account, months[0], "1")
    rolled = client.call(
        "structure.roll", account=account, structure_id=placed["structure_id"], expiration_date=months[1]
    )
    assert len(rolled["order"]["legs"]) == 8
    ended(client, account, rolled["order"]["id"])
    shown = get(client, account, placed["structure_id"])
    assert shown["expiration_dates"] == [months[1]]
    assert shown["campaign"]["rolls"] == 1
    assert shown["realized_pl"] != "0"
    net = Decimal(shown["campaign"]["net_premium"])
    assert net == Decimal(shown["realized_pl"]) - Decimal(shown["cost_basis"])


def test_exits_are_set_seen_and_taken_off(client: Client, account: str, months: tuple[str, str]) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    answer = client.call(
        "structure.exit_set", account=account, structure_id=structure, take_profit_percent="90",
        stop_loss={"stop_price": "4.50", "limit_price": "4.90"},
    )  # fmt: skip
    assert answer["exit"]["stop_loss"] == {"stop_price": "4.5", "limit_price": "4.9"}
    assert Decimal(answer["exit"]["take_profit"]["limit_price"]) > 0
    client.call("structure.exit_set", account=account, structure_id=structure, stop_loss={"stop_price": "4.50"})
    assert get(client, account, structure)["exit"]["take_profit"] is None
    refused = refusal(
        lambda: client.call(
            "structure.exit_set", account=account, structure_id=structure, take_profit={"limit_price": "-0.50"}
        )
    )
    assert (refused["data"]["reason"], refused["code"]) == ("structure_exit_unreachable", 3669)
    cleared = client.call("structure.exit_clear", account=account, structure_id=structure)
    assert cleared["exit"] is None
    gone = refusal(lambda: client.call("structure.exit_set", account=account, structure_id="nope"))
    assert (gone["data"]["reason"], gone["data"]["field"]) == ("structure_not_found", "structure_id")


def test_a_close_and_a_roll_are_foreseen(client: Client, account: str, months: tuple[str, str]) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    which = {"account": account, "structure_id": structure}
    before = get(client, account, structure)
    found = client.call("structure.close_preview", **which, qty="1")
    effect = found["effect"]
    assert (found["acceptable"], effect["structure_id"], effect["type"]) == (True, structure, "market")
    assert [(leg["side"], leg["qty"]) for leg in effect["legs"]] == [
        ("sell", "1"), ("buy", "1"), ("buy", "1"), ("sell", "1"),
    ]  # fmt: skip
    assert Decimal(effect["cost"]) == Decimal(effect["check_price"]) * 100
    assert Decimal(effect["realized_pl"]) == -Decimal(before["cost_basis"]) / 2 - Decimal(effect["cost"])
    assert Decimal(effect["realized_net_pl"]) <= Decimal(effect["realized_pl"])
    assert Decimal(effect["options_buying_power"]) > 0, "half of the margin is freed"
    rolled = client.call("structure.roll_preview", **which, expiration_date=months[1])
    assert len(rolled["effect"]["legs"]) == 8
    assert {leg["position_intent"] for leg in rolled["effect"]["legs"]} == {
        "sell_to_close", "buy_to_close", "sell_to_open", "buy_to_open",
    }  # fmt: skip
    assert "realized_pl" not in rolled["effect"]
    refused = client.call("structure.close_preview", **which, qty="3")
    assert (refused["acceptable"], refused["refusal"]["data"]["reason"]) == (False, "structure_qty")
    after = get(client, account, structure)
    assert [leg["qty"] for leg in after["legs"]] == [leg["qty"] for leg in before["legs"]]
    assert client.call("order.list", account=account, status="open")["items"] == []


def test_one_leg_alone_is_warned_of_in_the_answer_and_in_the_preview(
    client: Client, account: str, months: tuple[str, str]
) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    wing = get(client, account, structure)["legs"][1]["symbol"]
    order = {"symbol": wing, "side": "buy", "qty": "1", "type": "market"}
    previewed = client.call("order.preview", account=account, **order)
    assert previewed["structures"]["warnings"][0]["reason"] == "leg_alone"
    answer = client.call("order.place", account=account, **order)
    (warning,) = answer["warnings"]
    assert (warning["reason"], warning["structure_id"], warning["symbol"]) == ("leg_alone", structure, wing)
    ended(client, account, answer["order"]["id"])
    assert get(client, account, structure)["broken"]


def test_a_payoff_is_data_and_a_picture(client: Client, account: str, months: tuple[str, str]) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    shown = client.call("structure.payoff", account=account, structure_id=structure)
    book = get(client, account, structure)
    assert (shown["max_profit"], shown["max_loss"]) == (book["max_profit"], book["max_loss"])
    assert [Decimal(p) for p in shown["breakevens"]] == [Decimal(p) for p in book["breakevens"]]
    assert [curve["label"] for curve in shown["curves"]] == ["at expiry", "now", "half-way"]
    wrong = refusal(
        lambda: client.call("structure.payoff", account=account, structure_id=structure, dates=["2026-13-01"])
    )
    assert (wrong["data"]["reason"], wrong["data"]["field"]) == ("invalid_params", "dates")
    missing = refusal(lambda: client.call("structure.payoff", account=account, structure_id="9999"))
    assert missing["data"]["reason"] == "structure_not_found"
    pytest.importorskip("matplotlib")
    drawn = client.call("structure.payoff", account=account, structure_id=structure, png=True)
    assert b64decode(drawn["png"]).startswith(b"\x89PNG")


def test_greeks_of_the_account_are_those_of_its_parts(client: Client, account: str, months: tuple[str, str]) -> None:
    condor(client, account, months[0])
    client.call("order.place", account=account, symbol="AAPL", side="buy", qty="100", type="market")
    until(lambda: len(client.call("position.list", account=account)["items"]) == 5, "the shares")
    greeks = client.call("account.greeks", account=account)
    assert len(greeks["positions"]) == 5
    stock = next(part for part in greeks["positions"] if part["symbol"] == "AAPL")
    assert float(stock["delta"]) == 100.0
    (structure,) = greeks["structures"]
    (under,) = greeks["underlyings"]
    assert float(under["delta"]) == pytest.approx(float(structure["delta"]) + 100, abs=0.01)
    assert float(greeks["theta"]) == pytest.approx(float(structure["theta"]), abs=0.02)
    assert greeks["unpriced"] == []


def test_structures_belong_to_their_account(client: Client, account: str, months: tuple[str, str]) -> None:
    structure = condor(client, account, months[0], "1")["structure_id"]
    other = make_account(client, f"{account} other"[:60])
    for method in ("structure.get", "structure.close", "structure.payoff"):
        told = refusal(lambda method=method: client.call(method, account=other, structure_id=structure))
        assert told["data"]["reason"] == "structure_not_found"


def test_the_command_line_follows_a_condor(
    daemon: Daemon, client: Client, account: str, months: tuple[str, str]
) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    listed = daemon.cli("structure", "list", account)
    assert "short iron condor" in listed.stdout, listed.stderr
    assert "  held  " in listed.stdout.splitlines()[0]
    assert " day" in listed.stdout
    shown = daemon.cli("structure", "show", account, structure, "--story")
    assert shown.returncode == 0, shown.stderr
    for word in (
        "2 × short iron condor on AAPL",
        "credit a share",
        "max loss",
        "theta",
        "exits     none",
        "opened, cash",
    ):
        assert word in shown.stdout
    guarded = daemon.cli("structure", "exit", account, structure, "--take-profit", "90%", "--stop-loss", "4.50")
    assert "stop when it closes for 4.5 debit" in guarded.stdout, guarded.stderr
    picture = daemon.cli("structure", "payoff", account, structure)
    assert "breakeven" in picture.stdout.splitlines()[-1]
    rolled = daemon.cli("structure", "roll", account, structure, "--expiry", months[1], "--limit", "-4.90")
    assert rolled.returncode == 0, rolled.stderr
    client.call("order.cancel_all", account=account)
    assert daemon.cli("structure", "roll", account, structure).returncode == 2
    until(lambda: not client.call("order.list", account=account)["items"], "the cancel")
    foreseen = daemon.cli("structure", "close", account, structure, "--preview")
    assert foreseen.returncode == 0, foreseen.stderr
    for word in ("would send a market order", "(buy to close)", "pays", "realises", "options buying power"):
        assert word in foreseen.stdout
    assert daemon.cli("structure", "close", account, structure, "--qty", "9", "--preview").returncode == 1
    closed = printed(daemon.cli("structure", "close", account, structure, "--json"))
    ended(client, account, closed["order"]["id"])
    past = daemon.cli("structure", "show", account, structure)
    assert "closed" in past.stdout
    assert "result" in past.stdout
    assert "no structures" in daemon.cli("structure", "list", account).stderr


def test_exits_outlive_the_daemon(daemon: Daemon, client: Client, account: str, months: tuple[str, str]) -> None:
    structure = condor(client, account, months[0])["structure_id"]
    client.call("structure.exit_set", account=account, structure_id=structure, stop_loss={"stop_price": "4.50"})
    before = get(client, account, structure)
    daemon.kill()
    daemon.start()
    with daemon.client() as again:
        after = get(again, account, structure)
        for name in ("campaign", "opened_at", "entry_net", "max_loss"):
            assert after[name] == before[name]
        assert [leg["cost_basis"] for leg in after["legs"]] == [leg["cost_basis"] for leg in before["legs"]]
        assert after["exit"]["stop_loss"] == {"stop_price": "4.5"}
        assert after["exit"]["set_at"] == before["exit"]["set_at"]
