"""What an operator types about tiers, keys and sessions."""

from __future__ import annotations

from tests.gateway.running import Served, User
from tests.service.running import printed


def test_a_tier_is_set(served: Served) -> None:
    user = served.open("typed tier", tier="free", user_id="typed")
    assert printed(served.cli("user", "set-tier", "typed", "pro", "--json")) == {"user_id": "typed", "tier": "pro"}
    assert user.ask("GET", "/api/sessions/current").json()["tier"] == "pro"
    assert served.cli("user", "set-tier", "typed", "gold").returncode == 2
    assert served.cli("user", "set-tier", "nobody at all", "pro").returncode == 1


def test_keys_are_made_listed_rotated_and_revoked(own: User) -> None:
    served = own.served
    made = printed(served.cli("key", "create", own.name, "--label", "typed", "--json"))
    rotated = printed(served.cli("key", "rotate", made["api_key"], "--json"))
    listed = printed(served.cli("key", "list", own.name, "--json"))["items"]
    assert {row["api_key"] for row in listed} == {own.key, rotated["api_key"]}
    assert "typed" in served.cli("key", "list", own.name).stdout
    assert served.cli("key", "revoke", rotated["api_key"]).returncode == 0
    assert served.cli("key", "revoke", rotated["api_key"]).returncode == 1


def test_sessions_are_listed_and_revoked(own: User) -> None:
    served = own.served
    opened = own.ask("POST", "/api/sessions", json={"kind": "program", "label": "typed"}).json()
    assert opened["session_id"] in served.cli("session", "list", own.name).stdout
    assert served.cli("session", "revoke", "--session", opened["session_id"]).returncode == 0
    assert printed(served.cli("session", "list", own.name, "--json"))["items"] == []
    assert served.cli("session", "revoke").returncode == 2
