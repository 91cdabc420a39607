"""What the house can be told about keys, web sessions, tiers and watchlists, in the form that is journaled.

Invariants: random material is drawn outside and arrives here only as salted hashes; formats are append-only.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Tier = Literal["free", "pro", "pro_plus"]


class House(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Base of all."""

    at: int = 0
    """Wall time in nanoseconds; what keys and sessions go by, whatever time the tape keeps."""


class IssueKey(House, tag="key.issue", frozen=True, kw_only=True):
    """A key for one account; ``replaces`` is revoked in the same step."""

    account_no: int
    key_id: str
    salt: bytes
    secret_hash: bytes
    label: str = ""
    replaces: str = ""


class RevokeKey(House, tag="key.revoke", frozen=True, kw_only=True):
    """A key opens nothing any more."""

    key_id: str


class OpenSession(House, tag="session.open", frozen=True, kw_only=True):
    """A session of a browser or a program for one account."""

    session_id: str
    account_no: int
    kind: Literal["browser", "program"]
    salt: bytes
    token_hash: bytes
    expires_at: int
    label: str = ""


class RotateSession(House, tag="session.rotate", frozen=True, kw_only=True):
    """A session goes on under a new token."""

    session_id: str
    salt: bytes
    token_hash: bytes
    expires_at: int


class CloseSessions(House, tag="session.close", frozen=True, kw_only=True):
    """End one session, all of a user's, or all there are."""

    session_id: str = ""
    user_id: str = ""
    everybody: bool = False
    reason: str = ""


class SetTier(House, tag="user.set_tier", frozen=True, kw_only=True):
    """A user's tier from now on."""

    user_id: str
    tier: Tier


class SaveWatchlist(House, tag="watchlist.save", frozen=True, kw_only=True):
    """A list as it is from now on; a new one when its id is not known yet."""

    account_no: int
    watchlist_id: str
    name: str
    symbols: tuple[str, ...]


class DeleteWatchlist(House, tag="watchlist.delete", frozen=True, kw_only=True):
    """A list goes."""

    account_no: int
    watchlist_id: str


HouseCommand = (
    IssueKey | RevokeKey | OpenSession | RotateSession | CloseSessions | SetTier | SaveWatchlist | DeleteWatchlist
)
