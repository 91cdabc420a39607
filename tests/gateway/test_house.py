"""Keys, sessions, tiers and lists in the house: decided, folded, encoded, and there again after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.engine import Engine
from actors.house import commands as c
from actors.house.directory import KEYS_MAX, SESSIONS_MAX, WATCHLISTS_MAX, decide
from actors.house.state import House
from actors.inputs import Envelope, HouseInput, decode_steps, encode
from mbtd.rpc.client import RpcRefusal
from tests.gateway.running import serving
from tests.service.running import Daemon

HASH = {"salt": b"s" * 16, "secret_hash": b"h" * 32}
TOKEN = {"salt": b"s" * 16, "token_hash": b"h" * 32}
ID = "00000000-0000-0000-0000-00000000000{}"


def house(accounts: int = 3) -> House:
    """Accounts 1 and 2 belong to one user, the rest to themselves."""
    made = House()
    for number in range(1, accounts + 1):
        owner = "both" if number < 3 else f"u{number}"
        made.fold(e.AccountRegistered(number, ID.format(number), f"n{number}", owner))
    return made


def run(state: House, command: Any, now: int = 1_000) -> Refusal | None:
    outcome = decide(state, command, now)
    if isinstance(outcome, Refusal):
        return outcome
    for event in outcome:
        state.fold(event)
    return None


def issue(account_no: int, key_id: str, **more: Any) -> c.IssueKey:
    return c.IssueKey(account_no=account_no, key_id=key_id, **HASH, **more)


def open_session(account_no: int, name: str, expires_at: int = 10_000, at: int = 0) -> c.OpenSession:
    return c.OpenSession(
        session_id=name, account_no=account_no, kind="browser", expires_at=expires_at, at=at, **TOKEN
    )


COMMANDS = st.one_of(
    st.builds(issue, st.integers(1, 3), st.sampled_from("abcdef")),
    st.builds(lambda key, old: issue(1, key, replaces=old), st.sampled_from("abcdef"), st.sampled_from("abcdef")),
    st.builds(lambda key: c.RevokeKey(key_id=key), st.sampled_from("abcdef")),
    st.builds(open_session, st.integers(1, 3), st.sampled_from("stuvw"), st.integers(1, 5_000), st.integers(0, 5_000)),
    st.builds(
        lambda name, at: c.RotateSession(session_id=name, expires_at=9_000, at=at, **TOKEN),
        st.sampled_from("stuvw"), st.integers(0, 9_000),
    ),
    st.builds(lambda name: c.CloseSessions(session_id=name), st.sampled_from("stuvw")),
    st.builds(lambda user: c.CloseSessions(user_id=user), st.sampled_from(["both", "u3", "nobody"])),
    st.just(c.CloseSessions(everybody=True)),
    st.builds(
        lambda user, tier: c.SetTier(user_id=user, tier=tier),
        st.sampled_from(["both", "u3", "nobody"]), st.sampled_from(["free", "pro", "pro_plus"]),
    ),
    st.builds(
        lambda no, key, name: c.SaveWatchlist(account_no=no, watchlist_id=key, name=name, symbols=("AAPL", "AAPL", "SPY")),
        st.integers(1, 3), st.sampled_from("xyz"), st.sampled_from(["one", "two", ""]),
    ),
    st.builds(
        lambda no, key: c.DeleteWatchlist(account_no=no, watchlist_id=key), st.integers(1, 3), st.sampled_from("xyz")
    ),
)  # fmt: skip


@given(st.lists(COMMANDS, max_size=40))
def test_the_image_holds_everything_and_the_indexes_agree(commands: list[Any]) -> None:
    state = house()
    for command in commands:
        before = state.encode()
        if run(state, command) is not None:
            assert state.encode() == before
        for key_id, key in state.keys.items():
            assert key_id in state.keys_of[key.account_no]
        assert sum(map(len, state.keys_of.values())) == len(state.keys)
        assert sum(map(len, state.sessions_of.values())) == len(state.sessions)
        for lists in state.watchlists.values():
            assert len({found.name for found in lists.values()}) == len(lists)
    again = House.decode(state.encode())
    assert again.encode() == state.encode()
    assert again.keys_of == {no: keys for no, keys in state.keys_of.items() if keys}
    assert again.sessions_of == {no: names for no, names in state.sessions_of.items() if names}
    assert again.owners == state.owners


def test_an_account_has_so_many_keys_and_a_rotation_needs_no_room() -> None:
    state = house()
    for number in range(KEYS_MAX):
        assert run(state, issue(1, f"k{number}")) is None
    refused = run(state, issue(1, "more"))
    assert refused is not None
    assert refused.reason == "too_many_keys"
    assert run(state, issue(1, "new", replaces="k0")) is None
    assert "k0" not in state.keys
    assert run(state, issue(2, "other")) is None


def test_a_key_is_rotated_only_for_its_own_account() -> None:
    state = house()
    run(state, issue(1, "a"))
    refused = run(state, issue(2, "b", replaces="a"))
    assert refused is not None
    assert refused.reason == "credential_not_found"


def test_the_oldest_session_makes_room() -> None:
    state = house()
    for number in range(SESSIONS_MAX):
        run(state, open_session(1, f"s{number}", at=number + 1))
    run(state, open_session(1, "last", at=500))
    assert "s0" not in state.sessions
    assert len(state.sessions) == SESSIONS_MAX
    run(state, open_session(1, "after all expired", expires_at=99_999, at=50_000))
    assert set(state.sessions) == {"after all expired"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (c.SaveWatchlist(account_no=1, watchlist_id="y", name="taken", symbols=()), "watchlist_name_taken"),
        (c.SaveWatchlist(account_no=1, watchlist_id="y", name="", symbols=()), "invalid_watchlist_name"),
        (c.SaveWatchlist(account_no=1, watchlist_id="y", name="x" * 65, symbols=()), "invalid_watchlist_name"),
        (
            c.SaveWatchlist(account_no=1, watchlist_id="y", name="long", symbols=tuple(map(str, range(1_001)))),
            "watchlist_too_long",
        ),
        (c.DeleteWatchlist(account_no=2, watchlist_id="x"), "watchlist_not_found"),
        (c.SetTier(user_id="nobody", tier="pro"), "user_not_found"),
        (c.RevokeKey(key_id="nobody"), "credential_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(command: Any, reason: str) -> None:
    state = house()
    run(state, c.SaveWatchlist(account_no=1, watchlist_id="x", name="taken", symbols=()))
    refused = run(state, command)
    assert refused is not None
    assert refused.reason == reason


def test_so_many_watchlists() -> None:
    state = house()
    for number in range(WATCHLISTS_MAX):
        run(state, c.SaveWatchlist(account_no=1, watchlist_id=str(number), name=str(number), symbols=()))
    refused = run(state, c.SaveWatchlist(account_no=1, watchlist_id="more", name="more", symbols=()))
    assert refused is not None
    assert refused.reason == "too_many_watchlists"


def test_a_command_is_journaled_and_folds_to_the_same_house() -> None:
    engine = Engine(b"seed")
    engine.house = house()
    other = Engine(b"seed")
    other.house = house()
    for command in (
        issue(1, "a"),
        open_session(2, "s"),
        c.SetTier(user_id="both", tier="pro"),
        c.RevokeKey(key_id="?"),
    ):
        engine.house_command(command, 5_000, Envelope("gateway"))
    steps = decode_steps(encode(engine.take_steps()))
    assert all(isinstance(step.input, HouseInput) for step in steps)
    for step in steps:
        other.restore_step(step)
    assert other.house.encode() == engine.house.encode()


def test_it_is_all_there_after_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(state) as served:
        user = served.open("kept", tier="free", user_id="kept-user")
        gone = served.open("gone")
        session = user.ask("POST", "/api/sessions", json={"kind": "program"}).json()
        user.ask("POST", "/v2/watchlists", json={"name": "kept", "symbols": ["SPY"]})
        served.call("apikey.revoke", key_id=gone.key)
        served.call("user.set_tier", user_id="kept-user", tier="pro")
        served.kill()
    for stop in (False, True):
        daemon = Daemon(state, "--seed", "11").start()
        try:
            with daemon.client() as client:
                found = client.call("auth.verify", key_id=user.key, secret=user.secret)
                assert (found["tier"], found["lane"]) == ("pro", "real_time")
                assert client.call("auth.verify", token=session["token"])["kind"] == "program"
                assert client.call("auth.verify", access_token=session["access_token"])["kind"] == "program"
                assert client.call("watchlist.list", account="kept")["items"][0]["name"] == "kept"
                with pytest.raises(RpcRefusal) as refused:
                    client.call("auth.verify", key_id=gone.key, secret=gone.secret)
                assert refused.value.reason == "invalid_credentials"
            if stop:
                assert daemon.stop() == 0
        finally:
            daemon.end()
