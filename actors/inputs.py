"""Inputs: everything that a decision can see comes in as one of these, with its place in the sequence.

Invariants: an input that led to events is journaled with them; a tape message is journaled by its place on the
tape. Inputs that lead to none by themselves but that later decisions stand on (:data:`Ground`) are steps without
sections: they ride with the next group and are never the reason for one.
Random material (seeds, key hashes) is drawn outside and is part of the input. Formats are append-only.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from actors.book.events import Event
from actors.book.instruments import Instrument
from actors.book.rules.margin.outside import Found
from actors.book.state.book import Consumed, Watch
from actors.commands import AnyAction
from actors.house.commands import HouseCommand

Origin = Literal["native", "gateway", "shadow", "import", "admin", "system", "branch"]


class Envelope(Struct, frozen=True, gc=False, array_like=True):
    """Who asks, through what, and why."""

    origin: Origin = "native"
    principal: str = ""
    """The caller as the kernel or the house knows it, e.g. ``uid:1000``."""
    request_id: str = ""
    cause: str = ""
    fence: int = 0
    """A command with a lower fence than the account's is refused."""


class Issued(Struct, frozen=True, gc=False, array_like=True):
    """Random material for a new account, drawn from the host's entropy before sequencing."""

    seed: bytes
    key_id: str = ""
    """Empty: no key is issued."""
    salt: bytes = b""
    secret_hash: bytes = b""


class CommandInput(Struct, frozen=True, array_like=True, tag="c"):
    """A client's command to one account (0: the house)."""

    account_no: int
    action: AnyAction
    envelope: Envelope
    issued: Issued | None = None


class UnreadableInput(Struct, frozen=True, array_like=True, tag="u"):
    """A command whose words could not be read at all; kept for the audit trail."""

    account_no: int
    method: str
    reason: str
    text: str


class TapeInput(Struct, frozen=True, gc=False, array_like=True, tag="t"):
    """A tape message, by its place (the step's ``tape_pos``)."""


class TimerInput(Struct, frozen=True, gc=False, array_like=True, tag="w"):
    """Something fell due."""

    account_no: int
    order_no: int
    purpose: int


class ReferenceInput(Struct, frozen=True, array_like=True, tag="r"):
    """New or changed instruments."""

    instruments: tuple[Instrument, ...]


class EraseInput(Struct, frozen=True, array_like=True, tag="z"):
    """Take a user out of everything. Names nobody: numbers and a salted hash only."""

    account_nos: tuple[int, ...]
    mark: bytes


class SwitchInput(Struct, frozen=True, array_like=True, tag="k"):
    """One source throws or clears a kill switch (architecture §11)."""

    switch: str
    source: str
    on: bool
    by: str
    why: str


class HouseInput(Struct, frozen=True, array_like=True, tag="h"):
    """What the house is told about keys, sessions, tiers and lists; secrets are in it only as hashes."""

    command: HouseCommand
    envelope: Envelope


class StartInput(Struct, frozen=True, array_like=True, tag="s"):
    """An engine began from what is durable up to here: with these accounts in memory and no price on its board."""

    account_nos: tuple[int, ...]
    began: bytes
    """Opaque to the engine: settings and instruments that the host made it with."""


class ArriveInput(Struct, frozen=True, gc=False, array_like=True, tag="a"):
    """An account that slept came into memory."""

    account_no: int


class LeaveInput(Struct, frozen=True, gc=False, array_like=True, tag="l"):
    """An account left memory."""

    account_no: int


class FoundInput(Struct, frozen=True, gc=False, array_like=True, tag="f"):
    """What searches outside of turns found for the next command of an account."""

    account_no: int
    found: dict[bytes, Found]


Ground = ReferenceInput | StartInput | ArriveInput | LeaveInput | FoundInput
Input = CommandInput | UnreadableInput | TapeInput | TimerInput | SwitchInput | EraseInput | HouseInput | Ground


class Section(Struct, frozen=True, array_like=True):
    """Events of one account within a step; ``n_first`` is the account's number of the first."""

    account_no: int
    n_first: int
    events: tuple[Event, ...]


class Step(Struct, frozen=True, array_like=True):
    """One input and everything that came of it."""

    input_seq: int
    at: int
    """Engine time of the input, nanoseconds UTC."""
    tape_pos: int
    """Highest ``tape_seq`` applied before or by this input."""
    seq_first: int
    """Partition-wide number of the first event."""
    input: Input
    sections: tuple[Section, ...]

    @property
    def seq_last(self) -> int:
        """Number of the last event; ``seq_first - 1`` when there is none."""
        return self.seq_first + sum(len(section.events) for section in self.sections) - 1


class Moved(Struct, frozen=True, array_like=True):
    """State of one account that moved without an event, by value."""

    account_no: int
    watches: dict[int, Watch | None]
    """``order_no`` to its watch, or null when it has none."""
    consumed: dict[str, Consumed | None]
    """Side key to its ledger entry, or null."""


_encoder = msgspec.msgpack.Encoder()
_steps_decoder = msgspec.msgpack.Decoder(list[Step])
encode = _encoder.encode

_moved_decoder = msgspec.msgpack.Decoder(list[Moved])


def decode_moved(body: bytes) -> list[Moved]:
    """The moved state of a group."""
    return _moved_decoder.decode(body) if body else []


def decode_steps(body: bytes) -> list[Step]:
    """The steps of a group's body."""
    return _steps_decoder.decode(body)
