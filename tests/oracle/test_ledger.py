"""The books against a double-entry ledger and against plain books, both made from the events alone."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given

from actors.book.units import divide_half_even
from actors.inputs import Step, encode
from tests.oracle.ledger import Ledger, check_ledger, replay_events, same_books
from tests.oracle.rig import feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, scripts


@profile(200)
@given(scripts(20, 100, contingent=True))
def test_the_ledger_equals_the_books_after_every_input(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    ledgers = {number: Ledger() for number in engine.books}
    for item in script:
        for step in engine.take_steps():
            for section in step.sections:
                if section.account_no:
                    for event in section.events:
                        ledgers[section.account_no].take(event)
        for number, ledger in ledgers.items():
            check_ledger(ledger, engine.books[number])
        feed(engine, item)


@profile(200)
@given(scripts(20, 100, contingent=True))
def test_plain_books_from_the_journal_equal_the_engines(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    for item in script:
        feed(engine, item)
    journaled = msgspec.msgpack.decode(encode(engine.steps), type=list[Step])
    same_books(replay_events(journaled), engine.books)


def test_python_rounds_fractions_as_the_units_do() -> None:
    from fractions import Fraction

    assert [round(Fraction(n, 2)) for n in range(-5, 6)] == [divide_half_even(n, 2) for n in range(-5, 6)]
