"""A small stage for the matcher: one stock, one option on it, accounts by profile, and orders of any kind.

``plant`` puts accepted orders into a book without admission, so that what the market does with an order is tested
apart from who may send it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from actors.book import events as e
from actors.book.ids import derive_order_ids
from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import QTY_PER_SHARE
from actors.commands import CreateAccount
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import Quote, Session, Trade
from tests.oracle.rig import CUSTOM, DAY, HOUR, SECOND, START, events_of, session

OPEN = START + 6 * HOUR
STOCK = Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=100_000)
CALL = Instrument(
    "00000000-0000-8000-a000-00000000000e", "AAA261218C00010000", "us_option", multiplier=100, tick_price=500,
    underlying="AAA", strike=100_000, right="call",
)  # fmt: skip


class Stage:
    """An engine in the core session with one account."""

    def __init__(self, profile: str = "brisk", **numbers: Any) -> None:
        custom = dict(CUSTOM)
        if numbers:
            custom["custom"] = {"base": profile, **numbers}
            profile = "custom"
        self.engine = Engine(b"r" * 32, Profiles(custom), instruments=(STOCK, CALL))
        action = CreateAccount(name="n1", cash="1000000", profile=profile)
        self.engine.command(0, action, START, Envelope(), Issued(blake2b(b"1", digest_size=32).digest()))
        self.engine.tape(session("core", OPEN))
        self.book = self.engine.books[1]
        self.at = OPEN

    def quote(
        self, bid: int, ask: int, after: int = SECOND, sizes: tuple[int, int] = (10, 10), symbol: str = "AAA", lag: int = 0
    ) -> None:  # fmt: skip
        """A quote in cents, some time later."""
        self.at += after
        self.engine.tape(
            Quote(symbol, bid * 100, sizes[0], ask * 100, sizes[1], self.at - lag, received_at=self.at if lag else 0)
        )

    def trade(
        self, cents: int, size: int = 100, conditions: str = "@", exchange: str = "N", symbol: str = "AAA"
    ) -> None:
        """A print in cents, a moment later."""
        self.at += 1_000_000
        self.engine.tape(Trade(symbol, cents * 100, size, self.at, exchange, conditions))

    def send(self, message: Any) -> None:
        """Any other message; its time counts."""
        self.at = max(self.at, message.at)
        self.engine.tape(message)

    def wait(self, ns: int) -> None:
        """Time passes."""
        self.at += ns
        self.engine.run_timers_through(self.at)

    def plant(
        self, side: str = "buy", qty: int = 5, limit: int = 0, symbol: str = "AAA", stop: int = 0, tif: str = "day",
        kind: str = "", intent: str = "", live_after: int = 0, expires_after: int = DAY, reserved: int | None = None,
    ) -> int:  # fmt: skip
        """An accepted order, prices in cents; returns its number."""
        order_no = self.book.next_order_no
        multiplier = 100 if symbol == CALL.symbol else 1
        price = max(limit, stop, 1_500) * 100
        kind = kind or ("stop" if stop else "limit" if limit else "market")
        order_id, client_id = derive_order_ids(self.book.seed, 0, order_no)
        terms = e.OrderAccepted(
            order_no, order_id, client_id, order_no, 0, symbol, "", side, kind, tif, qty * QTY_PER_SHARE, 0,
            limit * 100, stop * 100, False, intent or ("buy_to_open" if side == "buy" else "sell_to_open"), "",
            self.at, self.at + live_after, self.at + expires_after if tif not in ("ioc", "fok") else 0,
            price * qty * multiplier * 100 if reserved is None else reserved, qty * QTY_PER_SHARE if intent.endswith("close") else 0, price, 0,
            self.book.profile,
        )  # fmt: skip
        self.engine.run_timers_through(self.at)
        self.engine.turn(self.book, lambda draft: draft.emit(terms))
        self.engine.run_timers_through(self.at)
        return order_no

    def events(self, kind: type) -> list[Any]:
        """Events of one kind so far."""
        for step in self.engine.steps:
            assert step.sections
        self.engine.close_step(None)  # type: ignore[arg-type]
        assert not self.book.quarantined, self.book.quarantined
        return [event for event in events_of(self.engine, 1) if isinstance(event, kind)]

    def fills(self) -> list[tuple[int, int, str]]:
        """``(shares, cents x 100, reason)`` of each fill so far."""
        return [(f.qty // QTY_PER_SHARE, f.price, f.reason) for f in self.events(e.OrderFilled)]

    def reason(self, order_no: int = 1) -> str:
        """Why a live order waits."""
        from actors.book.explain import why_waiting

        assert not self.book.quarantined, self.book.quarantined
        return str(
            why_waiting(self.book, self.book.orders[order_no], self.engine.world, self.engine.profiles)["reason"]
        )

    def end(self) -> str:
        """Reason of the last order that ended without being filled."""
        return str(self.events(e.OrderCanceled | e.OrderExpired)[-1].reason)  # type: ignore[arg-type]


def closing_session(at: int) -> Session:
    """The session after the close."""
    return session("post", at)
