"""One daemon with its gateway for most of these tests; what restarts or limits one starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alpaca.trading.client import TradingClient

from mbtd.rpc.client import RpcRefusal
from tests.gateway.running import Served, User, serving
from tests.service.running import until


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The synthetic market, busy, with a delayed lane that is two seconds late."""
    with serving(tmp_path_factory.mktemp("gateway") / "state") as running:
        late = running.open("late riser", tier="free").name
        for symbol in ("SPY", "AAPL"):
            until(lambda symbol=symbol: _is_shown(running, symbol, late), "the delayed lane")
        yield running


def _is_shown(running: Served, symbol: str, account: str) -> bool:
    try:
        return "last_price" in running.call("quote.get", symbol=symbol, account=account)
    except RpcRefusal:
        return False


@pytest.fixture(scope="session")
def user(served: Served) -> User:
    """A Pro+ user with money."""
    return served.open("shared")


@pytest.fixture(scope="session")
def trading(user: User) -> TradingClient:
    return user.trading()


@pytest.fixture
def own(served: Served, request: pytest.FixtureRequest) -> User:
    """A user of the test's own."""
    return served.open(request.node.name[:60])
