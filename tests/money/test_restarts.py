"""A restart in the middle of a margin call changes nothing that follows; lines of it carry the numbers."""

from __future__ import annotations

import pytest

from actors.house.state import HOUSE_NO
from actors.inputs import Step, encode
from mbtd.records.lines import Lines
from tests.money.rig import CALENDAR, Bench, when

MARKET: tuple[tuple[str, float], ...] = (
    ("2026-08-03 10:10", 95.0), ("2026-08-03 10:20", 62.0), ("2026-08-03 15:00", 63.0),
    ("2026-08-03 17:00", 62.5), ("2026-08-04 09:31", 61.0), ("2026-08-04 09:45", 61.5), ("2026-08-06 11:00", 80.0),
)  # fmt: skip


def begun() -> tuple[Bench, int]:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account("10000")
    bench.order(account, "buy", "180")
    return bench, account


def go_on(bench: Bench, after: int, until: int) -> None:
    for text, price in MARKET:
        if after < when(text) <= until:
            bench.go(text)
            bench.quote("AAA", price)


def restarted(old: Bench, steps: list[Step], price: float) -> Bench:
    """A new engine from the steps, with the market as it stands."""
    new = Bench("2026-08-03 10:00")
    engine = new.engine
    for step in steps:
        engine.restore_step(step)
    engine.input_seq, engine.seq = old.engine.input_seq, old.engine.seq
    engine.world.tape_seq, engine.world.now = old.engine.world.tape_seq - 2, old.engine.world.now
    engine.refeed(CALENDAR.session_at(old.now))
    slot = old.engine.world.board.slots["AAA"]
    assert slot.quote is not None
    engine.refeed(slot.quote)
    for book in engine.books.values():
        engine.waits.arm_all(book)
    new.now = old.now
    return new


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 6])
def test_what_follows_a_restart_is_what_would_have_followed(cut: int) -> None:
    whole, _ = begun()
    first, _ = begun()
    middle, end = when(MARKET[cut - 1][0]), when("2026-08-07 10:00")
    go_on(whole, 0, middle)
    go_on(first, 0, middle)
    steps = first.engine.take_steps()
    assert encode(steps) == encode(whole.engine.take_steps())
    second = restarted(first, steps, MARKET[cut - 1][1])
    for bench in (whole, second):
        go_on(bench, middle, end)
        bench.go("2026-08-07 10:00")
    ours = [(s.at, s.sections) for s in second.engine.take_steps()]
    theirs = [(s.at, s.sections) for s in whole.engine.take_steps()]
    assert ours == theirs
    assert encode(second.book(1)) == encode(whole.book(1))


def test_the_lines_of_a_call_carry_its_numbers() -> None:
    bench, account = begun()
    go_on(bench, 0, when("2026-08-07 10:00"))
    lines = Lines()
    shown = [line for step in bench.engine.take_steps() for line in lines.render(step)]
    margin = [line for line in shown if line["event"].startswith("margin.")]
    assert [line["event"] for line in margin][:3] == [
        "margin.call_opened", "margin.liquidating", "margin.call_closed"
    ]  # fmt: skip
    opened = next(line for line in margin if line["event"] == "margin.call_opened")
    assert float(opened["excess"]) < 0
    assert float(opened["equity"]) - float(opened["maintenance_margin"]) == pytest.approx(float(opened["excess"]))
    assert opened["due_at"] == "2026-08-04T13:30:00Z"
    ends = [line for line in shown if line["event"] == "day.ended"]
    assert [line["trade_date"] for line in ends][:3] == ["2026-08-03", "2026-08-04", "2026-08-05"]
    assert account != HOUSE_NO
