"""Mark-outs against a slow search of the whole tape, however tape and steps are cut into batches."""

from __future__ import annotations

import gzip
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.market.messages import Quote
from mbtd.cli.options import ReplayOptions
from mbtd.market.markouts import HORIZONS_S, MarkOuts, decode_marked
from mbtd.replay.run import Replay
from storage.mark_outs import MarkRow, recent
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


@profile(100)
@given(scripts(30, 120), st.integers(1, 60))
def test_after_a_restart_there_is_the_same_or_nothing(script: list[Any], cut: int) -> None:
    engine = open_engine(ACCOUNTS)
    whole, before = MarkOuts(), MarkOuts()
    after: MarkOuts | None = None
    written: dict[tuple[int, int, int], MarkRow] = {}
    newest = count = 0
    for item in script:
        feed(engine, item)
        if isinstance(item, Do | Wait):
            continue
        if stamp(item) < newest:
            return
        newest = stamp(item)
        count += 1
        place = engine.world.tape_seq
        whole.apply([item], place, engine.steps)
        if count < cut:
            before.apply([item], place, engine.steps)
            if count % 3 == 0:
                written |= {row[:3]: row for row in before.take_rows()}
        elif after is None:
            # This message was on its way when the process died; the newest rows were not written either.
            after = MarkOuts()
            after.resume(written.values(), engine.steps, place)
        else:
            after.apply([item], place, engine.steps)
    if after is None:
        return
    written |= {row[:3]: row for row in after.take_rows()}
    for key, marked in whole.marked.items():
        row = written.get(key)
        found = decode_marked(row[-1]).after if row is not None else {}
        for seconds, doubled in marked.after.items():
            assert found.get(seconds, 0) in (doubled, 0)
        started_after = after._blind_until.get(key) is None and key in after.marked
        assert not started_after or found == marked.after


def test_a_run_that_was_cut_off_has_the_mark_outs_of_one_that_was_not(tmp_path: Path) -> None:
    recording, script = tmp_path / "day.ndjson.gz", tmp_path / "script.ndjson"
    quotes = [
        {"T": "q", "S": "AAA", "t": f"2026-08-03T14:{minute:02d}:{second:02d}.5Z", "bp": round(price, 2), "ap": round(price + 0.02, 2),
         "bs": 500, "as": 500}
        for minute in range(12) for second in range(0, 60, 2) for price in (100 + minute + second / 100,)
    ]  # fmt: skip
    recording.write_bytes(gzip.compress("".join(json.dumps(quote) + "\n" for quote in quotes).encode()))
    lines = [{"at": "2026-08-03T14:00:00Z", "account": "a", "method": "account.create", "params": {"name": "a"}}]
    for minute in range(1, 11):
        params = {"symbol": "AAA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        lines.append(
            {"at": f"2026-08-03T14:{minute:02d}:01Z", "account": "a", "method": "order.place", "params": params}
        )
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def options(name: str) -> ReplayOptions:
        return ReplayOptions(
            recordings=(recording,), script=script, state=tmp_path / name, out=tmp_path / f"{name}.out"
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mbtd.replay.run.INPUTS_PER_GROUP", 50)
        with Replay.prepare(options("whole")) as replay:
            replay.run()
        store_group = Replay.store_group
        groups = count(1)

        def dies(self: Replay, *rest: Any, **more: Any) -> int:
            if next(groups) == 5:
                raise KeyboardInterrupt
            return store_group(self, *rest, **more)

        patch.setattr(Replay, "store_group", dies)
        with pytest.raises(KeyboardInterrupt), Replay.prepare(options("cut")) as replay:
            replay.run()
        with Replay.prepare(options("cut")) as replay:
            replay.run()
    found = {}
    for name in ("whole", "cut"):
        rows = recent(tmp_path / name, 0)
        found[name] = sorted((*row[:5], decode_marked(row[5]).after) for row in rows)
    assert len(found["whole"]) == 10
    assert found["whole"][0][5].keys() == set(HORIZONS_S)
    assert all(found["whole"][0][5].values())
    assert found["cut"] == found["whole"]
