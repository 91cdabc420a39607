"""Tables for very many keys: a text, an id or a user costs its own bytes and some twenty more.

A dict of a hundred thousand names costs some hundred and fifty bytes a name beside the name, and its small objects
lie among those of books that come and go, so that memory which books gave back cannot be given back to the host.
Here keys lie one after the other in one piece of memory, and a slot table of four-byte numbers finds them.

Invariants: a table answers as a dict of the same calls would; iteration is in the order of first insertion; a key
that was deleted is overwritten with zeros. What was asked for lately is remembered in a bounded dict, because every
request names its account.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

RECENT_MAX = 4_096
_FIRST_SLOTS = 64
_HASH = (1 << 32) - 1

Key = TypeVar("Key", str, bytes)


_encode_into = msgspec.msgpack.Encoder().encode_into
_MAP_HEAD = struct.Struct(">BI")


def pack(buffer: bytearray, value: Any) -> None:
    """Append one value as msgpack."""
    _encode_into(value, buffer, len(buffer))


def pack_map(buffer: bytearray, count: int, items: Iterable[tuple[str, Any]]) -> None:
    """Append a map of so many items as msgpack, one item at a time."""
    buffer += _MAP_HEAD.pack(0xDF, count)
    for key, value in items:
        _encode_into(key, buffer, len(buffer))
        _encode_into(value, buffer, len(buffer))


class Numbers(MutableMapping[Key, int], Generic[Key]):
    """A number from 0 to 2**32 - 1 for each key."""

    __slots__ = ("_bytes", "_ends", "_gone", "_hashes", "_recent", "_slots", "_text", "_values")

    def __init__(self, *, text: bool) -> None:
        self._text = text
        """Whether keys are texts; else bytes."""
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        """Where the bytes of each key end; the first entry is where the first key begins."""
        self._hashes = array("I")
        self._values = array("I")
        self._gone: set[int] = set()
        """Places of keys that were deleted."""
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))
        """Number of a key, counted from 1; 0: free."""
        self._recent: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._values) - len(self._gone)

    def __iter__(self) -> Iterator[Key]:
        return (self._key(place) for place in range(len(self._values)) if place not in self._gone)

    def __getitem__(self, key: Key) -> int:
        found = self._recent.get(key)
        if found is not None:
            return found
        place = self._slots[self._slot(key)]
        if not place:
            raise KeyError(key)
        value = self._values[place - 1]
        if len(self._recent) >= RECENT_MAX:
            self._recent.clear()
        self._recent[key] = value
        return value

    def get(self, key: Key, default: Any = None) -> Any:
        """The number of a key; the quick way for one that was asked for lately."""
        found = self._recent.get(key)
        if found is not None:
            return found
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: Key, value: int) -> None:
        self._recent.pop(key, None)
        slot = self._slot(key)
        place = self._slots[slot]
        if place:
            self._values[place - 1] = value
            return
        self._bytes += self._raw(key)
        self._ends.append(len(self._bytes))
        self._hashes.append(hash(key) & _HASH)
        self._values.append(value)
        self._slots[slot] = len(self._values)
        if 3 * len(self._values) > 2 * len(self._slots):
            self._grow()

    def __delitem__(self, key: Key) -> None:
        self._recent.pop(key, None)
        place = self._slots[self._slot(key)]
        if not place:
            raise KeyError(key)
        begin, end = self._ends[place - 1], self._ends[place]
        self._bytes[begin:end] = bytes(end - begin)
        # The slot stays taken, so that keys behind it are still found.
        self._gone.add(place - 1)

    def pairs(self) -> Iterator[tuple[Key, int]]:
        """What ``items`` gives, without looking each key up."""
        whole, gone, begin = bytes(self._bytes), self._gone, 0
        for place, (end, value) in enumerate(zip(islice(self._ends, 1, None), self._values, strict=True)):
            if place not in gone:
                raw = whole[begin:end]
                yield raw.decode("utf-8", "surrogatepass") if self._text else raw, value  # type: ignore[misc]
            begin = end

    def key_of(self, value: int) -> Key | None:
        """The key of a number, in a table whose numbers rise in the order of insertion; ``None`` if there is none."""
        place = bisect_left(self._values, value)
        if place == len(self._values) or self._values[place] != value or place in self._gone:
            return None
        return self._key(place)

    def _raw(self, key: Key) -> bytes:
        return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key

    def _key(self, place: int) -> Key:
        raw = bytes(self._bytes[self._ends[place] : self._ends[place + 1]])
        return raw.decode("utf-8", "surrogatepass") if self._text else raw  # type: ignore[return-value]

    def _slot(self, key: Key) -> int:
        """The slot of a key, or the free one where it would stand."""
        slots, hashes = self._slots, self._hashes
        mask = len(slots) - 1
        hashed = hash(key) & _HASH
        slot = hashed & mask
        while place := slots[slot]:
            if hashes[place - 1] == hashed and place - 1 not in self._gone and self._key(place - 1) == key:
                return slot
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        slots = array("I", bytes(8 * len(self._slots)))
        mask = len(slots) - 1
        for place, hashed in enumerate(self._hashes, 1):
            slot = hashed & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = place
        self._slots = slots


class User(Struct, gc=False, array_like=True):
    """A user of the platform; the tier belongs to it."""

    tier: str
    account_nos: tuple[int, ...] = ()


class Users(MutableMapping[str, User]):
    """Users by id. What :meth:`get` gives is a copy: put it back to change it."""

    __slots__ = ("_first", "_more", "_places", "_tier", "_tiers")

    def __init__(self) -> None:
        self._places: Numbers[str] = Numbers(text=True)
        self._first = array("I")
        """First account of each user; 0: none."""
        self._more: dict[int, tuple[int, ...]] = {}
        """All accounts of users who have several, by place."""
        self._tier = bytearray()
        self._tiers: list[str] = []

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, user_id: str) -> User:
        place = self._places[user_id]
        first = self._first[place]
        account_nos = self._more.get(place) or ((first,) if first else ())
        return User(self._tiers[self._tier[place]], account_nos)

    def pairs(self) -> Iterator[tuple[str, User]]:
        """What ``items`` gives, without looking each id up."""
        for user_id, place in self._places.pairs():
            first = self._first[place]
            account_nos = self._more.get(place) or ((first,) if first else ())
            yield user_id, User(self._tiers[self._tier[place]], account_nos)

    def __setitem__(self, user_id: str, user: User) -> None:
        place = self._places.get(user_id)
        if place is None:
            place = self._places[user_id] = len(self._first)
            self._first.append(0)
            self._tier.append(0)
        if user.tier not in self._tiers:
            self._tiers.append(user.tier)
        self._tier[place] = self._tiers.index(user.tier)
        self._first[place] = user.account_nos[0] if user.account_nos else 0
        self._more.pop(place, None)
        if len(user.account_nos) > 1:
            self._more[place] = user.account_nos

    def __delitem__(self, user_id: str) -> None:
        self._more.pop(self._places.pop(user_id), None)
