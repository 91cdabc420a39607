"""The house, account 0: names, owners and tiers. Personal data lives here and in no account's events.

Invariants: names are unique for ever; ``account_no`` counts up from 1 and is never reused. Keys are kept only
in the house's rows on disk, since no decision of the engine needs them.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from actors.book import events as e

HOUSE_NO = 0


class User(Struct, gc=False, array_like=True):
    """A user of the platform; the tier belongs to it."""

    tier: str
    account_nos: tuple[int, ...] = ()


class Thrown(Struct, frozen=True, array_like=True):
    """A kill switch that one source holds."""

    by: str
    why: str
    at: int
    """Nanoseconds UTC."""


class HouseImage(Struct, array_like=True):
    """The house as one encodable value."""

    n: int
    next_account_no: int
    names: dict[str, int]
    users: dict[str, User]
    account_ids: dict[str, int] = {}
    switches: dict[str, dict[str, Thrown]] = {}


class House:
    """The house's state, changed only by :meth:`fold`."""

    __slots__ = ("by_id", "n", "names", "next_account_no", "switches", "users")

    def __init__(self) -> None:
        self.n = 0
        self.next_account_no = 1
        self.names: dict[str, int] = {}
        self.by_id: dict[bytes, int] = {}
        """Raw 16 bytes of each account id."""
        self.users: dict[str, User] = {}
        self.switches: dict[str, dict[str, Thrown]] = {}
        """Kill switches and the sources that hold them."""

    def fold(self, event: Any) -> None:
        """Apply one house event."""
        if isinstance(event, e.AccountRegistered):
            self.names[event.name] = event.account_no
            self.by_id[UUID(event.account_id).bytes] = event.account_no
            user = self.users.get(event.user_id)
            if user is None:
                self.users[event.user_id] = User("free", (event.account_no,))
            else:
                user.account_nos = (*user.account_nos, event.account_no)
            self.next_account_no = max(self.next_account_no, event.account_no + 1)
        elif isinstance(event, e.TierSet):
            user = self.users.get(event.user_id)
            if user is None:
                self.users[event.user_id] = User(event.tier)
            else:
                user.tier = event.tier
        elif isinstance(event, e.UserErased):
            self._erase(set(event.account_nos))
        elif isinstance(event, e.SwitchSet):
            sources = self.switches.setdefault(event.switch, {})
            if event.on:
                sources[event.source] = Thrown(event.by, event.why, event.at)
            else:
                sources.pop(event.source, None)
        self.n += 1

    def _erase(self, account_nos: set[int]) -> None:
        """Forget who owned these accounts. Their numbers are never used again."""
        self.names = {name: no for name, no in self.names.items() if no not in account_nos}
        self.by_id = {raw: no for raw, no in self.by_id.items() if no not in account_nos}
        self.users = {
            name: user for name, user in self.users.items() if not account_nos.intersection(user.account_nos)
        }

    def find(self, id_or_name: str) -> int | None:
        """The account of this id or name."""
        account_no = self.names.get(id_or_name)
        if account_no is not None:
            return account_no
        try:
            return self.by_id.get(UUID(id_or_name).bytes)
        except ValueError:
            return None

    def encode(self) -> bytes:
        """The whole house as bytes."""
        ids = {str(UUID(bytes=raw)): no for raw, no in self.by_id.items()}
        return msgspec.msgpack.encode(
            HouseImage(self.n, self.next_account_no, self.names, self.users, ids, self.switches)
        )

    @staticmethod
    def decode(body: bytes) -> House:
        """Read :meth:`encode`'s bytes."""
        image = msgspec.msgpack.decode(body, type=HouseImage)
        house = House()
        house.n = image.n
        house.next_account_no = image.next_account_no
        house.names = image.names
        house.users = image.users
        house.switches = image.switches
        house.by_id = {UUID(text).bytes: no for text, no in image.account_ids.items()}
        return house
