"""Timers against the plainest model there is: a set of pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.timers import NEVER, Entry, Timers
from tests.oracle.scripts import profile

ENTRY = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
OPS = st.lists(
    st.tuples(st.sampled_from(("add", "add", "add", "remove", "take")), st.integers(1, 6), ENTRY), max_size=60
)


@profile(100)
@given(OPS, st.integers(1, 4))
def test_timers_behave_like_a_set_of_pairs(ops: list[tuple[str, int, Entry]], most: int) -> None:
    timers = Timers()
    model: set[tuple[int, Entry]] = set()
    begun: list[tuple[int, Entry]] = []
    now = 0
    for what, ahead, entry in ops:
        due = now + ahead
        if what == "add":
            timers.add(due, entry)
            model.add((due, entry))
        elif what == "remove":
            timers.remove(due, entry)
            model.discard((due, entry))
        elif timers.next_due != NEVER:
            now, entries = timers.take(most)
            if not begun:
                begun = sorted(row for row in model if row[0] == now)
                model -= set(begun)
            assert [(now, e) for e in entries] == begun[:most]
            begun = begun[most:]
        assert len(timers) == len(model) + len(begun)
        assert timers.next_due <= min((d for d, _ in (*model, *begun)), default=NEVER)


def test_entries_of_one_instant_come_out_in_order_whatever_the_history() -> None:
    timers = Timers()
    for entry in ((2, 1, 0), (1, 2, 3), (1, 2, 1), (1, 10, 0)):
        timers.add(5, entry)
    timers.remove(5, (9, 9, 9))
    timers.remove(6, (1, 2, 3))
    assert timers.take(9) == (5, [(1, 2, 1), (1, 2, 3), (1, 10, 0), (2, 1, 0)])
    assert timers.next_due == NEVER
    assert len(timers) == 0
