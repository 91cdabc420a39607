"""What sessions and keys answer."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from mbtd.gateway.schemas import Shape


class WebSession(Shape, kw_only=True):
    """A session as its owner sees it."""

    session_id: str
    account_id: str
    kind: str
    label: str = ""
    opened_at: str | None = None
    expires_at: str | None = None
    last_used_at: str | None = None
    current: bool = False


class SessionOpened(Shape, kw_only=True):
    """A new session. A browser's token is in its cookie only; a program's is here, this once."""

    session_id: str
    account_id: str
    kind: str
    expires_at: str
    token: str | UnsetType = UNSET
    access_token: str | UnsetType = UNSET
    token_type: str | UnsetType = UNSET
    expires_in: int | UnsetType = UNSET


class AccessToken(Shape, kw_only=True):
    """A short token for a program."""

    access_token: str
    token_type: str
    expires_in: int


class WhoAmI(Shape, kw_only=True):
    """Who is asking, and what it may see."""

    account_id: str
    user_id: str
    tier: str
    lane: str
    archive: bool
    principal: str
    kind: str
    expires_at: str | None = None


class KeyIssued(Shape, kw_only=True):
    """A new API key; the secret is shown this once."""

    api_key: str
    api_secret: str
    account_id: str


class KeyInfo(Shape, kw_only=True):
    """A key as its owner sees it."""

    api_key: str
    label: str = ""
    issued_at: str | None = None
    last_used_at: str | None = None
