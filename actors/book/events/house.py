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


class OfficialPriced(Fact, frozen=True, gc=False, array_like=True, tag="hp"):
    """House: the official value of a symbol that contracts settle by; a later one of the same replaces it."""

    symbol: str
    trade_date: int
    kind: str
    """``open`` or ``close``."""
    price: int
    source: str
    """``auction``, or ``print``: the last eligible print of the core session stands for it."""


HouseEvent = AccountRegistered | TierSet | ApiKeyIssued | OfficialPriced
