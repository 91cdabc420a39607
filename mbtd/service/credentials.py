"""Methods for keys, web sessions, tiers and logins: ``apikey.*``, ``websession.*``, ``user.set_tier``, ``auth.*``.

Invariants: a secret is drawn here, shown in one answer and never again; what is kept is a salted hash, compared in
constant time; a revoked key or session is refused from the turn of its revocation on. A program's token is signed,
lives a quarter of an hour and names a session that can be revoked. Known limit: the time of last use is kept in
memory only.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec

from actors.house.commands import CloseSessions, IssueKey, OpenSession, RevokeKey, RotateSession, SetTier
from actors.house.state import WebSession
from mbtd.keys import hash_secret, issue_key, matches
from mbtd.rpc.errors import Refusal, make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.credential_params import (
    KeyCreate,
    KeyOf,
    SessionCreate,
    SessionList,
    SessionRevoke,
    SessionToken,
    SetTierParams,
    Verify,
)
from mbtd.service.desk import Desk, Handler
from mbtd.service.entitlement import entitlement_of
from mbtd.service.limits import PER_MINUTE, Failures, Rates, Taken
from mbtd.service.reads import NoParams, OfAccount, Params

ACCESS_S: Final = 900
NS: Final = 1_000_000_000
SAID_MAX: Final = 10_000
_encode = msgspec.json.Encoder().encode
ISSUER: Final = "mbtd"
_NOBODY_SALT: Final = b"\0" * 16
_NOBODY_HASH: Final = hash_secret(_NOBODY_SALT, "")


class Login(msgspec.Struct, frozen=True):
    """Who was let in."""

    account_no: int
    principal: str
    session_id: str = ""
    kind: str = "key"
    expires_at: int = 0


class Admitted(msgspec.Struct, frozen=True):
    """Somebody who was let in."""

    account_id: str
    rate: Taken
    head: bytes
    """``{"who":…,"rate":[allowed, limit, remaining, reset, retry_after_ms]``, for more to follow."""


class Credentials:
    """Answers the methods."""

    def __init__(self, desk: Desk, token_key: bytes, rates: Rates | None = None) -> None:
        self._desk = desk
        self._key = token_key
        self._rates = rates or Rates()
        self._failures = Failures()
        self._last_used: dict[str, int] = {}
        self._said: dict[tuple[Login, str], bytes] = {}
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "apikey.create": (KeyCreate, self._create_key),
            "apikey.list": (OfAccount, self._list_keys),
            "apikey.rotate": (KeyOf, self._rotate_key),
            "apikey.revoke": (KeyOf, self._revoke_key),
            "websession.create": (SessionCreate, self._create_session),
            "websession.list": (SessionList, self._list_sessions),
            "websession.rotate": (SessionToken, self._rotate_session),
            "websession.access": (SessionToken, self._access),
            "websession.revoke": (SessionRevoke, self._revoke_sessions),
            "user.set_tier": (SetTierParams, self._set_tier),
            "auth.verify": (Verify, self._verify),
            "auth.follow": (NoParams, lambda session, request_id, params: desk.follow(session, request_id)),
        }

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────

    def _create_key(self, session: Session, request_id: RequestId, params: KeyCreate) -> None:
        self._issue(session, request_id, self._desk.account_no(params.account), params.label, "")

    def _rotate_key(self, session: Session, request_id: RequestId, params: KeyOf) -> None:
        key = self._key_of(params)
        self._issue(session, request_id, key.account_no, key.label, params.key_id)

    def _issue(self, session: Session, request_id: RequestId, account_no: int, label: str, replaces: str) -> None:
        key = issue_key(self._desk.entropy)
        command = IssueKey(
            account_no=account_no,
            key_id=key.key_id,
            salt=key.salt,
            secret_hash=key.secret_hash,
            label=label,
            replaces=replaces,
            at=self._desk.wall_ns(),
        )
        answer = {
            "account_id": self._desk.account_id(account_no),
            "api_key": key.key_id,
            "api_secret": key.secret.reveal(),
        }
        notices = [{"event": "key.revoked", "key_id": replaces}] if replaces else []
        self._desk.tell(session, request_id, command, lambda: answer, lambda: notices)

    def _key_of(self, params: KeyOf) -> Any:
        key = self._desk.house.keys.get(params.key_id)
        if key is None or (params.account is not None and key.account_no != self._desk.account_no(params.account)):
            refuse("not_found", "There is no such key", field="key_id")
        return key

    def _revoke_key(self, session: Session, request_id: RequestId, params: KeyOf) -> None:
        self._key_of(params)
        notices = [{"event": "key.revoked", "key_id": params.key_id}]
        self._desk.tell(session, request_id, RevokeKey(key_id=params.key_id), dict, lambda: notices)

    def _list_keys(self, session: Session, request_id: RequestId, params: OfAccount) -> None:
        house = self._desk.house
        account_no = self._desk.account_no(params.account)
        items = [
            {
                "api_key": key_id,
                "label": house.keys[key_id].label,
                "issued_at": _time(house.keys[key_id].issued_at),
                "last_used_at": _time(self._last_used.get(f"key:{key_id}", 0)),
            }
            for key_id in house.keys_of.get(account_no, ())
        ]
        self._desk.reply(session, request_id, {"items": items, "next_page_token": None})

    # ── web sessions ─────────────────────────────────────────────────────────────────────────────────────

    def _draw_token(self, session_id: str) -> tuple[str, bytes, bytes]:
        secret = base64.urlsafe_b64encode(self._desk.entropy.draw(32)).decode().rstrip("=")
        salt = self._desk.entropy.draw(16)
        return f"{session_id}.{secret}", salt, hash_secret(salt, secret)

    def _create_session(self, session: Session, request_id: RequestId, params: SessionCreate) -> None:
        account_no = self._desk.account_no(params.account)
        session_id = self._desk.entropy.draw(12).hex()
        token, salt, token_hash = self._draw_token(session_id)
        now = self._desk.wall_ns()
        expires_at = now + params.lifetime_s * NS
        command = OpenSession(
            session_id=session_id,
            account_no=account_no,
            kind=params.kind,
            salt=salt,
            token_hash=token_hash,
            expires_at=expires_at,
            label=params.label,
            at=now,
        )
        answer = self._tokens(session_id, token, account_no, params.kind, expires_at)
        self._desk.tell(session, request_id, command, lambda: answer)

    def _tokens(self, session_id: str, token: str, account_no: int, kind: str, expires_at: int) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "session_id": session_id,
            "account_id": self._desk.account_id(account_no),
            "kind": kind,
            "token": token,
            "expires_at": _time(expires_at),
        }
        if kind == "program":
            answer |= self._sign(session_id, account_no, expires_at)
        return answer

    def _sign(self, session_id: str, account_no: int, expires_at: int) -> dict[str, Any]:
        now = self._desk.wall_ns() // NS
        until = min(now + ACCESS_S, expires_at // NS)
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": self._desk.account_id(account_no),
            "sid": session_id,
            "iat": now,
            "exp": until,
        }
        return {
            "access_token": jwt.encode(claims, self._key, algorithm="HS256"),
            "token_type": "Bearer",
            "expires_in": until - now,
        }

    def _rotate_session(self, session: Session, request_id: RequestId, params: SessionToken) -> None:
        session_id, found = self._by_token(params.token)
        token, salt, token_hash = self._draw_token(session_id)
        now = self._desk.wall_ns()
        expires_at = now + (found.expires_at - found.opened_at)
        command = RotateSession(
            session_id=session_id, salt=salt, token_hash=token_hash, expires_at=expires_at, at=now
        )
        answer = self._tokens(session_id, token, found.account_no, found.kind, expires_at)
        self._desk.tell(session, request_id, command, lambda: answer)

    def _access(self, session: Session, request_id: RequestId, params: SessionToken) -> None:
        session_id, found = self._by_token(params.token)
        self._desk.reply(session, request_id, self._sign(session_id, found.account_no, found.expires_at))

    def _by_token(self, token: str) -> tuple[str, WebSession]:
        session_id, _, secret = token.partition(".")
        found: WebSession | None = self._desk.house.sessions.get(session_id)
        salt, stored = (found.salt, found.token_hash) if found is not None else (_NOBODY_SALT, _NOBODY_HASH)
        good = matches(salt, stored, secret)
        if found is None or not good or found.expires_at <= self._desk.wall_ns():
            refuse("invalid_credentials")
        return session_id, found

    def _list_sessions(self, session: Session, request_id: RequestId, params: SessionList) -> None:
        house = self._desk.house
        if params.user_id is not None:
            user = house.users.get(params.user_id)
            account_nos = user.account_nos if user is not None else ()
        elif params.account is not None:
            account_nos = (self._desk.account_no(params.account),)
        else:
            refuse("invalid_params", "Give account or user_id", field="account")
        now = self._desk.wall_ns()
        items = [
            {
                "session_id": name,
                "account_id": self._desk.account_id(account_no),
                "kind": found.kind,
                "label": found.label,
                "opened_at": _time(found.opened_at),
                "expires_at": _time(found.expires_at),
                "last_used_at": _time(self._last_used.get(name, 0)),
            }
            for account_no in account_nos
            for name in house.sessions_of.get(account_no, ())
            if (found := house.sessions[name]).expires_at > now
        ]
        self._desk.reply(session, request_id, {"items": items, "next_page_token": None})

    def _revoke_sessions(self, session: Session, request_id: RequestId, params: SessionRevoke) -> None:
        house = self._desk.house
        if sum((params.session_id is not None, params.user_id is not None, params.everybody)) != 1:
            refuse("invalid_params", "Give exactly one of session_id, user_id and everybody", field="session_id")
        if params.session_id is not None:
            found = house.sessions.get(params.session_id)
            if found is None or (
                params.account is not None and found.account_no != self._desk.account_no(params.account)
            ):
                refuse("not_found", "There is no such session", field="session_id")
        command = CloseSessions(
            session_id=params.session_id or "", user_id=params.user_id or "", everybody=params.everybody
        )
        before = set(house.sessions)

        def notices() -> list[dict[str, Any]]:
            gone = before - house.sessions.keys()
            for name in gone:
                self._last_used.pop(name, None)
            return [{"event": "session.revoked", "session_id": name} for name in sorted(gone)]

        self._desk.tell(session, request_id, command, dict, notices)

    # ── tiers ────────────────────────────────────────────────────────────────────────────────────────────

    def _set_tier(self, session: Session, request_id: RequestId, params: SetTierParams) -> None:
        def told() -> list[dict[str, Any]]:
            user = self._desk.house.users[params.user_id]
            ids = [self._desk.account_id(no) for no in user.account_nos]
            lane = entitlement_of(params.tier).lane
            return [{"event": "tier.set", "account_ids": ids, "tier": params.tier, "lane": lane}]

        answer = {"user_id": params.user_id, "tier": params.tier}
        command = SetTier(user_id=params.user_id, tier=params.tier)
        self._desk.tell(session, request_id, command, lambda: answer, told)

    # ── logins ───────────────────────────────────────────────────────────────────────────────────────────

    def _verify(self, session: Session, request_id: RequestId, params: Verify) -> None:
        admitted = self.admit(params)
        rate = admitted.rate
        now = self._desk.wall_ns()
        told = msgspec.json.decode(admitted.head + b"}")["who"] | {
            "rate": {
                "allowed": rate.allowed,
                "limit": rate.limit,
                "remaining": rate.remaining,
                "reset": -(-(now + rate.reset_ns) // NS),
                "retry_after_ms": -(-rate.retry_after_ns // 1_000_000),
            }
        }
        self._desk.reply(session, request_id, told)

    def admit(self, params: Verify) -> Admitted:
        """Check a login and take the request from the account's rate. Raises the refusal."""
        desk = self._desk
        login = self._login(params)
        if login is None:
            wait_ms = self._failures.failed(params.source, desk.core.monotonic())
            raise Refusal(make_error("invalid_credentials", retry_after_ms=wait_ms))
        now = desk.wall_ns()
        self._last_used[login.session_id or login.principal] = now
        account_no = login.account_no
        tier = desk.tier_of(account_no)
        rate = self._rates.take(account_no, PER_MINUTE[tier], desk.core.monotonic(), params.cost)
        head = b'{"who":%b,"rate":[%b,%d,%d,%d,%d]' % (
            self._who(login, tier),
            b"true" if rate.allowed else b"false",
            rate.limit,
            rate.remaining,
            -(-(now + rate.reset_ns) // NS),
            -(-rate.retry_after_ns // 1_000_000),
        )
        return Admitted(desk.account_id(account_no), rate, head)

    def _who(self, login: Login, tier: str) -> bytes:
        """Who that is, as JSON; made once for a login of a tier."""
        found = self._said.get((login, tier))
        if found is not None:
            return found
        desk = self._desk
        allowed = entitlement_of(tier)
        found = _encode(
            {
                "account_id": desk.account_id(login.account_no),
                "user_id": desk.house.owners.get(login.account_no, ""),
                "tier": tier,
                "lane": allowed.lane,
                "archive": allowed.archive,
                "principal": login.principal,
                "session_id": login.session_id or None,
                "kind": login.kind,
                "expires_at": _time(login.expires_at),
            }
        )
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        self._said[login, tier] = found
        return found

    def _login(self, params: Verify) -> Login | None:
        if params.key_id is not None:
            key = self._desk.house.keys.get(params.key_id)
            salt, stored = (key.salt, key.secret_hash) if key is not None else (_NOBODY_SALT, _NOBODY_HASH)
            good = matches(salt, stored, params.secret or "")
            return Login(key.account_no, f"key:{params.key_id}") if key is not None and good else None
        if params.token is not None:
            try:
                session_id, found = self._by_token(params.token)
            except Refusal:
                return None
            return Login(found.account_no, f"session:{session_id}", session_id, found.kind, found.expires_at)
        if params.access_token is not None:
            return self._read_access(params.access_token)
        return None

    def _read_access(self, token: str) -> Login | None:
        """A signed token of ours, of the one algorithm that we sign with, that names a session which lives."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=ISSUER,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "sid", "aud", "iss"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        session_id = claims["sid"]
        found = self._desk.house.sessions.get(session_id) if isinstance(session_id, str) else None
        if found is None or found.expires_at <= self._desk.wall_ns():
            return None
        if not hmac.compare_digest(self._desk.account_id(found.account_no), str(claims["sub"])):
            return None
        return Login(found.account_no, f"session:{session_id}", session_id, found.kind, found.expires_at)


def load_token_key(directory: Path) -> bytes:
    """The key that access tokens are signed with; drawn at the first start and kept for this user alone."""
    path = directory / "token.key"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = os.urandom(32)
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
        temporary.replace(path)
    return sha256(b"mbtd access tokens" + raw).digest()


def _time(at: int) -> str | None:
    from actors.book.units import format_time

    return format_time(at) if at else None
