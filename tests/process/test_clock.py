"""Time never steps back, on either clock; seeded bytes are the same however they are asked for."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbtd.clock import SECOND_NS, ManualClock, SystemClock
from mbtd.entropy import SeededEntropy, SystemEntropy

HOUR_NS = 3_600 * SECOND_NS


@given(st.lists(st.integers(0, 2**62)))
def test_wall_time_never_steps_back_whatever_the_source_does(times: list[int]) -> None:
    clock = ManualClock(wall_ns=0)
    told = []
    for at in times:
        clock.set_wall(at)
        told.append(clock.wall_ns())
        assert clock.held_back_ns == told[-1] - at
    assert told == sorted(told)


def test_an_hour_back_holds_time_until_the_wall_catches_up() -> None:
    clock = ManualClock(wall_ns=10 * HOUR_NS)
    before = clock.wall_ns()
    clock.set_wall(9 * HOUR_NS)
    clock.advance(HOUR_NS - 1)
    assert clock.wall_ns() == before
    assert clock.held_back_ns == 1
    clock.advance(2)
    assert clock.wall_ns() == before + 1
    assert clock.monotonic_ns() == HOUR_NS + 1


def test_a_day_forward_is_taken_at_once() -> None:
    clock = ManualClock()
    before = clock.wall_ns()
    clock.set_wall(before + 24 * HOUR_NS)
    assert clock.wall_ns() == before + 24 * HOUR_NS
    assert clock.monotonic_ns() == 0


@pytest.mark.parametrize(
    "night",
    [datetime(2026, 3, 8, 6, 59, tzinfo=timezone.utc), datetime(2026, 11, 1, 5, 59, tzinfo=timezone.utc)],
)
def test_a_change_of_daylight_saving_is_no_step(night: datetime) -> None:
    start = int(night.timestamp()) * SECOND_NS
    clock = ManualClock(wall_ns=start)
    for minute in range(1, 5):
        clock.advance(60 * SECOND_NS)
        told = datetime.fromtimestamp(clock.wall_ns() / SECOND_NS, timezone.utc)
        assert told == night + timedelta(minutes=minute)


def test_the_system_clock_follows_the_host_and_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    assert abs(clock.wall_ns() - time.time_ns()) < 5 * SECOND_NS
    told = clock.wall_ns()
    monkeypatch.setattr(time, "time_ns", lambda: told - HOUR_NS)
    assert clock.wall_ns() == told
    assert clock.held_back_ns == HOUR_NS
    assert clock.monotonic_ns() <= clock.monotonic_ns()


def test_the_system_clock_starts_no_earlier_than_what_is_on_disk() -> None:
    newest = time.time_ns() + HOUR_NS
    assert SystemClock(not_before_ns=newest).wall_ns() == newest


def test_a_manual_clock_refuses_to_run_backwards() -> None:
    with pytest.raises(ValueError, match="set_wall"):
        ManualClock().advance(-1)


@given(st.lists(st.integers(0, 200)))
def test_seeded_bytes_do_not_depend_on_the_pieces(sizes: list[int]) -> None:
    pieces, whole = SeededEntropy(b"seed"), SeededEntropy(b"seed")
    assert b"".join(map(pieces.draw, sizes)) == whole.draw(sum(sizes))


def test_other_seeds_give_other_bytes_and_the_system_never_repeats() -> None:
    assert SeededEntropy(b"a").draw(32) != SeededEntropy(b"b").draw(32)
    assert SystemEntropy().draw(32) != SystemEntropy().draw(32)
