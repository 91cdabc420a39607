"""A user leaves for good: the books go, the house forgets the names, and only numbers and a salted hash are said.

Invariants: the input and its event name nobody; account numbers are never used again; erasing what is not there
changes nothing but the record that it was asked for.
"""

from __future__ import annotations

from actors.book import events as e
from actors.engine import Engine
from actors.inputs import EraseInput


def erase_user(engine: Engine, erase: EraseInput, at: int) -> None:
    """Drop the accounts at ``at``, whatever they hold."""
    engine.run_timers_through(at)
    engine.input_seq += 1
    engine.house_events((e.UserErased(erase.account_nos, erase.mark),))
    engine.drop_books(erase.account_nos)
    engine.close_step(erase)
