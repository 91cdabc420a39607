"""A few simulated days in every run; that a planted fault is found and shrinks; that a seed says everything."""

from __future__ import annotations

from random import SystemRandom
from typing import Any

import pytest

from tests.simulation import days as d
from tests.simulation.shrink import failure_of, shrink


@pytest.mark.parametrize("seed", [0, 1, 2, SystemRandom().randrange(1 << 32)])
def test_a_day_of_chaos_ends_well(seed: int) -> None:
    d.run(seed, d.drawn_days(seed, 1))


def test_two_days_of_one_seed_are_the_same_bytes() -> None:
    first, second = (d.run(5, d.drawn_days(5, 2, ops=200)).digest() for _ in range(2))
    assert first == second
    assert d.run(6, d.drawn_days(6, 2, ops=200)).digest() != first


def test_an_acknowledgement_before_the_disk_is_found_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = d.World._send

    def hasty(self: d.World, account_no: int, action: Any) -> None:
        honest(self, account_no, action)
        for _, no, client_id, order_no in self.waiting:
            self.acknowledged[no, client_id] = order_no

    monkeypatch.setattr(d.World, "_send", hasty)
    for seed in range(20):
        drawn = d.drawn_days(seed, 1, ops=120)
        if failure_of(seed, drawn, frozenset()):
            why, kept = shrink(seed, drawn, seconds=10.0)
            assert "acknowledged" in why
            assert len(kept) < 20
            return
    raise AssertionError("twenty days of hasty acknowledgements went unnoticed")
