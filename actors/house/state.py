"""The house, account 0: names, owners, tiers, keys, web sessions and watchlists. Personal data lives here and in
no account's events.

Invariants: names are unique for ever; ``account_no`` counts up from 1 and is never reused. Of secrets only salted
hashes are here; a key or session that was revoked is not here any more.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.book import events as e
from actors.house.compact import Numbers, User, Users, pack, pack_map
from actors.market.actions import Actions
from actors.market.days import plus_days
from actors.market.world import official_key

HOUSE_NO = 0
OFFICIAL_DAYS = 60
"""Calendar days that an official value is kept: so long an account may be late with its settlement."""


class Thrown(Struct, frozen=True, array_like=True):
    """A kill switch that one source holds."""

    by: str
    why: str
    at: int
    """Nanoseconds UTC."""


class ApiKey(Struct, frozen=True, gc=False, array_like=True):
    """A live key."""

    account_no: int
    salt: bytes
    secret_hash: bytes
    issued_at: int = 0
    label: str = ""


class WebSession(Struct, frozen=True, gc=False, array_like=True):
    """A session that was not revoked; it may have expired."""

    account_no: int
    kind: str
    salt: bytes
    token_hash: bytes
    opened_at: int
    expires_at: int
    label: str = ""


class Watchlist(Struct, frozen=True, array_like=True):
    """A named list of symbols of one account."""

    name: str
    symbols: tuple[str, ...]
    created_at: int
    updated_at: int


class HouseImage(Struct, array_like=True):
    """The house as one encodable value."""

    n: int
    next_account_no: int
    names: dict[str, int]
    users: dict[str, User]
    account_ids: dict[str, int] = {}
    switches: dict[str, dict[str, Thrown]] = {}
    keys: dict[str, ApiKey] = {}
    sessions: dict[str, WebSession] = {}
    watchlists: dict[int, dict[str, Watchlist]] = {}
    officials: dict[str, int] = {}
    actions: tuple[e.CorporateActionAnnounced, ...] = ()


class House:
    """The house's state, changed only by :meth:`fold`."""

    __slots__ = (
        "actions",
        "by_id",
        "keys",
        "keys_of",
        "n",
        "names",
        "next_account_no",
        "officials",
        "owners",
        "sessions",
        "sessions_of",
        "switches",
        "users",
        "watchlists",
    )

    def __init__(self) -> None:
        self.n = 0
        self.next_account_no = 1
        self.names: Numbers[str] = Numbers(text=True)
        self.by_id: Numbers[bytes] = Numbers(text=False)
        """Raw 16 bytes of each account id."""
        self.users: Users = Users()
        self.owners: dict[int, str] = {}
        """User of each account."""
        self.keys: dict[str, ApiKey] = {}
        self.keys_of: dict[int, dict[str, None]] = {}
        self.sessions: dict[str, WebSession] = {}
        self.sessions_of: dict[int, dict[str, None]] = {}
        self.watchlists: dict[int, dict[str, Watchlist]] = {}
        self.switches: dict[str, dict[str, Thrown]] = {}
        """Kill switches and the sources that hold them."""
        self.officials: dict[str, int] = {}
        """Official values of the last :data:`OFFICIAL_DAYS` days, by :func:`official_key`; price units."""
        self.actions = Actions()
        """Corporate actions, each in its newest version."""

    def fold(self, event: Any) -> None:
        """Apply one house event."""
        if isinstance(event, e.AccountRegistered):
            self.names[event.name] = event.account_no
            self.by_id[UUID(event.account_id).bytes] = event.account_no
            self.owners[event.account_no] = event.user_id
            user = self.users.get(event.user_id) or User("free")
            self.users[event.user_id] = User(user.tier, (*user.account_nos, event.account_no))
            self.next_account_no = max(self.next_account_no, event.account_no + 1)
        elif isinstance(event, e.TierSet):
            known = self.users.get(event.user_id)
            self.users[event.user_id] = User(event.tier, known.account_nos if known is not None else ())
        elif isinstance(event, e.UserErased):
            self._erase(set(event.account_nos))
        elif isinstance(event, e.SwitchSet):
            sources = self.switches.setdefault(event.switch, {})
            if event.on:
                sources[event.source] = Thrown(event.by, event.why, event.at)
            else:
                sources.pop(event.source, None)
        else:
            self._fold_more(event)
        self.n += 1

    def _price(self, event: e.OfficialPriced) -> None:
        key = official_key(event.symbol, event.trade_date, event.kind)
        if key not in self.officials:
            oldest = str(plus_days(event.trade_date, -OFFICIAL_DAYS))
            for known in [known for known in self.officials if known < oldest]:
                del self.officials[known]
        self.officials[key] = event.price

    def _erase(self, account_nos: set[int]) -> None:
        """Forget who owned these accounts. Their numbers are never used again."""
        for name in [name for name, no in self.names.items() if no in account_nos]:
            del self.names[name]
        for raw in [raw for raw, no in self.by_id.items() if no in account_nos]:
            del self.by_id[raw]
        for user_id in [
            user_id for user_id, user in self.users.items() if account_nos.intersection(user.account_nos)
        ]:
            del self.users[user_id]
        for account_no in account_nos:
            self.owners.pop(account_no, None)
            self.watchlists.pop(account_no, None)
            for key_id in self.keys_of.pop(account_no, ()):
                del self.keys[key_id]
            for session_id in self.sessions_of.pop(account_no, ()):
                del self.sessions[session_id]

    def _fold_more(self, event: Any) -> None:
        match event:
            case e.OfficialPriced():
                self._price(event)
            case e.CorporateActionAnnounced():
                self.actions.put(event)
            case e.ApiKeyIssued():
                self._put_key(
                    event.key_id,
                    ApiKey(event.account_no, event.salt, event.secret_hash, event.issued_at, event.label),
                )
            case e.ApiKeyRevoked():
                key = self.keys.pop(event.key_id, None)
                if key is not None:
                    self.keys_of[key.account_no].pop(event.key_id, None)
            case e.WebSessionOpened():
                self._put_session(
                    event.session_id,
                    WebSession(
                        event.account_no,
                        event.kind,
                        event.salt,
                        event.token_hash,
                        event.opened_at,
                        event.expires_at,
                        event.label,
                    ),
                )
            case e.WebSessionRotated():
                session = self.sessions.get(event.session_id)
                if session is not None:
                    self.sessions[event.session_id] = replace(
                        session, salt=event.salt, token_hash=event.token_hash, expires_at=event.expires_at
                    )
            case e.WebSessionClosed():
                session = self.sessions.pop(event.session_id, None)
                if session is not None:
                    self.sessions_of[session.account_no].pop(event.session_id, None)
            case e.WatchlistSaved():
                self.watchlists.setdefault(event.account_no, {})[event.watchlist_id] = Watchlist(
                    event.name, event.symbols, event.created_at, event.updated_at
                )
            case e.WatchlistDeleted():
                self.watchlists.get(event.account_no, {}).pop(event.watchlist_id, None)

    def _put_key(self, key_id: str, key: ApiKey) -> None:
        self.keys[key_id] = key
        self.keys_of.setdefault(key.account_no, {})[key_id] = None

    def _put_session(self, session_id: str, session: WebSession) -> None:
        self.sessions[session_id] = session
        self.sessions_of.setdefault(session.account_no, {})[session_id] = None

    def find(self, id_or_name: str) -> int | None:
        """The account of this id or name."""
        account_no: int | None = self.names.get(id_or_name)
        if account_no is not None:
            return account_no
        try:
            found: int | None = self.by_id.get(UUID(id_or_name).bytes)
            return found
        except ValueError:
            return None

    def name_of(self, account_no: int) -> str | None:
        """The name of this account."""
        return self.names.key_of(account_no)

    def encode(self) -> bytes:
        """The whole house as bytes: a :class:`HouseImage`, without ever holding all of it as objects."""
        ids = ((_id_text(raw), no) for raw, no in self.by_id.pairs())
        image = bytearray((0x90 | len(HouseImage.__struct_fields__),))
        pack(image, self.n)
        pack(image, self.next_account_no)
        pack_map(image, len(self.names), self.names.pairs())
        pack_map(image, len(self.users), self.users.pairs())
        pack_map(image, len(self.by_id), ids)
        pack(image, self.switches)
        pack_map(image, len(self.keys), self.keys.items())
        pack_map(image, len(self.sessions), self.sessions.items())
        pack(image, self.watchlists)
        pack_map(image, len(self.officials), self.officials.items())
        pack(image, list(self.actions))
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
        house.switches = image.switches
        for text, account_no in image.account_ids.items():
            house.by_id[bytes.fromhex(text.replace("-", ""))] = account_no
        house.owners = {no: user_id for user_id, user in image.users.items() for no in user.account_nos}
        for key_id, key in image.keys.items():
            house._put_key(key_id, key)
        for session_id, session in image.sessions.items():
            house._put_session(session_id, session)
        house.watchlists = image.watchlists
        house.officials = image.officials
        house.actions = Actions(image.actions)
        return house


def _id_text(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
