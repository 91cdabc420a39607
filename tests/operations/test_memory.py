"""Running out of memory: said beforehand, blamed on nobody, never survived halfway."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.commands import PlaceOrder
from mbtd.ending import status_of
from mbtd.memory import MemoryWatch, limit_bytes, resident_bytes
from tests.oracle.rig import SECOND, Do, feed, open_engine, session
from tests.oracle.scripts import ACCOUNTS, OPEN


def test_it_is_low_until_there_is_clearly_more_again() -> None:
    used = [50]
    watch = MemoryWatch(100, lambda: used[0])
    said = []
    for value in (50, 84, 85, 90, 80, 75, 74, 80, 84, 99):
        used[0] = value
        changed = watch.look()
        said.append((value, watch.low))
        assert changed is (len(said) > 1 and said[-1][1] != said[-2][1])
    assert [low for _, low in said] == [False, False, True, True, True, True, False, False, False, True]


def test_without_a_limit_it_is_never_low() -> None:
    watch = MemoryWatch(0)
    assert not watch.look()
    assert not watch.low
    assert watch.resident > 1 << 20


@pytest.mark.parametrize(
    ("line", "files", "limit"),
    [
        ("0::/system.slice/mbtd.service", {"system.slice/mbtd.service/memory.max": "4096"}, 4096),
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "8192"}, 8192),
        ("0::/a/b", {"a/b/memory.max": "9000", "a/memory.max": "8192"}, 8192),
        (
            "5:memory:/x",
            {"memory/x/memory.limit_in_bytes": "2048", "memory/memory.limit_in_bytes": str(1 << 62)},
            2048,
        ),
        ("5:cpu,cpuacct:/x", {"memory/x/memory.limit_in_bytes": "2048"}, 0),
        ("0::/a", {}, 0),
    ],
)
def test_the_smallest_limit_of_the_control_groups_counts(
    tmp_path: Path, line: str, files: dict[str, str], limit: int
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert limit_bytes(tmp_path) == limit


def test_this_process_is_seen() -> None:
    assert resident_bytes() > 1 << 20
    assert limit_bytes() >= 0


def test_a_turn_without_memory_quarantines_nobody_and_leaves_the_book_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = open_engine(ACCOUNTS)
    feed(engine, session("core", OPEN))
    book = engine.books[1]
    before = (book.n, dict(book.orders), book.cash, book.reserved_money)

    def nothing_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("actors.turns.book_trades", nothing_left)
    order = PlaceOrder(symbol="AAA", qty="1", side="buy", type="limit", limit_price="1.00", time_in_force="day")
    with pytest.raises(MemoryError):
        feed(engine, Do(1, order, OPEN + SECOND))
    assert not book.quarantined
    assert not engine.failures
    assert (book.n, dict(book.orders), book.cash, book.reserved_money) == before


def test_the_process_says_so_and_ends_so_that_it_is_started_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(ExceptionGroup("tasks", [MemoryError()])) == 70
    assert "out of memory" in capsys.readouterr().err
