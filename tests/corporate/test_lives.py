"""Accounts that sleep, daemons that restart, stores that are verified: an action is the same to all of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alpaca.trading.models import NonTradeActivity, TradeActivity

from actors.book import events as e
from actors.book.dues import next_due
from actors.book.rules.reasons import Refusal
from actors.commands import ConfigureAccount, PlaceOrder, Withdraw
from actors.house.state import HOUSE_NO
from actors.inputs import Step, encode
from mbtd.gateway.endpoint import shape as wire_shape
from mbtd.gateway.schemas import Activity
from mbtd.jobs.verify import verify
from mbtd.maintenance import purge_account
from mbtd.pasts import Pasts
from mbtd.records.activities import activity_id_of, render_activity
from mbtd.records.lots import decode_lot
from mbtd.records.projection import project
from mbtd.residency import Residency, snapshot_of, snapshot_of_house
from storage.reader import SnapshotReader
from storage.records import Group
from storage.sqlite import SqliteStore
from tests.corporate.rig import CALENDAR, Stage
from tests.money.rig import when

ACCOUNT = "00000000-0000-4000-8000-000000000001"
SPLIT = {
    "id": "s",
    "type": "forward_split",
    "symbol": "AAA",
    "new_rate": "3",
    "old_rate": "1",
    "ex_date": "2026-08-06",
}
DIVIDEND = {"id": "d", "type": "cash_dividend", "symbol": "AAA", "rate": "0.4", "ex_date": "2026-08-05",
            "payable_date": "2026-08-07"}  # fmt: skip
MERGER = {"id": "m", "type": "stock_and_cash_merger", "acquiree_symbol": "AAA", "acquirer_symbol": "BBB",
          "acquirer_rate": "0.51", "cash_rate": "3.21", "effective_date": "2026-08-07"}  # fmt: skip


def begun() -> tuple[Stage, int]:
    stage = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    for symbol in ("AAA", "BBB"):
        stage.quote(symbol, 100)
    no = stage.account("50000")
    stage.order(no, "buy", "35")
    stage.go("2026-08-03 11:00")
    return stage, no


def keep(store: SqliteStore, steps: list[Step], tape_pos: int = 0) -> None:
    """Append steps as one group."""
    head = store.head()
    group = Group(head.epoch, steps[0].seq_first, steps[-1].seq_last, steps[-1].input_seq, tape_pos, steps[-1].at, b"",
                  encode(steps))  # fmt: skip
    store.append(group)


def shape(stage: Stage, no: int) -> Any:
    book = stage.book(no)
    return {s: (p.qty, p.basis_money, p.lots) for s, p in book.positions.items()}, book.cash, set(book.actions)


# ── asleep ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("announced", ["2026-08-04 12:00", "2026-08-06 12:00"])
def test_a_sleeper_takes_in_what_was_announced_while_it_slept(tmp_path: Path, announced: str) -> None:
    awake, no = begun()
    asleep, _ = begun()
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=0)) as store:
        engine = asleep.engine
        keep(store, engine.steps)
        store.put_snapshots([snapshot_of(asleep.book(no), engine.seq, engine.world)])
        residency = Residency(engine, SnapshotReader(tmp_path), chunk=10, keep=0)
        engine.release(no)
        for stage in (awake, asleep):
            stage.go(announced)
            for words in (SPLIT, DIVIDEND, MERGER):
                assert stage.announce(**words) is None
            stage.go("2026-08-10 10:00")
        assert residency.bring(no)
    assert shape(asleep, no) == shape(awake, no)
    assert {record.stage for record in asleep.book(no).actions.values()} == {"applied"}


def test_a_sleeper_is_due_when_its_action_is(tmp_path: Path) -> None:
    stage, no = begun()
    stage.announce(**{**DIVIDEND, "ex_date": "2026-08-04"})
    stage.go("2026-08-04 10:00")
    row = snapshot_of(stage.book(no), stage.engine.seq, stage.engine.world)
    assert row.next_due == when("2026-08-04 20:00")
    closing = stage.book(no)
    stage.order(no, "sell", "35")
    stage.go("2026-08-06 12:00")
    assert snapshot_of(closing, stage.engine.seq, stage.engine.world).next_due <= when("2026-08-07 04:00")


# ── restarts ─────────────────────────────────────────────────────────────────────────────────────────────

COURSE = ("2026-08-03 20:30", "2026-08-05 02:00", "2026-08-05 10:00", "2026-08-05 21:00", "2026-08-07 03:00")


def restarted(old: Stage) -> Stage:
    """A new engine from the steps so far, with the tape as it stood."""
    new = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    engine = new.engine
    for step in old.engine.steps:
        engine.restore_step(step)
    engine.input_seq, engine.seq = old.engine.input_seq, old.engine.seq
    engine.world.now = old.engine.world.now
    engine.refeed(CALENDAR.session_at(old.now))
    for quote in old.fed:
        engine.refeed(quote)
    engine.world.tape_seq = old.engine.world.tape_seq
    for book in engine.books.values():
        engine.waits.arm_all(book)
    engine.steps += old.engine.steps
    new.now = old.now
    return new


def go_on(stage: Stage, no: int, after: str, until: str) -> None:
    for moment in COURSE:
        if after < moment <= until:
            stage.go(moment)
            if moment == "2026-08-03 20:30":
                for words in (SPLIT, MERGER):
                    stage.announce(**words)
            elif moment == "2026-08-05 10:00":
                stage.announce(**DIVIDEND)
                stage.do(no, PlaceOrder(symbol="AAA", side="buy", qty="5", type="limit", limit_price="90.00",
                                        time_in_force="gtc"))  # fmt: skip


@pytest.mark.parametrize("cut", range(len(COURSE)))
def test_what_follows_a_restart_is_what_would_have_followed(cut: int) -> None:
    (whole, no), (first, _) = begun(), begun()
    for stage in (whole, first):
        go_on(stage, no, "", COURSE[cut])
    second = restarted(first)
    for stage in (whole, second):
        go_on(stage, no, COURSE[cut], "9")
        stage.go("2026-08-11 10:00")
        assert stage.engine.failures == []
    assert encode(second.engine.steps) == encode(whole.engine.steps)
    assert {record.stage for record in whole.book(no).actions.values()} == {"applied"}


# ── stored ───────────────────────────────────────────────────────────────────────────────────────────────


def lived() -> tuple[Stage, int]:
    """An account with actions of every sort: in time, late, corrected, withdrawn."""
    stage, no = begun()
    stage.do(no, PlaceOrder(symbol="AAA", side="sell", qty="5", type="stop", stop_price="70.00", time_in_force="gtc"))
    stage.announce(**SPLIT)
    stage.announce(**MERGER)
    stage.go("2026-08-06 10:00")
    stage.quote("AAA", 34)
    stage.order(no, "sell", "12")
    stage.announce(**DIVIDEND)
    stage.go("2026-08-10 10:00")
    stage.announce(**{**DIVIDEND, "rate": "0.5"})
    stage.announce(**{**MERGER, "cash_rate": "2.99"})
    stage.go("2026-08-10 11:00")
    stage.withdraw("s")
    stage.go("2026-08-11 11:00")
    assert stage.engine.failures == []
    return stage, no


@pytest.fixture(scope="module")
def life() -> tuple[Stage, int]:
    return lived()


def stored(stage: Stage, directory: Path, groups: int = 6) -> SqliteStore:
    store = SqliteStore.open(directory, ballast_bytes=0)
    steps = stage.engine.steps
    size = len(steps) // groups + 1
    for start in range(0, len(steps), size):
        keep(store, steps[start : start + size])
    seq = store.head().seq
    rows = [snapshot_of(book, seq) for _, book in sorted(stage.engine.books.items())]
    store.put_snapshots([snapshot_of_house(stage.engine.house, seq), *rows])
    return store


def test_verify_and_the_rows_that_clients_read(life: tuple[Stage, int], tmp_path: Path) -> None:
    stage, no = life
    with contextlib.closing(stored(stage, tmp_path)) as store:
        while store.projection_backlog():
            store.project(project, 64)
    report = verify(tmp_path)
    assert report.ok, report.wrong
    with contextlib.closing(SqliteStore.open(tmp_path, take_epoch=False)) as store:
        shown: list[Any] = []
        profit: list[int] = []
        store.change(lambda db: shown.extend(db.execute("SELECT * FROM activities ORDER BY n").fetchall()))
        store.change(
            lambda db: profit.extend(
                decode_lot(body).realized_money for (body,) in db.execute("SELECT body FROM closed_lots")
            )
        )
    rows = [render_activity(row, "account") for row in shown]
    assert {row["activity_type"] for row in rows} == {"JNLC", "SPLIT", "DIV", "MA"}
    by_id = {row["id"]: row for row in rows}
    taken_back = [row for row in rows if row["status"] == "canceled"]
    assert taken_back
    for row in taken_back:
        first = by_id[row["previous_id"]]
        assert float(first["net_amount"]) == -float(row["net_amount"])
        assert (first["symbol"], first["ca_id"]) == (row["symbol"], row["ca_id"])
    facts = stage.events(no)
    realized = [f.realized_money for f in facts if isinstance(f, e.PositionChanged | e.PositionAdjusted)]
    assert sum(profit) == sum(realized)


@pytest.mark.parametrize("projected", [0, 3, 100])
def test_a_past_is_put_together_from_wherever_its_events_are(
    life: tuple[Stage, int], tmp_path: Path, projected: int
) -> None:
    stage, no = life
    steps = stage.engine.steps
    cut = len(steps) * 3 // 4
    world = stage.engine.world
    assert world.past is not None
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=0)) as store:
        for start in range(0, cut, 5):
            keep(store, steps[start : min(cut, start + 5)])
        if projected:
            store.project(project, projected)
        pasts = Pasts(tmp_path, lambda: steps[cut + 2 :])
        pasts.note(steps[cut : cut + 2])
        n = stage.book(no).n
        for moment in ("2026-08-03 10:30", "2026-08-05 20:00", "2026-08-10 10:00"):
            assert encode(pasts(no, when(moment), n)) == encode(world.past(no, when(moment), n))
        assert pasts(no, 0, n + 1) is None


def test_a_past_that_was_forgotten_is_none(life: tuple[Stage, int], tmp_path: Path) -> None:
    stage, no = life
    with contextlib.closing(stored(stage, tmp_path)) as store:
        while store.projection_backlog():
            store.project(project, 64)
        assert purge_account(store, no, when("2026-08-06 00:00")).events
        n = stage.book(no).n
        pasts = Pasts(tmp_path)
        assert pasts(no, when("2026-08-05 20:00"), n) is None
        later = pasts(no, when("2026-08-10 10:00"), n)
        assert later is not None
        assert len(later[1]) + later[0].n == n
    assert verify(tmp_path).ok


def test_without_a_history_what_is_still_held_is_worked_on_and_said() -> None:
    stage, no = begun()
    stage.engine.world.past = None
    stage.announce(**SPLIT)
    stage.go("2026-08-07 10:00")
    stage.withdraw("s")
    stage.go("2026-08-07 11:00")
    record = stage.book(no).actions["s"]
    assert (record.stage, record.reconcile) == ("withdrawn", True)
    assert stage.book(no).positions["AAA"].qty == 105 * 10**9


def test_announcements_are_nobody_s_and_outlive_an_erasure(life: tuple[Stage, int]) -> None:
    from mbtd.maintenance import names_somebody

    facts = life[0].events(HOUSE_NO, e.CorporateActionAnnounced)
    assert len(facts) == 6
    assert not any(names_somebody(fact, (1,), ("AAA", "s", "d")) for fact in facts)


def test_a_dividend_taken_back_may_overdraw_a_cash_account_and_that_is_no_fault(tmp_path: Path) -> None:
    stage = Stage("2026-08-03 10:00", ("AAA",))
    stage.quote("AAA", 100)
    no = stage.account("1000", "cash")
    stage.order(no, "buy", "10")
    stage.announce(**DIVIDEND)
    stage.go("2026-08-07 10:00")
    assert not isinstance(stage.do(no, Withdraw(amount="4")), Refusal)
    stage.withdraw("d")
    stage.go("2026-08-10 09:29")
    assert stage.engine.failures == []
    assert stage.book(no).cash == -4_000_000
    assert stage.book(no).money.call.state == "call"
    with contextlib.closing(stored(stage, tmp_path)) as store:
        while store.projection_backlog():
            store.project(project, 64)
    report = verify(tmp_path)
    assert report.ok, report.wrong


def test_activities_are_what_the_gateway_and_alpaca_s_models_read() -> None:
    stage = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    stage.quote("AAA", 100)
    no = stage.account("50000")
    stage.do(no, ConfigureAccount(drip="on", nra_ppm=300_000, fraction_long="cil"))
    stage.order(no, "buy", "35")
    for words in (DIVIDEND, {**SPLIT, "old_rate": "2"}, MERGER):
        assert stage.announce(**words) is None
    stage.go("2026-08-10 10:00")
    booked = stage.events(no, e.ActivityBooked)
    rows = [
        render_activity(
            (no, n, activity_id_of(no, n, stage.now), fact.activity_type, stage.now, fact.dated, encode(fact)),
            ACCOUNT,
        )
        for n, fact in enumerate(booked, 1)
    ]
    shown = msgspec.to_builtins(wire_shape(list[Activity], rows))
    assert {row["activity_type"] for row in shown} == {"JNLC", "DIV", "DIVNRA", "FILL", "SPLIT", "MA", "CIL"}
    for row in shown:
        model = TradeActivity if row["activity_type"] == "FILL" else NonTradeActivity
        read = model(**row)
        assert read.activity_type.value == row["activity_type"]
    dividend = next(row for row in shown if row["activity_type"] == "DIV")
    assert (dividend["per_share_amount"], dividend["ca_id"], dividend["status"]) == ("0.4", "d", "executed")


@pytest.mark.parametrize("month", ["07", "09"])
def test_a_turn_costs_nothing_for_actions_that_are_not_next(month: str) -> None:
    """Hundreds of dividends of a held symbol, long past or still to come: the next one is found by its place."""
    stage, no = begun()
    for number in range(200):
        date = f"2026-{month}-{number % 20 + 1:02d}"
        for rate in ("0.1", "0.2"):
            stage.announce(id=f"{number}", type="cash_dividend", symbol="AAA", rate=rate, ex_date=date)
    stage.go("2026-08-03 11:05")
    looked_at: list[str] = []

    class Told(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            looked_at.append(key)
            return super().get(key, default)

    book = stage.book(no)
    next_due(book, stage.engine.world)
    book.actions = Told(book.actions)
    first = next_due(book, stage.engine.world)
    assert first == when("2026-08-03 20:00")
    assert len(looked_at) <= 4
