"""Each reason for which an order fills, waits or ends is produced once, and has its sentence (fill model §18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.book.rules.matching.words import ENDS, FILLS, SENTENCES, WAITS
from actors.commands import CancelAll
from actors.inputs import Envelope
from actors.market.messages import Auction, FeedState, Status
from tests.matching.stage import CALL, OPEN, Stage, closing_session
from tests.oracle.rig import HOUR, SECOND, session

SCENES: dict[str, Callable[[], str]] = {}


def scene(function: Callable[[], str]) -> Callable[[], str]:
    SCENES[function.__name__.strip("_")] = function
    return function


def last_fill(stage: Stage) -> str:
    return stage.fills()[-1][2]


# fills


@scene
def take() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=1002)
    return last_fill(stage)


@scene
def take_slice() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=15)
    stage.quote(1000, 1003)
    return last_fill(stage)


@scene
def queue() -> str:
    stage = Stage()
    stage.quote(1000, 1002, sizes=(300, 300))
    stage.plant(limit=1000)
    stage.trade(1000, 400)
    return last_fill(stage)


@scene
def print_through() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=999)
    stage.trade(998)
    return last_fill(stage)


@scene
def far_through() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=1001)
    stage.quote(1000, 1001)
    stage.wait(SECOND)
    return last_fill(stage)


@scene
def inside() -> str:
    stage = Stage("realistic")
    stage.quote(100, 140, symbol=CALL.symbol)
    stage.plant(symbol=CALL.symbol, limit=135)
    stage.wait(SECOND)
    return last_fill(stage)


def auctioned(tif: str, kind: str) -> str:
    stage = Stage()
    stage.engine.tape(session("pre" if tif == "opg" else "core", OPEN + 1, 1 if tif == "opg" else 0))
    stage.plant(tif=tif)
    stage.send(Auction("AAA", kind, 100_500, 50_000, stage.at + SECOND, "N"))  # type: ignore[arg-type]
    return last_fill(stage)


@scene
def auction_open() -> str:
    return auctioned("opg", "open")


@scene
def auction_close() -> str:
    return auctioned("cls", "close")


@scene
def auction_halt() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.send(Status("AAA", "halted", stage.at))
    stage.plant()
    stage.send(Auction("AAA", "halt", 99_000, 50_000, stage.at + SECOND, "N"))
    return last_fill(stage)


@scene
def parity_partial() -> str:
    stage = Stage("alpaca-parity", partial_ppm=1_000_000)
    stage.quote(1000, 1002)
    stage.plant(qty=50)
    return stage.fills()[0][2]


# waits


@scene
def latency() -> str:
    stage = Stage()
    stage.plant(live_after=SECOND)
    return stage.reason()


@scene
def no_live_quote() -> str:
    stage = Stage()
    stage.plant()
    return stage.reason()


@scene
def halted() -> str:
    stage = Stage()
    stage.quote(100, 140, symbol=CALL.symbol)
    stage.send(Status("AAA", "paused", stage.at))
    stage.plant(symbol=CALL.symbol)
    return stage.reason()


@scene
def session_() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.send(closing_session(stage.at + SECOND))
    stage.plant()
    return stage.reason()


@scene
def feed_dead() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.send(FeedState("down", stage.at, "sip"))
    stage.plant()
    return stage.reason()


@scene
def no_far_side() -> str:
    stage = Stage()
    stage.quote(1000, 0, sizes=(10, 0))
    stage.plant()
    return stage.reason()


@scene
def crossed() -> str:
    stage = Stage()
    stage.quote(1003, 1002)
    stage.plant()
    return stage.reason()


@scene
def luld() -> str:
    stage = Stage()
    stage.send(Status("AAA", "trading", stage.at, "", 99_000, 100_100))
    stage.quote(1000, 1002)
    stage.plant()
    return stage.reason()


@scene
def stale() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.trade(1005)
    stage.wait(31 * SECOND)
    stage.plant()
    return stage.reason()


@scene
def wide() -> str:
    stage = Stage("realistic")
    stage.quote(100, 300, symbol=CALL.symbol)
    stage.plant(symbol=CALL.symbol)
    return stage.reason()


@scene
def not_marketable() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=990)
    return stage.reason()


@scene
def queue_ahead() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=1000)
    return stage.reason()


@scene
def dwell() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=1001)
    stage.quote(1000, 1001)
    return stage.reason()


@scene
def reslice() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=15)
    return stage.reason()


@scene
def consumed() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=10)
    stage.plant()
    return stage.reason(2)


@scene
def collar() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=15)
    stage.quote(1099, 1100)
    return stage.reason()


@scene
def max_slices() -> str:
    stage = Stage("realistic", max_slices=1)
    stage.quote(1000, 1002)
    stage.plant(qty=15)
    stage.quote(1000, 1003)
    return stage.reason()


@scene
def ssr() -> str:
    stage = Stage()
    stage.send(Status("AAA", "trading", stage.at, "", 0, 0, True))
    stage.quote(1000, 1002)
    stage.plant("sell")
    return stage.reason()


@scene
def awaiting_print() -> str:
    stage = Stage()
    stage.plant(tif="cls")
    return stage.reason()


@scene
def stop() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(stop=1010)
    return stage.reason()


# ends


@scene
def fok_unfillable() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=15, tif="fok")
    return stage.end()


@scene
def ioc_remainder() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(qty=15, tif="ioc")
    return stage.end()


@scene
def no_auction_print() -> str:
    stage = Stage()
    stage.plant(tif="cls")
    stage.wait(7 * HOUR)
    return stage.end()


@scene
def expired() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=990, expires_after=SECOND)
    stage.wait(2 * SECOND)
    return stage.end()


@scene
def user_cancel() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.plant(limit=990)
    stage.engine.command(1, CancelAll(), stage.at, Envelope())
    return stage.end()


@scene
def buying_power() -> str:
    stage = Stage()
    stage.quote(1000, 1002)
    stage.book.cash = 9_000_000
    stage.plant(reserved=1)
    return stage.end()


OF_DIVIDENDS = {"corporate_action"}
"""In ``tests/corporate/test_dividends.py``."""
OF_GROUPS = {"held", "exit_filled", "group_ended", "nothing_to_close"}
"""Their scenes need several orders; they are in ``tests/orders``."""
OF_UNITS = {"payoff_bound"}
"""In ``test_why_words.py``."""
OF_ACCOUNTS = {
    "margin_call", "borrow_recalled", "buy_in", "option_settled", "expiry_close_out", "structure_exit", "account_reset",
}  # fmt: skip
"""What happens to the whole account ends orders: in ``tests/money``, ``tests/options`` and ``tests/structures``."""
OF_SWITCHES = {"trading_disabled", "market_data_disabled"}
"""In ``tests/actors/test_switches.py``."""


@pytest.mark.parametrize("reason", sorted(SCENES))
def test_a_reason_is_reached(reason: str) -> None:
    assert SCENES[reason]() == reason


def test_every_reason_has_its_scene_and_its_sentence() -> None:
    assert (
        set(SCENES) | OF_DIVIDENDS | OF_GROUPS | OF_UNITS | OF_ACCOUNTS | OF_SWITCHES
        == set(SENTENCES)
        == set(FILLS) | set(WAITS) | set(ENDS)
    )
    assert all(text.endswith(".") and text[0].isupper() for text in SENTENCES.values())
