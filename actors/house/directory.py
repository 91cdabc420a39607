"""What the house decides about keys, web sessions, tiers and watchlists.

Invariants: a pure function of the house's state, the command and the time; a refusal changes nothing. Bounds:
keys and sessions of one account, lists of one account and symbols of one list are limited, so the house cannot
be grown without end by one of its guests.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.rules.reasons import Refusal, refuse
from actors.house.actions import announce, withdraw
from actors.house.commands import (
    AnnounceAction,
    CloseSessions,
    DeleteWatchlist,
    HouseCommand,
    IssueKey,
    OpenSession,
    RevokeKey,
    RotateSession,
    SaveWatchlist,
    SetTier,
    WithdrawAction,
)
from actors.house.state import House
from actors.market.world import World

KEYS_MAX = 20
"""Live keys of one account."""
SESSIONS_MAX = 100
"""Live sessions of one account; the oldest makes room."""
WATCHLISTS_MAX = 100
WATCHLIST_SYMBOLS_MAX = 1_000
WATCHLIST_NAME_MAX = 64
LABEL_MAX = 64

Decided = tuple[Any, ...] | Refusal


def decide(house: House, command: HouseCommand, now: int, world: World | None = None) -> Decided:
    """The events of a command, none when nothing changes, or the refusal."""
    match command:
        case IssueKey():
            return _issue_key(house, command)
        case RevokeKey():
            return (e.ApiKeyRevoked(command.key_id, "revoked"),) if command.key_id in house.keys else _missing()
        case OpenSession():
            return _open_session(house, command)
        case RotateSession():
            session = house.sessions.get(command.session_id)
            if session is None or session.expires_at <= command.at:
                return _missing()
            return (e.WebSessionRotated(command.session_id, command.salt, command.token_hash, command.expires_at),)
        case CloseSessions():
            return _close_sessions(house, command)
        case SetTier():
            return _set_tier(house, command)
        case SaveWatchlist():
            return _save_watchlist(house, command, now)
        case DeleteWatchlist():
            if command.watchlist_id not in house.watchlists.get(command.account_no, {}):
                return refuse("watchlist_not_found")
            return (e.WatchlistDeleted(command.account_no, command.watchlist_id),)
        case AnnounceAction():
            return announce(house, command, now, world)
        case WithdrawAction():
            return withdraw(house, command, now)


def _missing() -> Refusal:
    return refuse("credential_not_found")


def _issue_key(house: House, command: IssueKey) -> Decided:
    if command.key_id in house.keys:
        return refuse("credential_taken")
    if command.replaces:
        old = house.keys.get(command.replaces)
        if old is None or old.account_no != command.account_no:
            return _missing()
    elif len(house.keys_of.get(command.account_no, ())) >= KEYS_MAX:
        return refuse("too_many_keys", limit=str(KEYS_MAX))
    issued = e.ApiKeyIssued(
        command.account_no, command.key_id, command.salt, command.secret_hash, command.at, command.label[:LABEL_MAX]
    )
    return (e.ApiKeyRevoked(command.replaces, "rotated"), issued) if command.replaces else (issued,)


def _open_session(house: House, command: OpenSession) -> Decided:
    if command.session_id in house.sessions:
        return refuse("credential_taken")
    mine = [(house.sessions[name].opened_at, name) for name in house.sessions_of.get(command.account_no, ())]
    gone = [name for _, name in mine if house.sessions[name].expires_at <= command.at]
    if len(mine) - len(gone) >= SESSIONS_MAX:
        gone.append(min(entry for entry in mine if entry[1] not in gone)[1])
    opened = e.WebSessionOpened(
        command.session_id,
        command.account_no,
        house.owners.get(command.account_no, ""),
        command.kind,
        command.salt,
        command.token_hash,
        command.at,
        command.expires_at,
        command.label[:LABEL_MAX],
    )
    return (*(e.WebSessionClosed(name, "expired") for name in gone), opened)


def _close_sessions(house: House, command: CloseSessions) -> Decided:
    if command.everybody:
        names = list(house.sessions)
    elif command.user_id:
        accounts = house.users[command.user_id].account_nos if command.user_id in house.users else ()
        names = [name for no in accounts for name in house.sessions_of.get(no, ())]
    elif command.session_id in house.sessions:
        names = [command.session_id]
    else:
        return _missing()
    return tuple(e.WebSessionClosed(name, command.reason or "revoked") for name in names)


def _set_tier(house: House, command: SetTier) -> Decided:
    user = house.users.get(command.user_id)
    if user is None:
        return refuse("user_not_found", "user_id")
    return () if user.tier == command.tier else (e.TierSet(command.user_id, command.tier),)


def _save_watchlist(house: House, command: SaveWatchlist, now: int) -> Decided:
    lists = house.watchlists.get(command.account_no, {})
    name = command.name
    if not 0 < len(name) <= WATCHLIST_NAME_MAX or not name.isprintable():
        return refuse("invalid_watchlist_name", "name")
    if any(other.name == name for key, other in lists.items() if key != command.watchlist_id):
        return refuse("watchlist_name_taken", "name")
    if len(command.symbols) > WATCHLIST_SYMBOLS_MAX:
        return refuse("watchlist_too_long", "symbols", limit=str(WATCHLIST_SYMBOLS_MAX))
    old = lists.get(command.watchlist_id)
    if old is None and len(lists) >= WATCHLISTS_MAX:
        return refuse("too_many_watchlists", limit=str(WATCHLISTS_MAX))
    symbols = tuple(dict.fromkeys(command.symbols))
    if old is not None and (old.name, old.symbols) == (name, symbols):
        return ()
    created = old.created_at if old is not None else now
    return (e.WatchlistSaved(command.account_no, command.watchlist_id, name, symbols, created, now),)
