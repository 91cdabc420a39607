"""The backward walk against a forward replay of the same events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mbtd.records.equity import Change, Holding, equity_back

SYMBOLS = ("A", "B", "C")
MULTIPLIERS = {"A": 1, "B": 1, "C": 100}
SHARE = 1_000_000_000

moves = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.integers(-(10**9), 10**9),
        st.sampled_from(("", *SYMBOLS)),
        st.integers(-5, 5),
    ),
    max_size=30,
)


def _price(symbol: str, at: int) -> int:
    return 10_000 * (1 + SYMBOLS.index(symbol)) + at * 7


@given(moves, st.lists(st.integers(0, 60), min_size=1, max_size=10))
def test_equals_a_forward_replay(given_moves: list[tuple[int, int, str, int]], instants: list[int]) -> None:
    ordered = sorted(given_moves)
    changes = [Change(at, cash, symbol, qty * SHARE if symbol else 0) for at, cash, symbol, qty in ordered]
    instants = sorted(instants)
    expected = []
    for instant in instants:
        cash, held = 0, dict.fromkeys(SYMBOLS, 0)
        for change in changes:
            if change.at <= instant:
                cash += change.cash
                if change.symbol:
                    held[change.symbol] += change.qty // SHARE
        marked = sum(held[s] * _price(s, instant) * 100 * MULTIPLIERS[s] for s in SYMBOLS)
        expected.append(cash + marked)
    now_cash = sum(change.cash for change in changes)
    now_held = {s: sum(c.qty for c in changes if c.symbol == s) for s in SYMBOLS}
    holdings = {s: Holding(qty, MULTIPLIERS[s]) for s, qty in now_held.items() if qty}
    newest_first = list(reversed(changes))
    got = equity_back(instants, now_cash, holdings, newest_first, _price, lambda s: MULTIPLIERS[s])
    assert got == expected


def test_a_holding_without_a_price_counts_at_cost() -> None:
    got = equity_back([5], 0, {"A": Holding(2 * SHARE, 1, 30_000_000)}, [], lambda s, at: 0, lambda s: 1)
    assert got == [30_000_000]
