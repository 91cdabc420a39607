"""Answers whose figures need a search after their command is done: they show what it led to, and come once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from trio.testing import MockClock

from actors.book.units import MONEY_PER_DOLLAR, format_money
from actors.book.view import figures
from actors.commands import Deposit
from actors.inputs import Envelope
from mbtd.service.app import App
from mbtd.service.turns import queue_turn
from tests.pump.test_parking import Rig

pytestmark = pytest.mark.trio


class Client:
    """A session, and what it was told."""

    number = 1

    def __init__(self) -> None:
        self.told: list[tuple[int, Any]] = []

    def reply(self, request_id: int, body: bytes) -> None:
        self.told.append((request_id, body.decode()))

    def refuse(self, request_id: int, error: Any) -> None:
        self.told.append((request_id, error.data.reason))


class Bank(Rig):
    """The rig, for commands in turns that have begun."""

    def order_now(self, action: Any) -> None:
        self.engine.command(1, action, self.now(), Envelope())


def ask(rig: Bank, client: Any, request_id: int, after: Any = None) -> None:
    """A deposit that is answered with the account's cash, for which a search is needed."""
    books = rig.engine.books
    core: Any = SimpleNamespace(
        engine=rig.engine, mailroom=rig.room, pump=rig.pump, monotonic=rig.now,
        outbox=SimpleNamespace(put=lambda seq, leave, unknown=None: leave()),
        residency=SimpleNamespace(bring=lambda account_no: account_no in books),
    )  # fmt: skip
    app = cast(App, SimpleNamespace(_core=core))

    def body() -> bytes:
        figures(books[1], rig.engine.world)
        return format_money(books[1].cash).encode()

    def work() -> None:
        rig.order_now(Deposit(amount="1"))
        App._answer_done(app, client, request_id, 1, body)
        if after is not None:
            after()

    queue_turn(core, client, request_id, 1, work)


async def test_an_answer_shows_its_own_command_and_none_that_came_after_it(autojump_clock: MockClock) -> None:
    rig, client = Bank(), Client()
    cash = rig.engine.books[1].cash
    for request_id in (1, 2, 3):
        ask(rig, client, request_id)
    await rig.run(60)
    assert rig.searched
    assert client.told == [(no, format_money(cash + no * MONEY_PER_DOLLAR)) for no in (1, 2, 3)]


async def test_an_account_that_is_erased_before_its_answer_is_unknown(autojump_clock: MockClock) -> None:
    rig, client = Bank(), Client()
    ask(rig, client, 1, after=lambda: rig.engine.drop_books([1]))
    await rig.run(20)
    assert client.told == [(1, "unknown_account")]
