"""Makes a failing simulation small: leaves out operations as long as it still fails in the same way."""

from __future__ import annotations

import time

from tests.simulation.days import Day, run

Places = list[tuple[int, int]]


def failure_of(seed: int, days: list[Day], left_out: frozenset[tuple[int, int]]) -> str:
    """How it fails: the error's type and the beginning of its text; empty when it does not."""
    try:
        run(seed, days, left_out)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:60]
    return ""


def shrink(seed: int, days: list[Day], seconds: float = 60.0) -> tuple[str, Places]:
    """The failure and the operations that are enough for it (day, place)."""
    wanted = failure_of(seed, days, frozenset())
    everything = [(number, place) for number, day in enumerate(days) for place in range(len(day.ops))]
    kept = list(everything)
    size = max(1, len(kept) // 2)
    deadline = time.monotonic() + seconds
    while wanted and size and time.monotonic() < deadline:
        smaller = False
        for start in range(0, len(kept), size):
            trial = kept[:start] + kept[start + size :]
            if time.monotonic() > deadline:
                break
            if failure_of(seed, days, frozenset(everything) - frozenset(trial)) == wanted:
                kept, smaller = trial, True
                break
        if not smaller:
            size //= 2
    return wanted, kept
