"""Mark-outs against a slow search of the whole tape, however tape and steps are cut into batches."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.market.messages import Quote
from mbtd.market.markouts import HORIZONS_S, MarkOuts
from tests.oracle.rig import SECOND, Do, Wait, feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, scripts


def stamp(message: Any) -> int:
    return int(message.received_at or message.at)


def searched(tape: list[tuple[int, Any]], fill: e.OrderFilled, symbol: str, at: int, place: int, seconds: int) -> Any:
    """Bid plus ask of the last two-sided quote at or before the instant; nothing while the tape has not passed it."""
    if not any(seq > place and stamp(m) > at + seconds * SECOND for seq, m in tape):
        return None
    v = fill.evidence
    found = v.bid + v.ask if v.bid and v.ask else 0
    for seq, m in tape:
        if stamp(m) > at + seconds * SECOND and seq > place:
            return found
        if seq > place and isinstance(m, Quote) and m.symbol == symbol and m.bid and m.ask:
            found = m.bid + m.ask
    return found


@profile(150)
@given(scripts(30, 120), st.integers(1, 9))
def test_a_mark_out_is_what_a_search_of_the_tape_finds(script: list[Any], batch: int) -> None:
    engine = open_engine(ACCOUNTS)
    marks = MarkOuts()
    tape: list[tuple[int, Any]] = []
    waiting: list[Any] = []
    newest = 0
    first_seq = 1
    for item in script:
        feed(engine, item)
        if not isinstance(item, Do | Wait):
            if stamp(item) < newest:
                return
            newest = stamp(item)
            waiting.append(item)
            tape.append((engine.world.tape_seq, item))
        if len(waiting) >= batch:
            marks.apply(waiting, first_seq, engine.steps)
            first_seq += len(waiting)
            waiting = []
    marks.apply(waiting, first_seq, engine.steps)
    for step in engine.steps:
        for section in step.sections:
            for fill, change in zip(section.events, section.events[1:], strict=False):
                if not isinstance(fill, e.OrderFilled) or not isinstance(change, e.PositionChanged):
                    continue
                marked = marks.marked.get((section.account_no, fill.order_no, fill.fill_no))
                for seconds in HORIZONS_S:
                    want = searched(tape, fill, change.symbol, step.at, step.tape_pos, seconds)
                    if want is None:
                        assert marked is None or seconds not in marked.after
                    else:
                        assert marked is not None
                        assert marked.after[seconds] == want


def test_gains_are_signed_by_the_side() -> None:
    from mbtd.market.markouts import Marked

    bought = Marked("A", 1, 100_000, 0, 200_100, {60: 200_300})
    assert (bought.result(60), bought.drift(60)) == (300, 200)
    sold = Marked("A", -1, 100_000, 0, 200_100, {60: 200_300})
    assert (sold.result(60), sold.drift(60), sold.result(1)) == (-300, -200, None)
