"""What a user without real-time data sees: late marks everywhere, and the truth about what is not known yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.market.messages import Quote, Trade
from mbtd.rpc.client import RpcRefusal
from mbtd.service.lanes import SECOND_NS, DelayedLane, price_of
from tests.gateway.running import Served, User, eventually, serving
from tests.service.running import until

LATE_S = 3_600


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A market whose delayed lane is an hour late, so that it shows nothing here."""
    with serving(tmp_path_factory.mktemp("late") / "state", MBTD_MARKET__DELAYED_BY_S=str(LATE_S)) as running:
        yield running


def holding(served: Served, tier: str) -> User:
    """A user who has bought ten shares."""
    user = served.open(f"holder {tier}", tier=tier)
    order = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
    placed = user.ask("POST", "/v2/orders", json=order).json()
    eventually(lambda: user.ask("GET", f"/v2/orders/{placed['id']}").json()["status"] == "filled", "the fill")
    return user


def previous_close(served: Served) -> str:
    return str(served.call("asset.get", symbol="AAPL")["previous_close"])


def test_a_free_users_position_is_marked_late_and_a_pro_users_is_not(late: Served) -> None:
    free, pro = holding(late, "free"), holding(late, "pro")
    close = previous_close(late)
    shown = free.ask("GET", "/v2/positions/AAPL").json()
    assert shown["current_price"] == close
    assert float(shown["market_value"]) == pytest.approx(10 * float(close))
    assert shown == free.ask("GET", "/v2/positions").json()[0]
    account = free.ask("GET", "/v2/account").json()
    worth = float(account["cash"]) + 10 * float(close) - float(account["accrued_fees"])
    assert float(account["equity"]) == pytest.approx(worth)
    assert float(account["portfolio_value"]) == pytest.approx(worth)
    history = free.ask("GET", "/v2/account/portfolio/history?period=1D&timeframe=1D").json()
    assert history["equity"][-1] == pytest.approx(worth, abs=0.01)
    bought = float(shown["avg_entry_price"])
    present = float(pro.ask("GET", "/v2/positions/AAPL").json()["current_price"])
    assert abs(present - bought) < abs(bought - float(close)) + 1
    assert late.call("position.get", account=free.name, symbol="AAPL")["current_price"] != close


def test_a_tier_changes_the_marks_at_once(late: Served) -> None:
    user = holding(late, "pro_plus")
    close = previous_close(late)
    assert user.ask("GET", "/v2/positions/AAPL").json()["current_price"] != close
    late.call("user.set_tier", user_id=user.name, tier="free")
    assert user.ask("GET", "/v2/positions/AAPL").json()["current_price"] == close


def test_a_fill_is_shown_at_once_whatever_the_tier(late: Served) -> None:
    user = late.open("impatient", tier="free")
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    placed = user.ask("POST", "/v2/orders", json=order).json()
    path = f"/v2/orders/{placed['id']}"
    filled = eventually(lambda: (o := user.ask("GET", path).json())["status"] == "filled" and o, "the fill")
    assert float(filled["filled_avg_price"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/v2/stocks/AAPL/quotes/latest",
        "/v2/stocks/AAPL/trades/latest",
        "/v2/stocks/quotes/latest?symbols=AAPL,SPY",
        "/v2/stocks/snapshots?symbols=AAPL",
        "/v2/stocks/AAPL/snapshot",
        "/v1beta1/options/snapshots/AAPL",
        "/v1beta1/options/snapshots/AAPL?limit=1",
    ],
)
def test_a_lane_that_fills_up_says_so(late: Served, path: str) -> None:
    user = late.open(f"early {path}"[:60], tier="free")
    answer = user.ask("GET", path)
    assert answer.status_code == 503
    assert answer.json()["code"] == 50310000
    assert answer.headers["retry-after"]


def test_the_socket_says_it_too(late: Served) -> None:
    user = late.open("on the socket", tier="free")
    with pytest.raises(RpcRefusal) as refused:
        late.call("quote.get", symbol="AAPL", account=user.name)
    assert refused.value.reason == "feed_down"
    assert late.call("market.snapshots", symbols=["AAPL"], account=user.name)["warming"]
    assert not late.call("market.snapshots", symbols=["AAPL"])["warming"]


def test_after_a_restart_the_lane_is_filled_from_the_tape(tmp_path: Path) -> None:
    settings = {"MBTD_MARKET__DELAYED_BY_S": "4"}
    with serving(tmp_path / "state", **settings) as served:
        name = served.open("early bird", tier="free").name
        until(lambda: "bid_price" in _quote(served, name), "the delayed lane")
        before = _quote(served, name)
        served.stop()
        served.start()
        again = until(lambda: _quote(served, name), "the lane from the tape")
        assert not again["warming"]
        assert again["timestamp"] >= before["timestamp"]


def _quote(served: Served, account: str) -> dict[str, str]:
    try:
        return dict(served.call("quote.get", symbol="AAPL", account=account))
    except RpcRefusal:
        return {}


MESSAGES = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from("AB"), st.booleans(), st.integers(1, 9)), min_size=1, max_size=60
).map(sorted)


def message(at: int, symbol: str, is_quote: bool, price: int) -> Quote | Trade:
    stamp = (1_000 + at) * SECOND_NS
    if is_quote:
        return Quote(symbol, price, 1, price + 2, 1, stamp, received_at=stamp)
    return Trade(symbol, price, 1, stamp, received_at=stamp)


@given(MESSAGES, st.integers(0, 60), st.integers(0, 30), st.integers(0, 70))
def test_a_lane_that_is_filled_later_is_the_lane_that_was_never_gone(
    rows: list[tuple[int, str, bool, int]], cut: int, delay: int, now: int
) -> None:
    messages = [message(*row) for row in rows]
    whole = DelayedLane(delay * SECOND_NS)
    whole.put(messages)
    earlier, later = DelayedLane(delay * SECOND_NS), DelayedLane(delay * SECOND_NS)
    earlier.put(messages[:cut])
    later.put(messages[cut:])
    later.follow_on(earlier)
    at = (1_000 + now) * SECOND_NS
    whole.advance(at)
    later.advance(at)
    for symbol in "AB":
        assert price_of(later.look(symbol)) == price_of(whole.look(symbol))
    if messages[:cut]:
        assert later.begins_at == whole.begins_at
