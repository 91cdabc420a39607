"""Fractions are paid by the last regular close before the action, not by what was traded after it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE
from actors.commands import ConfigureAccount
from actors.market.messages import Auction, Trade
from tests.corporate.rig import Stage
from tests.corporate.test_lives import restarted

REVERSE = {"id": "r", "type": "reverse_split", "symbol": "AAA", "new_rate": "1", "old_rate": "7",
           "ex_date": "2026-08-06"}  # fmt: skip
MERGER = {"id": "m", "type": "stock_merger", "acquiree_symbol": "AAA", "acquirer_symbol": "BBB",
          "acquirer_rate": "0.51", "effective_date": "2026-08-06"}  # fmt: skip


def begun() -> tuple[Stage, int]:
    stage = Stage("2026-08-05 10:00", ("AAA", "BBB"))
    for symbol, price in (("AAA", 100), ("BBB", 50)):
        stage.quote(symbol, price)
    no = stage.account("50000")
    stage.do(no, ConfigureAccount(fraction_long="cil"))
    stage.hold(no, "AAA", 10 * QTY_PER_SHARE, 1_000 * MONEY_PER_DOLLAR)
    return stage, no


def printed(stage: Stage, symbol: str, dollars: float) -> None:
    stage.now += 1
    stage.engine.tape(Trade(symbol, round(dollars * 10_000), 100, stage.now))


def in_lieu(stage: Stage, no: int) -> list[int]:
    return [event.net_money for event in stage.events(no, e.ActivityBooked) if event.activity_type == "CIL"]


def closing(stage: Stage, *, auction: bool) -> None:
    """Prints of the day: 98 and 52 at the close, other prices after it."""
    stage.go("2026-08-05 15:59")
    printed(stage, "AAA", 98 if not auction else 97)
    printed(stage, "BBB", 52 if not auction else 51)
    stage.go("2026-08-05 16:00:01")
    if auction:
        for symbol, price in (("AAA", 98), ("BBB", 52)):
            stage.now += 1
            stage.engine.tape(Auction(symbol, "close", price * 10_000, 5_000, stage.now))
    stage.go("2026-08-05 18:00")
    printed(stage, "AAA", 140)
    printed(stage, "BBB", 20)


@pytest.mark.parametrize("auction", [False, True])
@pytest.mark.parametrize(("words", "cash"), [
    (REVERSE, 294_000_000),  # 10/7 shares: 3/7 of one at 7 x 98
    (MERGER, 5_200_000),  # 5.1 shares: a tenth of one at 52
])  # fmt: skip
def test_a_fraction_is_paid_by_the_regular_close(words: dict[str, Any], cash: int, auction: bool) -> None:
    stage, no = begun()
    stage.announce(**words)
    closing(stage, auction=auction)
    stage.go("2026-08-05 20:01")
    assert in_lieu(stage, no) == [cash]


def test_an_engine_that_starts_between_close_and_roll_pays_the_same() -> None:
    stage, no = begun()
    stage.announce(**REVERSE)
    closing(stage, auction=False)
    later = restarted(stage)  # of the tape it has quotes only
    for each in (stage, later):
        each.go("2026-08-05 20:01")
    assert in_lieu(stage, no) == in_lieu(later, no) == [294_000_000]


def test_a_correction_is_paid_by_the_same_close() -> None:
    stage, no = begun()
    stage.announce(**REVERSE)
    closing(stage, auction=False)
    stage.go("2026-08-06 11:00")
    printed(stage, "AAA", 800)
    stage.announce(**{**REVERSE, "old_rate": "4"})
    stage.go("2026-08-06 12:00")
    assert in_lieu(stage, no) == [294_000_000, -294_000_000, 196_000_000]  # 2.5 shares: half of one at 4 x 98


def test_no_close_is_noted_for_other_securities_and_days() -> None:
    stage, _ = begun()
    stage.announce(**{**REVERSE, "ex_date": "2026-08-07"})
    stage.announce(id="d", type="cash_dividend", symbol="BBB", rate="0.4", ex_date="2026-08-06")
    closing(stage, auction=True)
    assert stage.engine.house.officials == {}
