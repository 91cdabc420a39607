"""Whatever an account trades, structures and positions tell one story."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.commands import ClosePosition, CloseStructure, ExercisePosition, RollStructure, SetStructureExit
from tests.structures.rig import BY_WORD, Floor, check

UNITS = (
    "+P90 -P95 -C105 +C110", "-C105 +C110", "+P95 -P90", "-C100 +C100'", "+C95 -2C100 +C105", "+C100 +P100",
    "-C100 +C105", "+P95 -P95'", "+P90' -P95' -C105' +C110'",
)  # fmt: skip
STEP = st.one_of(
    st.tuples(st.just("unit"), st.sampled_from(UNITS), st.integers(1, 4)),
    st.tuples(st.just("single"), st.sampled_from(sorted(BY_WORD)), st.sampled_from(("buy", "sell"))),
    st.tuples(st.just("close"), st.integers(1, 12), st.sampled_from((None, "1", "2"))),
    st.tuples(st.just("roll"), st.integers(1, 12), st.sampled_from((None, "1"))),
    st.tuples(st.just("exit"), st.integers(1, 12), st.just(0)),
    st.tuples(st.just("position"), st.sampled_from(sorted(BY_WORD)), st.just(0)),
    st.tuples(st.just("exercise"), st.sampled_from(sorted(BY_WORD)), st.just(0)),
    st.tuples(st.just("price"), st.integers(85, 115), st.just(0)),
)


def act(floor: Floor, step: tuple[str, Any, Any]) -> None:
    kind, what, more = step
    if kind == "unit":
        floor.unit(what, qty=str(more))
    elif kind == "single":
        floor.single(what, more)
    elif kind == "close":
        floor.command(CloseStructure(structure_id=str(what), qty=more))
    elif kind == "roll":
        floor.command(RollStructure(structure_id=str(what), qty=more, expiration_date="2027-01-15"))
    elif kind == "exit":
        floor.command(SetStructureExit(structure_id=str(what), take_profit_percent="30", stop_loss_percent="60"))
    elif kind == "position":
        floor.command(ClosePosition(symbol=BY_WORD[what].symbol))
    elif kind == "exercise":
        floor.command(ExercisePosition(symbol=BY_WORD[what].symbol, qty="1"))
    else:
        floor.price(float(what))
        floor.quote_all()
        floor.wait(3)


@settings(max_examples=12, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=14), st.integers(85, 115), st.sampled_from((3, 4)))
def test_structures_add_up_to_the_account_through_everything_and_expiry(
    steps: list[tuple[str, Any, Any]], last: int, level: int
) -> None:
    floor = Floor(cash=500_000, level=level)
    for step in steps:
        act(floor, step)
        check(floor)
    floor.go("2026-12-18 15:59")
    floor.price(float(last))
    floor.auction("XYZ", float(last))
    floor.go("2026-12-18 18:00")
    check(floor)
    near = {instrument.symbol for word, instrument in BY_WORD.items() if not word.endswith("'")}
    assert not near & set(floor.own.positions)
    assert not any(leg.symbol in near for s in floor.own.structures.values() for leg in s.legs)
