"""Named states that pass by themselves: when each begins, how long it is said, and that it is counted afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.mailbox import Mailroom
from mbtd.clock import SECOND_NS, ManualClock
from mbtd.jobs.marks import Marks
from mbtd.limits import BACKUP_MAX_AGE_S, DRILL_MAX_AGE_S
from mbtd.market.feed import FeedStatus
from mbtd.passing import HOLD_NS, LAG_MAX_NS, PASSING, Passing
from mbtd.seeds import keep_seed
from mbtd.spread import Spread

ROOT = Path(__file__).parents[2]


class Rig:
    """A daemon's parts that are looked at, and a clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.core = SimpleNamespace(commits=Spread(), overflows=0, mailroom=Mailroom(2, 0), storage_state="ok")
        self.server = SimpleNamespace(slow_consumers=0)
        feed = SimpleNamespace(name="fake", status=lambda: FeedStatus("live", 0))
        core, servers = cast("Any", self.core), cast("Any", [self.server])
        self.passing = Passing(core, servers, self.clock, directory, cast("Any", feed))

    def look(self, lag_ns: int = 0) -> list[str]:
        self.passing.look(lag_ns)
        return self.passing.reasons(draining=False)

    def cause(self, name: str) -> int:
        """Bring about a state; the lag of the beat that comes next."""
        match name:
            case "loop_slow":
                return LAG_MAX_NS
            case "durable_lag":
                self.core.commits.note(2 * SECOND_NS)
            case "tape_overflowed":
                self.core.overflows += 1
            case "accounts_overloaded":
                while self.core.mailroom.put(7, lambda: None):
                    pass
            case "slow_consumer":
                self.server.slow_consumers += 1
            case "clock_jumped":
                self.clock.set_wall(self.clock.wall_ns() + 3_600 * SECOND_NS)
        return 0


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("name", PASSING)
def test_each_is_said_for_a_while_and_then_only_counted(rig: Rig, name: str) -> None:
    assert rig.look() == []
    assert rig.look(rig.cause(name)) == [name]
    rig.clock.advance(HOLD_NS - SECOND_NS)
    assert rig.look() == [name]
    rig.clock.advance(2 * SECOND_NS)
    assert rig.look() == []
    assert rig.passing.counts[name] == rig.passing.lately()[name]["times"] == 1
    assert (ROOT / "docs" / "runbook" / f"{name}.md").exists()


def test_a_clock_that_went_back_is_said_until_it_has_caught_up(rig: Rig) -> None:
    rig.clock.set_wall(rig.clock.wall_ns() - 600 * SECOND_NS)
    assert rig.look() == ["clock_jumped"]
    rig.clock.advance(HOLD_NS + 500 * SECOND_NS)
    assert rig.look() == ["clock_jumped"]
    rig.clock.advance(100 * SECOND_NS)
    assert rig.look() == []


def test_time_that_passes_is_no_jump_however_late_the_loop_is(rig: Rig) -> None:
    for _ in range(100):
        rig.clock.advance(LAG_MAX_NS - 1)
        assert rig.look(LAG_MAX_NS - 1) == []


def test_backups_and_drills_are_due_after_the_last_good_one_or_the_state_s_beginning(rig: Rig) -> None:
    keep_seed(rig.directory, 1)
    begun = rig.clock.wall_ns() / 1e9
    os.utime(rig.directory / "seed", (begun, begun))
    rig.clock.advance((BACKUP_MAX_AGE_S + 1) * SECOND_NS)
    assert rig.look() == ["backup_old"]
    Marks(rig.directory).set("backup", rig.clock.wall_ns() / 1e9)
    assert rig.look() == []
    rig.clock.advance((DRILL_MAX_AGE_S - BACKUP_MAX_AGE_S) * SECOND_NS)
    assert rig.look() == ["backup_old", "drill_old"]
    for kind in ("backup", "drill"):
        Marks(rig.directory).set(kind, rig.clock.wall_ns() / 1e9)
    assert rig.look() == []


def test_little_space_is_said_before_there_is_none(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SimpleNamespace(total=100 << 30, free=1 << 30)
    monkeypatch.setattr("mbtd.passing.shutil.disk_usage", lambda path: space)
    assert rig.look() == ["disk_filling"]
    rig.core.storage_state = "full"
    assert rig.look() == [], "storage_full says it already"
    rig.core.storage_state, space.free = "ok", 3 << 30
    assert rig.look() == []
    space.total, space.free = 1 << 30, 512 << 20
    assert rig.look() == [], "half of a small disk is not little"


def test_draining_is_said_while_it_lasts(rig: Rig) -> None:
    assert rig.passing.reasons(draining=True) == ["draining"]
    assert rig.passing.reasons(draining=False) == []
