"""Facts of the house, account 0: names, owners, tiers, keys."""

from __future__ import annotations

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


HouseEvent = AccountRegistered | TierSet | ApiKeyIssued | SwitchSet | UserErased
