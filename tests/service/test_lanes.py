"""The delayed lane: nothing early, nothing lost, and never much at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.market.messages import Quote, TapeMessage, Trade
from mbtd.service.lanes import SECOND_NS, SHOW_MIN, SHOW_SHARE, DelayedLane

DELAY_S = 3


def trade(number: int, at_ms: int) -> Trade:
    return Trade("AB"[number % 2], 10_000 + number, 1, at_ms * 1_000_000, "", "", number, at_ms * 1_000_000)


def test_a_busy_second_is_shown_in_parts_and_in_its_order() -> None:
    lane = DelayedLane(DELAY_S * SECOND_NS)
    count = 20_000
    lane.put([trade(number, 1_000) for number in range(count)])
    lane.put([Quote("A", 5, 1, 6, 1, SECOND_NS, received_at=SECOND_NS)])
    now = (2 + DELAY_S) * SECOND_NS
    parts = [lane.advance(now + step) for step in range(2 * SHOW_SHARE)]
    shown = [m for part in parts for m in part]
    assert [m.trade_id for m in shown if isinstance(m, Trade)] == list(range(count))
    assert isinstance(shown[-1], Quote)
    assert max(map(len, parts)) <= max(SHOW_MIN, count // SHOW_SHARE + 2)
    assert lane.waiting == 0


def test_a_lane_that_is_late_shows_everything() -> None:
    lane = DelayedLane(DELAY_S * SECOND_NS)
    lane.put([trade(number, 1_000 + number // 10) for number in range(30_000)])
    assert len(lane.advance((60 + DELAY_S) * SECOND_NS)) == 30_000


@given(st.lists(st.tuples(st.integers(0, 2_500), st.integers(0, 900), st.booleans()), max_size=30))
def test_whatever_comes_when_is_shown_once_and_never_early(steps: list[tuple[int, int, bool]]) -> None:
    """Messages come, also late ones, and the lane is asked, in any order; each is shown once, behind its time."""
    lane = DelayedLane(DELAY_S * SECOND_NS)
    now_ms, made, shown = 10_000, 0, list[TapeMessage]()
    for passed_ms, count, late in steps:
        now_ms += passed_ms
        at_ms = now_ms - (DELAY_S * 1_000 + 500 if late else 0)
        lane.put([trade(made + number, at_ms) for number in range(count)])
        made += count
        for message in lane.advance(now_ms * 1_000_000):
            assert message.at <= now_ms * 1_000_000 - DELAY_S * SECOND_NS
            shown.append(message)
    shown += lane.advance((now_ms + 60_000) * 1_000_000)
    assert sorted(m.trade_id for m in shown if isinstance(m, Trade)) == list(range(made))
    assert lane.waiting == 0
