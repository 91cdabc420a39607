"""Orders in contracts over a daemon's socket: the option rows of the error catalogue (alpaca-api §0.1), and what
activities, trade updates, lists, previews and the account show of them.

The market is a recording that stands still at 15:52 New York, so that every answer is known and orders for contracts of
the day are past their cutoff.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account
from tests.service.running import PATIENCE_S, Daemon, refusal, until

INVALID, FORBIDDEN, UNPROCESSABLE, NOT_FOUND = 40010001, 40310000, 42210000, 40410000
PAST, TODAY = "AAPL131004C00100000", "AAPL131007C00100000"
QUOTES = {
    "AAPL": (100.00, 100.02), "MSFT131018C00100000": (1.0, 1.1), TODAY: (1.0, 1.1), PAST: (1.0, 1.1),
    **{f"AAPL131018C00{strike}000": sides for strike, sides in
       {"095": (6.0, 6.1), "100": (3.0, 3.1), "105": (2.0, 2.1), "110": (1.0, 1.1)}.items()},
    **{f"AAPL131018P00{strike}000": sides for strike, sides in
       {"090": (1.0, 1.1), "095": (2.0, 2.1), "100": (3.0, 3.1)}.items()},
    "AAPL131220C00105000": (4.0, 4.1),
}  # fmt: skip


def call(strike: int) -> str:
    return f"AAPL131018C00{strike:03d}000"


def put(strike: int) -> str:
    return f"AAPL131018P00{strike:03d}000"


def tape(path: Any, clock: str) -> None:
    """Every quote twice, then one ten minutes later, at which the recording ends."""
    hour, minute = (int(part) for part in clock.split(":"))
    with gzip.open(path, "wt") as file:
        for later, size in ((0, 900), (1, 1_000)):
            for symbol, (bid, ask) in QUOTES.items():
                at = f"2013-10-07T{hour:02d}:{minute:02d}:{later:02d}Z"
                line = {"T": "q", "S": symbol, "bp": bid, "bs": size, "ap": ask, "as": size, "t": at}
                file.write(json.dumps(line) + "\n")
        at = f"2013-10-07T{hour:02d}:{minute + 7:02d}:00Z"
        file.write(json.dumps({"T": "q", "S": "AAPL", "bp": 100, "bs": 9, "ap": 100.02, "as": 9, "t": at}) + "\n")


def serving(directory: Any, clock: str) -> Iterator[Daemon]:
    tape(directory / "tape.ndjson.gz", clock)
    config = directory / "config.toml"
    config.write_text(
        '[profiles.whole]\nbase = "alpaca-parity"\npartial_ppm = 0\n'
        '[profiles.careful]\nbase = "alpaca-parity"\npartial_ppm = 0\nsign_suspect = "reject"\n'
    )
    flags = ("--config", str(config), "--feed", "replay", "--recording", str(directory / "tape.ndjson.gz"))
    running = Daemon(directory / "state", *flags, "--seed", "5").start()
    try:
        with running.client() as client:
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 2 * len(QUOTES), "the quotes")
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    yield from serving(tmp_path_factory.mktemp("options"), "19:52")


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as client:
        yield client


def legs(words: str) -> list[dict[str, str]]:
    """``+C100 -2P95 +S`` as legs."""
    found = []
    for word in words.split():
        side = "buy" if word[0] == "+" else "sell"
        if word[1:] == "S":
            found.append({"symbol": "AAPL", "ratio_qty": "100", "side": side})
            continue
        letter = next(c for c in word if c in "CP")
        ratio, strike = word[1 : word.index(letter)] or "1", int(word[word.index(letter) + 1 :])
        symbol = call(strike) if letter == "C" else put(strike)
        found.append({"symbol": symbol, "ratio_qty": ratio, "side": side})
    return found


def unit(words: str, limit: str | None = None, **more: Any) -> dict[str, Any]:
    kind = {"type": "market"} if limit is None else {"type": "limit", "limit_price": limit}
    return {"qty": "1", "order_class": "mleg", "legs": legs(words), **kind, **more}


BUY: dict[str, Any] = {"symbol": call(100), "side": "buy", "qty": "1", "type": "limit", "limit_price": "3.10"}
WRITE = {**BUY, "side": "sell", "limit_price": "3.00"}
CSP = {**WRITE, "symbol": put(90), "limit_price": "1.00"}
SPREAD = "+C105 -C110"
CONDOR = "+P90 -P95 -C105 +C110"

# option level, cash, setup, method, parameters, Alpaca's status, code and text
ROWS: list[tuple[int, str, str, str, dict[str, Any], int, int, str]] = [
    (3, "", "", "order.place", {**BUY, "qty": "1.5"}, 422, UNPROCESSABLE, "qty must be integer for options trading"),
    (3, "", "", "order.place", {**BUY, "qty": None, "notional": "500"}, 422, UNPROCESSABLE,
     "notional orders are not supported for options trading"),
    (3, "", "", "order.place", {**BUY, "extended_hours": True}, 422, UNPROCESSABLE,
     "extended hours is not supported for options trading"),
    (3, "", "", "order.place", {**BUY, "order_class": "bracket", "take_profit": {"limit_price": "5.00"},
     "stop_loss": {"stop_price": "1.00"}}, 422, UNPROCESSABLE, "complex orders not supported for options trading"),
    (3, "", "", "order.place", {**BUY, "time_in_force": "gtc"}, 422, UNPROCESSABLE,
     "order_time_in_force provided not supported for options trading"),
    (3, "", "", "order.place", {**BUY, "limit_price": None}, 422, UNPROCESSABLE,
     "limit price is required for limit orders"),
    (3, "", "", "order.place", {**BUY, "symbol": "AAPL131018C09999000"}, 422, UNPROCESSABLE,
     'contract "AAPL131018C09999000" not found'),
    (3, "", "", "order.place", {**BUY, "symbol": PAST}, 422, UNPROCESSABLE, f'contract "{PAST}" expired'),
    (3, "", "", "order.place", {**BUY, "symbol": TODAY, "limit_price": "1.10"}, 422, UNPROCESSABLE,
     f'contract "{TODAY}" expires soon, unable to open new positions'),
    (3, "", "", "order.place", {**BUY, "position_intent": "buy_to_close"}, 422, UNPROCESSABLE,
     "position intent mismatch, inferred: buy_to_open, specified: buy_to_close"),
    (0, "", "", "order.place", BUY, 403, FORBIDDEN, "account not authorized to trade options"),
    (1, "", "", "order.place", BUY, 403, FORBIDDEN, "account not eligible for level2 options trading"),
    (2, "", "", "order.place", unit(SPREAD, "1.10"), 403, FORBIDDEN, "account not eligible for level3 options trading"),
    (3, "", "", "order.place", WRITE, 403, FORBIDDEN, "account not eligible to trade uncovered option contracts"),
    (1, "", "", "order.place", WRITE, 403, FORBIDDEN,
     "insufficient underlying qty available for covered call (required: 100, available: 0)"),
    (1, "500", "", "order.place", CSP, 403, FORBIDDEN,
     "insufficient options buying power for cash-secured put (required: 8900, available: 500)"),
    (2, "100", "", "order.place", BUY, 403, FORBIDDEN,
     "insufficient options buying power (required: 310, available: 100)"),
    (3, "", "", "position.exercise", {"symbol": call(100)}, 403, FORBIDDEN,
     "no available position for the specified contract"),
    (1, "20000", "short", "position.exercise", {"symbol": put(90)}, 403, 40310001, "cannot exercise short position"),
    (3, "", "out", "position.exercise", {"symbol": call(110)}, 403, FORBIDDEN, "contract is not in the money"),
    (3, "", "", "option.contract", {"symbol": "AAPL131018C09999000"}, 404, NOT_FOUND,
     "option contract AAPL131018C09999000 not found"),
    (3, "", "", "order.place", unit(SPREAD, "1.10", symbol="AAPL"), 422, INVALID, "symbol is not allowed for mleg order"),
    (3, "", "", "order.place", unit("+C105", "1.10"), 422, UNPROCESSABLE,
     "mleg orders must have at least 2 legs and at most 8 legs"),
    (3, "", "", "order.place", unit("+2C105 -2C110", "1.10"), 422, UNPROCESSABLE,
     "leg ratio quantities should be relatively prime: GCD[2 2] = 2"),
    (3, "", "", "order.place", {**unit(SPREAD, "1.10"), "legs": [{"symbol": call(105), "ratio_qty": "1"},
     *legs("-C110")]}, 422, UNPROCESSABLE, "leg.0 position intent is required"),
    (3, "", "", "order.place", {**unit(SPREAD, "1.10"), "legs": [*legs("+C105"),
     {"symbol": "MSFT131018C00100000", "ratio_qty": "1", "side": "sell"}]}, 422, UNPROCESSABLE,
     "underlying asset mismatch: AAPL != MSFT"),
    (3, "", "", "order.place", unit(SPREAD, None, limit_price="1.10"), 422, UNPROCESSABLE,
     "market orders require no limit price"),
    (3, "", "", "order.place", unit(SPREAD, None, type="limit"), 422, UNPROCESSABLE,
     "limit price is required for limit orders"),
    (3, "", "", "order.place", unit(SPREAD, "1.10", qty="0.5"), 422, UNPROCESSABLE,
     "qty must be integer for options trading"),
    (3, "", "leg", "order.cancel", {}, 422, UNPROCESSABLE, "cannot cancel individual legs of a mleg order"),
    (3, "", "leg", "order.replace", {"qty": "2"}, 422, UNPROCESSABLE, "cannot replace individual legs of a mleg order"),
    (3, "", "long", "order.place", {**unit("-C100 +C110", "-1.80")}, 403, FORBIDDEN,
     "potential wash trade detected. use complex orders"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[-1][:40]}-{row[3]}")
def test_an_option_row_of_the_catalogue(client: Client, row: tuple[Any, ...]) -> None:
    level, cash, setup, method, params, status, code, text = row
    account = f"option-row-{ROWS.index(row)}"
    make_account(client, account, profile="whole", options_level=level, cash=cash or "1000000")
    given = prepare(client, account, setup) | params
    if method != "option.contract":
        given["account"] = account
    error = refusal(lambda: client.call(method, **given))
    alpaca = error["data"]["alpaca"]
    assert (alpaca["status"], alpaca["code"], alpaca["message"]) == (status, code, text)
    assert error["message"] == text


def prepare(client: Client, account: str, setup: str) -> dict[str, Any]:
    """Bring an account where the row wants it; parameters that follow from it."""
    if setup == "short":
        filled(client, account, **{**CSP, "type": "market", "limit_price": None})
    elif setup == "out":
        filled(client, account, **{**BUY, "symbol": call(110), "limit_price": "1.10"})
    elif setup == "long":
        filled(client, account, **BUY)
        client.call("order.place", account=account, **{**BUY, "limit_price": "1.00"})
    elif setup == "leg":
        order = client.call("order.place", account=account, **unit(SPREAD, "0.50"))["order"]
        return {"order_id": order["legs"][1]["id"]}
    return {}


def filled(client: Client, account: str, **fields: Any) -> dict[str, Any]:
    order = client.call("order.place", account=account, **fields)["order"]
    done = ended(client, account, order["id"])
    assert done["status"] == "filled"
    return done


def test_market_orders_in_contracts_wait_for_the_market(tmp_path: Any) -> None:
    for daemon in serving(tmp_path, "21:30"):
        with daemon.client() as client:
            make_account(client, "late", options_level=3)
            for order in ({**BUY, "type": "market", "limit_price": None}, unit(SPREAD)):
                alpaca = refusal(lambda o=order: client.call("order.place", account="late", **o))["data"]["alpaca"]  # type: ignore[misc]
                assert (alpaca["code"], alpaca["message"]) == (
                    UNPROCESSABLE, "options market orders are only allowed during market hours",
                )  # fmt: skip


def test_a_limit_of_the_wrong_sign_must_be_meant(client: Client) -> None:
    make_account(client, "sign", profile="careful")
    error = refusal(lambda: client.call("order.place", account="sign", **unit(SPREAD, "-1.00")))
    assert (error["data"]["reason"], error["data"]["field"]) == ("sign_suspect", "limit_price")
    order = client.call("order.place", account="sign", **unit(SPREAD, "-1.00", any_sign=True))["order"]
    assert order["limit_price"] == "-1"
    make_account(client, "parity", profile="whole")
    effect = client.call("order.preview", account="parity", **unit(SPREAD, "-1.00"))["effect"]
    assert effect["warnings"] == ["sign_suspect"]
    assert client.call("order.place", account="parity", **unit(SPREAD, "-1.00"))["order"]["status"] == "accepted"


def test_a_unit_is_an_activity_of_each_leg_and_found_by_any_of_their_symbols(client: Client) -> None:
    make_account(client, "legs", profile="whole")
    order = filled(client, "legs", **unit(CONDOR, qty="2"))
    other = client.call("order.place", account="legs", **{**BUY, "limit_price": "1.00"})["order"]
    rows = client.call("activity.list", account="legs", activity_types=["FILL"])["items"]
    assert {row["order_id"] for row in rows} == {leg["id"] for leg in order["legs"]}
    assert {row["symbol"]: (row["side"], row["qty"], row["leaves_qty"], row["order_status"]) for row in rows} == {
        leg["symbol"]: (leg["side"], "2", "0", "filled") for leg in order["legs"]
    }
    assert all(row["type"] == "fill" and row["parent_order_id"] == order["id"] for row in rows)
    signed = sum(float(row["price"]) * (1 if row["side"] == "buy" else -1) for row in rows)
    assert signed == pytest.approx(float(order["filled_avg_price"]))
    pages: list[str] = []
    token = None
    for _ in range(20):
        page = client.call("activity.list", account="legs", limit=1, page_token=token)
        pages += [row["id"] for row in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    everything = [row["id"] for row in client.call("activity.list", account="legs")["items"]]
    assert pages == everything
    assert len(set(pages)) == len(pages) == 5
    rising = [row["id"] for row in client.call("activity.list", account="legs", direction="asc", limit=2)["items"]]
    assert rising == everything[::-1][:2]

    def listed(*symbols: str) -> set[str]:
        items = client.call("order.list", account="legs", status="all", symbols=list(symbols))["items"]
        return {item["id"] for item in items}

    assert listed(put(95)) == listed(call(110)) == {order["id"]}
    assert listed(put(95), call(100)) == {order["id"], other["id"]}
    assert listed(put(100)) == listed("AAPL") == listed("") == set()


def test_an_update_of_a_unit_carries_its_legs(daemon: Daemon, client: Client) -> None:
    make_account(client, "updates", profile="whole")
    with daemon.client() as listener:
        listener.call("updates.follow", account="updates")
        order = client.call("order.place", account="updates", **unit(CONDOR, "-1.80"))["order"]
        update = next(m["update"] for m in events(listener) if m["update"]["event"] == "fill")
    ids = {leg["symbol"]: leg["id"] for leg in order["legs"]}
    assert {leg["symbol"]: leg["order_id"] for leg in update["legs"]} == ids
    assert update["position_qtys"] == {put(90): "1", put(95): "-1", call(105): "-1", call(110): "1"}
    assert len({leg["execution_id"] for leg in update["legs"]} | {update["execution_id"]}) == 5
    assert all(leg["filled_qty"] == "1" and leg["status"] == "filled" for leg in update["order"]["legs"])
    net = sum(float(leg["price"]) * (1 if leg["side"] == "buy" else -1) for leg in update["legs"])
    assert net == pytest.approx(float(update["price"]))
    rows = client.call("activity.list", account="updates", activity_types=["FILL"])["items"]
    assert {row["id"].partition("::")[2] for row in rows} == {leg["execution_id"] for leg in update["legs"]}


def events(client: Client) -> Iterator[Any]:
    """Messages as they come."""
    while True:
        message = client._next_event(time.monotonic() + PATIENCE_S)
        assert message is not None
        yield message


def test_a_preview_says_what_an_order_in_contracts_costs_and_can_lose(client: Client) -> None:
    make_account(client, "preview", profile="realistic", margin_profile="finra")

    def effect(order: dict[str, Any], account: str = "preview") -> dict[str, Any]:
        answer = client.call("order.preview", account=account, **order)
        assert answer["acceptable"], answer
        return dict(answer["effect"])

    long = effect(BUY)
    assert (long["cost"], long["max_loss"], long["max_profit"]) == ("310", "310", None)
    condor = effect(unit(CONDOR, "-1.80"))
    assert (condor["cost"], condor["max_loss"], condor["max_profit"]) == ("-180", "320", "180")
    assert float(condor["fees"]) > 0
    assert {"ORF", "OCC"} <= set(condor["fee_lines"])
    assert condor["breakevens"] == ["93.2", "106.8"]
    margin = 320 + float(condor["fees"])
    assert float(condor["options_buying_power"]) == pytest.approx(-margin, abs=0.02)
    multiplier = int(client.call("account.get", account="preview")["multiplier"])
    assert float(condor["buying_power"]) == pytest.approx(-margin * multiplier, abs=0.05)
    # The marks are the middles: what the limit gives up to them is a loss of equity, no requirement.
    assert float(condor["maintenance_margin"]) == pytest.approx(300, abs=25)
    covered = effect(unit("+S -C105", "98.00"))
    assert (covered["cost"], covered["max_loss"], covered["max_profit"]) == ("9800", "9800", "700")
    calendar = {**unit("-C105 +C110", "2.10"), "legs": [*legs("-C105"),
                {"symbol": "AAPL131220C00105000", "ratio_qty": "1", "side": "buy"}]}  # fmt: skip
    shown = effect(calendar)
    assert (shown["cost"], shown["max_loss"], shown["max_profit"]) == ("210", "210", None)
    make_account(client, "naked", options_level=4, margin_profile="finra")
    assert effect(WRITE, "naked")["max_loss"] is None
    assert float(effect(WRITE, "naked")["initial_margin"]) > 1_000
    filled(client, "preview", **unit(CONDOR))
    closing = effect(unit("-P90 +P95 +C105 -C110"))
    assert float(closing["maintenance_margin"]) < 0
    assert closing["buying_power"] == "0"
    assert (closing["max_loss"], closing["max_profit"], closing["breakevens"]) == (None, None, [])


def test_resting_orders_take_from_options_buying_power_what_they_take_of_own_money(client: Client) -> None:
    make_account(client, "resting", profile="whole", cash="10000", margin_profile="finra")

    def free() -> float:
        return float(client.call("account.get", account="resting")["options_buying_power"])

    assert free() == 10_000
    client.call("order.place", account="resting", **unit(CONDOR, "-2.10"))
    assert free() == 10_000 - 290
    client.call("order.place", account="resting", **{**BUY, "limit_price": "1.00", "qty": "20"})
    assert free() == 10_000 - 290 - 2_000
    more = {**BUY, "symbol": put(100), "limit_price": "1.00"}
    error = refusal(lambda: client.call("order.place", account="resting", **more | {"qty": "78"}))
    assert error["message"] == "insufficient options buying power (required: 7800, available: 7710)"
    client.call("order.place", account="resting", **more | {"qty": "77"})
    assert free() == 10
    client.call("order.cancel_all", account="resting")
    until(lambda: free() == 10_000, "the money")
