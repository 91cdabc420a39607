"""What became durable, read from the copies of a state directory after each death, and plain checks of it.

The books here are folded from the very first event on, without any snapshot; recovery must come to the same.
:mod:`tests.oracle.ledger` reads the same steps without that fold.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from actors.book import events as e
from actors.engine import Engine
from actors.house.state import HOUSE_NO
from actors.inputs import Step, decode_steps
from mbtd.journal import catch_up, open_front
from mbtd.records.lines import Lines
from mbtd.recovery import recover
from mbtd.residency import book_of
from storage.sqlite import SqliteStore


def bare(book: Any) -> Any:
    """A book without what moves with the tape and no event."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(book), type=type(book))
    copy.watch, copy.consumed = {}, {}
    return copy


class Journal:
    """Grows with every :meth:`read`."""

    def __init__(self) -> None:
        self.engine = Engine(bytes(32))
        self.steps: list[Step] = []
        self.seq = 0
        self.input_seq = 0
        self.trimmed = 0
        self.orders: dict[tuple[str, str], list[str]] = {}
        """Account name and client order id to the ids of every order accepted under it."""
        self.lines: dict[tuple[str, int], dict[str, Any]] = {}
        """Account name and the account's event number to the line that says it."""
        self._lines = Lines()

    @property
    def names(self) -> set[str]:
        return set(self.engine.house.names)

    def read(self, directory: Path) -> None:
        """Take what was added since the last time. The store only ever grew."""
        store = SqliteStore.open(directory, take_epoch=False, ballast_bytes=0)
        front = open_front(directory, take_epoch=False)
        with contextlib.closing(store), contextlib.closing(front):
            assert front.head().seq >= store.head().seq, "the writer has what was never committed"
            catch_up(front, store)
            head = store.head()
            assert head.seq == front.head().seq
            assert head.seq >= self.seq, "durable events are gone"
            assert head.input_seq >= self.input_seq
            self.trimmed = store.trimmed_seq()
            assert self.trimmed <= self.seq, "the journal was trimmed beyond what this check has read"
            for group in store.groups(self.seq):
                for step in decode_steps(group.body) if group.body else ():
                    assert step.seq_first == self.seq + 1, "event numbers have a gap"
                    self._take(step)
                    self.seq = step.seq_last
            assert self.seq == head.seq
            self.input_seq = head.input_seq

    def _take(self, step: Step) -> None:
        self.steps.append(step)
        self.engine.restore_step(step)
        seq = step.seq_first
        for section in step.sections:
            for offset, event in enumerate(section.events):
                line = self._lines.line(section, event, seq + offset, step.at)
                name = self._lines.names.get(section.account_no, "")
                if line is not None and section.account_no != HOUSE_NO:
                    self.lines[name, section.n_first + offset] = line
                if isinstance(event, e.OrderAccepted):
                    self.orders.setdefault((name, event.client_order_id), []).append(event.order_id)
            seq += len(section.events)

    def check_recovery(self, directory: Path) -> None:
        """Recovery from snapshots and the journal's tail gives the books that the first events on give."""
        engine = Engine(bytes(32))
        recovered, _ = recover(engine, directory)
        assert recovered.head.seq == self.seq
        store = SqliteStore.open(directory, take_epoch=False, ballast_bytes=0)
        with contextlib.closing(store):
            for account_no, mine in self.engine.books.items():
                theirs = engine.books.get(account_no)
                if theirs is None:
                    row = store.snapshot(account_no)
                    assert row is not None, f"account {account_no} is lost"
                    theirs = book_of(row)
                assert bare(theirs) == bare(mine), f"account {account_no} came back otherwise"
        assert engine.house.encode() == self.engine.house.encode()
