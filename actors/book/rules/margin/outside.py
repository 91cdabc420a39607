"""Searches for pairings that are too long for an account's turn, and what they found (architecture §3.5).

A decision that needs the exact requirement of a large group raises :class:`SearchNeeded`. Whoever drives the engine
has the search done elsewhere, and the command begins anew with what was found. Invariants: what was found is part of
the sequenced input, so a decision depends on nothing that happened outside; a pairing is priced at the prices of the
decision that it serves and is a legal upper bound at all of them, exact at those it was searched for; it fits only
the very positions that it was searched for, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from actors.book.rules.margin.legs import Group
from actors.book.rules.margin.problem import Pairing
from actors.book.rules.margin.profiles import MarginProfile

SEARCHES_MAX: Final = 32
"""After so many searches for one command it is decided in its turn, which makes those that it still needs."""
_encode = msgspec.msgpack.Encoder().encode


class Found(Struct, frozen=True, array_like=True):
    """The pairings of a group: for maintenance, and for Regulation T when there is stock. Append-only."""

    by_payoff: bool
    """Whether the payoff rule gave the figure; otherwise a pairing did."""
    main: Pairing
    initial: Pairing | None


Pairings = Mapping[bytes, Found]
"""What was found, by :attr:`Search.name`."""


class Search(Struct, frozen=True):
    """One group of positions at its prices, to be paired under one profile."""

    profile: MarginProfile
    group: Group
    as_of_date: int

    @property
    def name(self) -> bytes:
        """Names profile, positions and date, not the prices."""
        return blake2b(_encode((self.profile, self.group.key(), self.as_of_date)), digest_size=16).digest()


class SearchNeeded(Exception):
    """A turn cannot go on without this search: no error, nothing of it stands and it begins anew."""

    def __init__(self, search: Search) -> None:
        super().__init__(search.group.underlying.symbol)
        self.search = search


__all__ = ["SEARCHES_MAX", "Found", "Pairings", "Search", "SearchNeeded"]
