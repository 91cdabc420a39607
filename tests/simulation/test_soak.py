"""The soak in short; the long one is a command of its own."""

from __future__ import annotations

from tests.simulation.soak import Soak


def test_a_short_soak_breaks_nothing_and_is_the_same_twice() -> None:
    runs = []
    for _ in range(2):
        soak = Soak(20261124, 24)
        soak.bench.go("2026-08-03 09:31")
        soak.run(2_500)
        soak.turn_the_day()
        soak.look()
        soak.check_everybody()
        runs.append((soak.counts, soak.digest.hexdigest()))
    assert runs[0] == runs[1]
    assert runs[0][0]["fills"] > 50
