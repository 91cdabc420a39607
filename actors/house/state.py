"""The house, account 0: names, owners and tiers. Personal data lives here and in no account's events.

Invariants: names are unique for ever; ``account_no`` counts up from 1 and is never reused. Keys are kept only
in the house's rows on disk, since no decision of the engine needs them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from actors.book import events as e
from actors.house.compact import Numbers, User, Users, pack, pack_map
from actors.market.days import plus_days
from actors.market.world import official_key

HOUSE_NO = 0
OFFICIAL_DAYS = 60
"""Calendar days that an official value is kept: so long an account may be late with its settlement."""


class HouseImage(Struct, array_like=True):
    """The house as one encodable value."""

    n: int
    next_account_no: int
    names: dict[str, int]
    users: dict[str, User]
    account_ids: dict[str, int] = {}
    officials: dict[str, int] = {}


class House:
    """The house's state, changed only by :meth:`fold`."""

    __slots__ = ("by_id", "n", "names", "next_account_no", "officials", "users")

    def __init__(self) -> None:
        self.n = 0
        self.next_account_no = 1
        self.names: Numbers[str] = Numbers(text=True)
        self.by_id: MutableMapping[bytes, int] = Numbers(text=False)
        """Raw 16 bytes of each account id."""
        self.users: MutableMapping[str, User] = Users()
        self.officials: dict[str, int] = {}
        """Official values of the last :data:`OFFICIAL_DAYS` days, by :func:`official_key`; price units."""

    def fold(self, event: Any) -> None:
        """Apply one house event."""
        if isinstance(event, e.AccountRegistered):
            self.names[event.name] = event.account_no
            self.by_id[UUID(event.account_id).bytes] = event.account_no
            user = self.users.get(event.user_id) or User("free")
            self.users[event.user_id] = User(user.tier, (*user.account_nos, event.account_no))
            self.next_account_no = max(self.next_account_no, event.account_no + 1)
        elif isinstance(event, e.TierSet):
            known = self.users.get(event.user_id)
            self.users[event.user_id] = User(event.tier, known.account_nos if known is not None else ())
        elif isinstance(event, e.OfficialPriced):
            self._price(event)
        self.n += 1

    def _price(self, event: e.OfficialPriced) -> None:
        key = official_key(event.symbol, event.trade_date, event.kind)
        if key not in self.officials:
            oldest = str(plus_days(event.trade_date, -OFFICIAL_DAYS))
            for known in [known for known in self.officials if known < oldest]:
                del self.officials[known]
        self.officials[key] = event.price

    def find(self, id_or_name: str) -> int | None:
        """The account of this id or name."""
        account_no = self.names.get(id_or_name)
        if account_no is not None:
            return account_no
        try:
            return self.by_id.get(UUID(id_or_name).bytes)
        except ValueError:
            return None

    def name_of(self, account_no: int) -> str | None:
        """The name of this account."""
        return self.names.key_of(account_no)

    def encode(self) -> bytes:
        """The whole house as bytes: a :class:`HouseImage`, without ever holding all of it as objects."""
        ids = ((str(UUID(bytes=raw)), no) for raw, no in self.by_id.items())
        image = bytearray((0x90 | len(HouseImage.__struct_fields__),))
        pack(image, self.n)
        pack(image, self.next_account_no)
        pack_map(image, len(self.names), self.names.items())
        pack_map(image, len(self.users), self.users.items())
        pack_map(image, len(self.by_id), ids)
        pack_map(image, len(self.officials), self.officials.items())
        return bytes(image)

    @staticmethod
    def decode(body: bytes) -> House:
        """Read :meth:`encode`'s bytes."""
        image = msgspec.msgpack.decode(body, type=HouseImage)
        house = House()
        house.n = image.n
        house.next_account_no = image.next_account_no
        house.names.update(image.names)
        house.users.update(image.users)
        for text, account_no in image.account_ids.items():
            house.by_id[UUID(text).bytes] = account_no
        house.officials = image.officials
        return house
