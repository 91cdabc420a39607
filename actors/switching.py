"""Kill switches as inputs: throwing and clearing them, and what the market does when one is cleared.

Invariants: the effective state is the OR over the sources, kept by the house, so it is journaled, replayed and
back after a restart; who and why stand in the house's events. After market data was off no older quote is usable.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.rules.admission.switches import MARKET_DATA, SOURCES, SWITCHES
from actors.engine import Engine
from actors.inputs import SwitchInput


def switch(engine: Engine, change: SwitchInput, at: int) -> bool:
    """Take a change at ``at``; ``False`` when the source stands like that already (nothing happens then)."""
    if change.switch not in SWITCHES or change.source not in SOURCES:
        raise ValueError(f"no switch {change.switch!r} of source {change.source!r}")
    thrown = engine.house.switches.get(change.switch, {})
    if (change.source in thrown) == change.on:
        return False
    engine.run_timers_through(at)
    engine.input_seq += 1
    before = engine.world.switches
    event = e.SwitchSet(change.switch, change.source, change.on, change.by, change.why, engine.world.now)
    engine.house_events((event,))
    show(engine)
    if before - engine.world.switches:
        if MARKET_DATA in before - engine.world.switches:
            engine.world.board.feed_epoch += 1
        engine.look_again()
    engine.close_step(change)
    return True


def show(engine: Engine) -> None:
    """Let the rules see what the house knows; after a recovery, too."""
    engine.world.switches = frozenset(name for name, sources in engine.house.switches.items() if sources)
