"""Parameters of the methods for keys, web sessions, tiers and logins."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from actors.house.commands import Tier
from mbtd.service.reads import OfAccount, Params

SESSION_S: Final = 12 * 3600
Word = Annotated[str, Meta(max_length=256)]
Label = Annotated[str, Meta(max_length=64)]


class KeyCreate(OfAccount, frozen=True, kw_only=True):
    """A new key."""

    label: Label = ""


class KeyOf(Params, frozen=True, kw_only=True):
    """One key."""

    key_id: Word
    account: str | None = None


class SessionCreate(OfAccount, frozen=True, kw_only=True):
    """A new web session."""

    kind: Literal["browser", "program"] = "browser"
    label: Label = ""
    lifetime_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = SESSION_S


class SessionList(Params, frozen=True, kw_only=True):
    """Sessions of an account or of a user."""

    account: str | None = None
    user_id: Word | None = None


class SessionRevoke(Params, frozen=True, kw_only=True):
    """One session, all of a user, or all."""

    session_id: Word | None = None
    user_id: Word | None = None
    everybody: bool = False
    account: str | None = None
    """With a session: refused unless it belongs to this account."""


class SessionToken(Params, frozen=True, kw_only=True):
    """A session by its token."""

    token: Word


class Verify(Params, frozen=True, kw_only=True):
    """Who is that: a key with its secret, a session's token, or a program's access token."""

    key_id: Word | None = None
    secret: Word | None = None
    token: Word | None = None
    access_token: Annotated[str, Meta(max_length=2_048)] | None = None
    cost: Annotated[int, Meta(ge=0, le=1_000)] = 0
    """Requests to take from the account's rate."""
    source: Word = ""


class SetTierParams(Params, frozen=True, kw_only=True):
    """A user's tier."""

    user_id: Word
    tier: Tier
