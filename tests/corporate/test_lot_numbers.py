"""What is told late makes lots of its own: their numbers are nobody else's, so sales find the lots they mean."""

from __future__ import annotations

from tests.corporate.rig import Stage

SPIN_OFF = {"id": "o", "type": "spin_off", "source_symbol": "AAA", "source_rate": "1", "new_symbol": "BBB",
            "new_rate": "0.5", "ex_date": "2026-08-05"}  # fmt: skip
REVERSE_SPLIT = {"id": "r", "type": "reverse_split", "symbol": "AAA", "new_rate": "1", "old_rate": "10",
                 "ex_date": "2026-08-05"}  # fmt: skip


def whole(stage: Stage, no: int) -> dict[str, tuple[int, list[int]]]:
    """Shares and numbers of lots by symbol, after the account has been found in order."""
    assert stage.engine.failures == []
    book = stage.book(no)
    assert not book.quarantined
    for position in book.positions.values():
        assert position.qty == sum(lot.qty for lot in position.lots)
        assert len({lot.lot_no for lot in position.lots}) == len(position.lots), position
    return {symbol: (p.qty // 10**9, [lot.lot_no for lot in p.lots]) for symbol, p in book.positions.items()}


def begun() -> tuple[Stage, int]:
    stage = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    for symbol in ("AAA", "BBB"):
        stage.quote(symbol, 100)
    return stage, stage.account("100000")


def test_shares_of_a_late_spin_off_and_those_bought_since_are_told_apart() -> None:
    stage, no = begun()
    stage.order(no, "buy", "40")
    stage.go("2026-08-06 10:00")
    stage.quote("BBB", 50)
    stage.order(no, "buy", "8", symbol="BBB")
    assert stage.announce(**SPIN_OFF) is None
    stage.go("2026-08-06 11:00")
    assert whole(stage, no)["BBB"][0] == 28
    stage.quote("BBB", 50)
    stage.order(no, "sell", "25", symbol="BBB")
    assert whole(stage, no)["BBB"][0] == 3


def test_a_purchase_that_only_closed_may_open_when_it_is_told_again() -> None:
    stage, no = begun()
    stage.order(no, "sell", "100")
    stage.go("2026-08-06 10:00")
    stage.quote("AAA", 100)
    stage.order(no, "buy", "100")
    stage.order(no, "buy", "5")
    assert stage.announce(**REVERSE_SPLIT) is None
    stage.go("2026-08-06 11:00")
    assert whole(stage, no)["AAA"][0] == 95
    stage.quote("AAA", 1_000)
    stage.order(no, "sell", "93")
    assert whole(stage, no)["AAA"][0] == 2
