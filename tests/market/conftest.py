"""What the market tests share: a sink that keeps what it was given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors.book.instruments import Instrument
from actors.market.messages import TapeMessage


class Sink:
    """A tape that only grows; ``held`` is what a slow reader has not taken."""

    def __init__(self) -> None:
        self.messages: list[TapeMessage] = []
        self.instruments: list[Instrument] = []
        self.held = 0
        self.pushes = 0

    def push(self, messages: Sequence[TapeMessage]) -> None:
        self.messages += messages
        self.pushes += 1

    def push_reference(self, instruments: Sequence[Instrument]) -> None:
        self.instruments += instruments

    def backlog(self) -> int:
        return self.held


@pytest.fixture
def sink() -> Sink:
    return Sink()
