"""Sessions and keys: ``/api/sessions/*``, ``/api/keys/*``.

Invariants: a browser's token is only in its cookie, never in a body; a program's tokens and a key's secret are shown
once; whoever asks sees and ends only what belongs to the own account; revocation is in force when it is answered.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mbtd.gateway import schemas_session as s
from mbtd.gateway.endpoint import Answer, Body, Endpoint, Request, shape
from mbtd.gateway.errors import forbidden, unauthorized

COOKIE: Final = "__Host-mbtd_session"
_LIFETIME_MOST: Final = 30 * 86_400


class OpenBody(Body, frozen=True, kw_only=True):
    """A new session."""

    kind: Literal["browser", "program"] = "browser"
    label: Annotated[str, Meta(max_length=64)] = ""
    lifetime_s: Annotated[int, Meta(ge=60, le=_LIFETIME_MOST)] = 43_200


class LabelBody(Body, frozen=True, kw_only=True):
    """A new key."""

    label: Annotated[str, Meta(max_length=64)] = ""


class NoBody(Body, frozen=True, kw_only=True):
    """Nothing."""


def set_cookie(token: str, seconds: int) -> str:
    """The header that gives a browser its session, or with 0 seconds takes it."""
    return f"{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict"


def _opened(found: dict[str, Any], lifetime_s: int, status: int) -> Answer:
    headers = {}
    if found["kind"] == "browser":
        headers["Set-Cookie"] = set_cookie(found.pop("token"), lifetime_s)
    return Answer(shape(s.SessionOpened, found), status, headers)


async def open_session(request: Request) -> Any:
    """POST /api/sessions."""
    if (await request.who()).kind != "key":
        raise forbidden("an API key is needed to open a session")
    given: OpenBody = request.body
    found = await request.call("websession.create", **msgspec.structs.asdict(given))
    return _opened(found, given.lifetime_s, 201)


async def sessions(request: Request) -> Any:
    """GET /api/sessions."""
    found = (await request.call("websession.list"))["items"]
    own = (await request.who()).session_id
    for row in found:
        row["current"] = row["session_id"] == own
    return shape(list[s.WebSession], found)


async def current(request: Request) -> Any:
    """GET /api/sessions/current."""
    who = await request.who()
    return s.WhoAmI(
        account_id=who.account,
        user_id=who.user_id,
        tier=who.tier,
        lane=who.lane,
        archive=who.archive,
        principal=who.principal,
        kind=who.kind,
        expires_at=who.expires_at,
    )


async def rotate(request: Request) -> Any:
    """POST /api/sessions/rotate."""
    if not request.token:
        raise forbidden("this is no session with a token of its own")
    found = await request.ask("websession.rotate", token=request.token)
    return _opened(found, _LIFETIME_MOST, 200)


async def access(request: Request) -> Any:
    """POST /api/sessions/token."""
    if not request.token or (await request.who()).kind != "program":
        raise forbidden("only a program's session token gets an access token")
    return shape(s.AccessToken, await request.ask("websession.access", token=request.token))


async def end_session(request: Request) -> Any:
    """DELETE /api/sessions/{session_id}; ``current`` is the own one."""
    wanted = request.path["session_id"]
    own = (await request.who()).session_id
    if wanted == "current":
        if own is None:
            raise unauthorized()
        wanted = own
    await request.call("websession.revoke", session_id=wanted)
    return _ended(request, wanted == own)


async def end_sessions(request: Request) -> Any:
    """DELETE /api/sessions: all of the user."""
    await request.ask("websession.revoke", user_id=(await request.who()).user_id)
    return _ended(request, True)


def _ended(request: Request, own: bool) -> Answer:
    headers = {"Set-Cookie": set_cookie("", 0)} if own and request.by_cookie else {}
    return Answer(None, 204, headers)


async def keys(request: Request) -> Any:
    """GET /api/keys."""
    return shape(list[s.KeyInfo], (await request.call("apikey.list"))["items"])


async def create_key(request: Request) -> Any:
    """POST /api/keys."""
    return shape(s.KeyIssued, await request.call("apikey.create", label=request.body.label))


async def rotate_key(request: Request) -> Any:
    """POST /api/keys/{key_id}/rotate."""
    return shape(s.KeyIssued, await request.call("apikey.rotate", key_id=request.path["key_id"]))


async def revoke_key(request: Request) -> Any:
    """DELETE /api/keys/{key_id}."""
    await request.call("apikey.revoke", key_id=request.path["key_id"])


ENDPOINTS: Final = (
    Endpoint(method="POST", path="/api/sessions", handler=open_session, body=OpenBody, answer=s.SessionOpened,
             status=201, summary="Open a session"),
    Endpoint(method="GET", path="/api/sessions", handler=sessions, answer=list[s.WebSession], summary="Sessions"),
    Endpoint(method="DELETE", path="/api/sessions", handler=end_sessions, status=204,
             summary="End all sessions of the user"),
    Endpoint(method="GET", path="/api/sessions/current", handler=current, answer=s.WhoAmI, summary="Who is asking"),
    Endpoint(method="POST", path="/api/sessions/rotate", handler=rotate, body=NoBody, answer=s.SessionOpened,
             summary="A new token for the session"),
    Endpoint(method="POST", path="/api/sessions/token", handler=access, body=NoBody, answer=s.AccessToken,
             summary="A short access token for a program"),
    Endpoint(method="DELETE", path="/api/sessions/{session_id}", handler=end_session, status=204,
             summary="End a session"),
    Endpoint(method="GET", path="/api/keys", handler=keys, answer=list[s.KeyInfo], summary="API keys"),
    Endpoint(method="POST", path="/api/keys", handler=create_key, body=LabelBody, answer=s.KeyIssued, status=201,
             summary="A new API key"),
    Endpoint(method="POST", path="/api/keys/{key_id}/rotate", handler=rotate_key, body=NoBody, answer=s.KeyIssued,
             summary="Replace an API key"),
    Endpoint(method="DELETE", path="/api/keys/{key_id}", handler=revoke_key, status=204, summary="Revoke an API key"),
)  # fmt: skip
