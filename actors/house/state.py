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

HOUSE_NO = 0


class User(Struct, gc=False, array_like=True):
    """A user of the platform; the tier belongs to it."""

    tier: str
    account_nos: tuple[int, ...] = ()


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
    keys: dict[str, ApiKey] = {}
    sessions: dict[str, WebSession] = {}
    watchlists: dict[int, dict[str, Watchlist]] = {}


class House:
    """The house's state, changed only by :meth:`fold`."""

    __slots__ = (
        "by_id",
        "keys",
        "keys_of",
        "n",
        "names",
        "next_account_no",
        "owners",
        "sessions",
        "sessions_of",
        "users",
        "watchlists",
    )

    def __init__(self) -> None:
        self.n = 0
        self.next_account_no = 1
        self.names: dict[str, int] = {}
        self.by_id: dict[bytes, int] = {}
        """Raw 16 bytes of each account id."""
        self.users: dict[str, User] = {}
        self.owners: dict[int, str] = {}
        """User of each account."""
        self.keys: dict[str, ApiKey] = {}
        self.keys_of: dict[int, dict[str, None]] = {}
        self.sessions: dict[str, WebSession] = {}
        self.sessions_of: dict[int, dict[str, None]] = {}
        self.watchlists: dict[int, dict[str, Watchlist]] = {}

    def fold(self, event: Any) -> None:
        """Apply one house event."""
        if isinstance(event, e.AccountRegistered):
            self.names[event.name] = event.account_no
            self.by_id[UUID(event.account_id).bytes] = event.account_no
            self.owners[event.account_no] = event.user_id
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
        else:
            self._fold_more(event)
        self.n += 1

    def _fold_more(self, event: Any) -> None:
        match event:
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
            HouseImage(
                self.n,
                self.next_account_no,
                self.names,
                self.users,
                ids,
                self.keys,
                self.sessions,
                self.watchlists,
            )
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
        house.by_id = {UUID(text).bytes: no for text, no in image.account_ids.items()}
        house.owners = {no: user_id for user_id, user in image.users.items() for no in user.account_nos}
        for key_id, key in image.keys.items():
            house._put_key(key_id, key)
        for session_id, session in image.sessions.items():
            house._put_session(session_id, session)
        house.watchlists = image.watchlists
        return house
