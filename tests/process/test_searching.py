"""Searches in a process of their own: whatever happens there, the daemon goes on and the search is made elsewhere."""

from __future__ import annotations

import os
import signal
from functools import partial
from random import Random
from typing import Any

import anyio
import anyio.to_process
import pytest

from actors.book.rules.margin.outside import Search
from actors.book.rules.margin.profiles import HOUSE
from actors.book.rules.margin.requirement import search
from mbtd import searching
from mbtd.searching import search_outside
from tests.margin.test_outside import large


def wanted() -> Search:
    """A group of fourteen legs."""
    book = large(Random(3))
    return Search(HOUSE, book.groups()[0], book.as_of_date)


def ask(one: Any) -> Any:
    return anyio.run(search_outside, one)


def test_it_finds_what_a_search_here_finds() -> None:
    assert ask(wanted()) == search(wanted())


def test_what_is_raised_there_is_raised_nowhere_else() -> None:
    """Not a broken process: a search that failed, or code on disk that is not this program's any more."""
    assert ask("no search at all") is None


def test_a_process_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_search", signal.sigwait)
    monkeypatch.setattr(searching, "LONGEST_S", 2.0)
    assert ask({signal.SIGUSR1}) is None


def test_whoever_is_cancelled_does_not_wait_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_search", signal.sigwait)

    async def cancelled() -> bool:
        with anyio.fail_after(20), anyio.move_on_after(2) as scope:
            await search_outside({signal.SIGUSR1})  # type: ignore[arg-type]
        return scope.cancelled_caught

    assert anyio.run(cancelled)


def test_the_interrupt_of_a_terminal_is_not_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted() -> list[Any]:
        first = await search_outside(wanted())
        process_id = await anyio.to_process.run_sync(os.getpid)
        await anyio.to_process.run_sync(partial(os.kill, process_id, signal.SIGINT))
        return [first, await search_outside(wanted()), await anyio.to_process.run_sync(os.getpid) == process_id]

    found = search(wanted())
    assert anyio.run(interrupted) == [found, found, True]
