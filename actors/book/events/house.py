"""Facts of the house, account 0: names, owners, tiers, keys."""

from __future__ import annotations

from actors.book.events.actions import CorporateActionAnnounced
from actors.book.events.base import Fact


class AccountRegistered(Fact, frozen=True, gc=False, array_like=True, tag="hr"):
    """House: a name and an owner for an account."""

    account_no: int
    account_id: str
    name: str
    user_id: str


class TierSet(Fact, frozen=True, gc=False, array_like=True, tag="ht"):
    """House: a user's tier from now on."""

    user_id: str
    tier: str


class ApiKeyIssued(Fact, frozen=True, gc=False, array_like=True, tag="hk"):
    """House: a key for one account. Only a salted hash of the secret is ever stored."""

    account_no: int
    key_id: str
    salt: bytes
    secret_hash: bytes
    issued_at: int = 0
    label: str = ""


class OfficialPriced(Fact, frozen=True, gc=False, array_like=True, tag="hp"):
    """House: the official value of a symbol that contracts settle by; a later one of the same replaces it."""

    symbol: str
    trade_date: int
    kind: str
    """``open`` or ``close``; ``short_restricted``: short sales are restricted on the date (rule 201)."""
    price: int
    source: str
    """``auction``, or ``print``: the last eligible print of the core session stands for it."""


class SwitchSet(Fact, frozen=True, gc=False, array_like=True, tag="hsw"):
    """House: one source has thrown or cleared a kill switch; who, and why."""

    switch: str
    source: str
    on: bool
    by: str
    why: str
    at: int


class UserErased(Fact, frozen=True, gc=False, array_like=True, tag="hze"):
    """House: everything about one user is gone. ``mark`` is a salted hash of the user's id (storage/tombstones)."""

    account_nos: tuple[int, ...]
    mark: bytes


class ApiKeyRevoked(Fact, frozen=True, gc=False, array_like=True, tag="hv"):
    """House: a key that opens nothing any more."""

    key_id: str
    reason: str = ""


class WebSessionOpened(Fact, frozen=True, gc=False, array_like=True, tag="hs"):
    """House: a session of a browser or a program. Only a salted hash of its token is ever stored."""

    session_id: str
    account_no: int
    user_id: str
    kind: str
    """``browser`` or ``program``."""
    salt: bytes
    token_hash: bytes
    opened_at: int
    expires_at: int
    label: str = ""


class WebSessionRotated(Fact, frozen=True, gc=False, array_like=True, tag="hn"):
    """House: a session goes on under a new token; the old one is worth nothing."""

    session_id: str
    salt: bytes
    token_hash: bytes
    expires_at: int


class WebSessionClosed(Fact, frozen=True, gc=False, array_like=True, tag="he"):
    """House: a session has ended."""

    session_id: str
    reason: str = ""


class WatchlistSaved(Fact, frozen=True, gc=False, array_like=True, tag="hw"):
    """House: a list of symbols, new or changed, as it is from now on."""

    account_no: int
    watchlist_id: str
    name: str
    symbols: tuple[str, ...]
    created_at: int
    updated_at: int


class WatchlistDeleted(Fact, frozen=True, gc=False, array_like=True, tag="hx"):
    """House: a list of symbols is gone."""

    account_no: int
    watchlist_id: str


HouseEvent = (
    AccountRegistered
    | TierSet
    | ApiKeyIssued
    | SwitchSet
    | UserErased
    | ApiKeyRevoked
    | WebSessionOpened
    | WebSessionRotated
    | WebSessionClosed
    | WatchlistSaved
    | WatchlistDeleted
    | OfficialPriced
    | CorporateActionAnnounced
)
