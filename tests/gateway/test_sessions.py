"""Keys, web sessions and tokens over HTTP and over the socket (issue: sessions)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import requests

from mbtd.rpc.client import RpcRefusal
from tests.gateway.running import Served, User, stranger

COOKIE = "__Host-mbtd_session"
SAME = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """What a browser keeps: the cookie."""

    def __init__(self, user: User) -> None:
        self.user = user
        answer = user.ask("POST", "/api/sessions", json={"kind": "browser", "label": "laptop"})
        assert answer.status_code == 201
        self.opened = answer.json()
        self.header = answer.headers["set-cookie"]
        self.token = self.header.partition("=")[2].partition(";")[0]
        self.http = stranger()

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
        headers = {"Cookie": f"{COOKIE}={token or self.token}", **more.pop("headers", {})}
        return self.http.request(method, self.user.served.url + path, headers=headers, timeout=10, **more)


def program(user: User) -> dict[str, Any]:
    answer = user.ask("POST", "/api/sessions", json={"kind": "program", "label": "bot"})
    assert answer.status_code == 201
    opened: dict[str, Any] = answer.json()
    return opened


def bearer(user: User, token: str, method: str = "GET", path: str = "/v2/account") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return stranger().request(method, user.served.url + path, headers=headers, timeout=10)


def test_a_browsers_cookie_is_out_of_reach_of_scripts_and_other_sites(own: User) -> None:
    browser = Browser(own)
    words = {word.strip() for word in browser.header.split(";")[1:]}
    assert browser.header.startswith(COOKIE + "=")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= words
    assert not any(word.startswith("Domain") for word in words)
    assert browser.token not in json.dumps(browser.opened)
    assert browser.ask("GET", "/v2/account").json()["id"] == own.account_id


def test_a_program_gets_a_short_token_that_the_sdk_takes(own: User) -> None:
    from alpaca.trading.client import TradingClient

    opened = program(own)
    assert opened["expires_in"] == 900
    client = TradingClient(oauth_token=opened["access_token"], paper=True, url_override=own.served.url)
    assert str(client.get_account().id) == own.account_id
    assert bearer(own, opened["token"]).status_code == 200
    again = bearer(own, opened["token"], "POST", "/api/sessions/token").json()
    assert bearer(own, again["access_token"]).status_code == 200


def test_sessions_are_listed_with_their_last_use(own: User) -> None:
    browser, _ = Browser(own), program(own)
    browser.ask("GET", "/v2/account")
    listed = {row["label"]: row for row in browser.ask("GET", "/api/sessions").json()}
    assert set(listed) == {"laptop", "bot"}
    assert listed["laptop"]["current"]
    assert listed["laptop"]["last_used_at"]
    assert listed["bot"]["last_used_at"] is None
    assert "token" not in json.dumps(listed)


def test_one_session_is_ended_at_once(own: User) -> None:
    browser, opened = Browser(own), program(own)
    assert own.ask("DELETE", f"/api/sessions/{opened['session_id']}").status_code == 204
    assert bearer(own, opened["access_token"]).status_code == 401
    assert bearer(own, opened["token"]).status_code == 401
    assert browser.ask("GET", "/v2/account").status_code == 200
    answer = browser.ask("DELETE", "/api/sessions/current", headers=SAME)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert browser.ask("GET", "/v2/account").status_code == 401


def test_all_sessions_of_a_user_are_ended_at_once(served: Served) -> None:
    first = served.open("two-a", user_id="two")
    second = served.open("two-b", user_id="two")
    browsers = [Browser(first), Browser(second)]
    bystander = Browser(served.open("bystander"))
    assert first.ask("DELETE", "/api/sessions").status_code == 204
    assert [browser.ask("GET", "/v2/account").status_code for browser in browsers] == [401, 401]
    assert bystander.ask("GET", "/v2/account").status_code == 200


def test_everybodys_sessions_are_ended_over_the_socket(served: Served) -> None:
    browsers = [Browser(served.open(f"everybody {number}")) for number in range(3)]
    served.call("websession.revoke", everybody=True)
    assert [browser.ask("GET", "/v2/account").status_code for browser in browsers] == [401] * 3


def test_a_rotated_token_is_new_and_the_old_one_is_worth_nothing(own: User) -> None:
    browser = Browser(own)
    answer = browser.ask("POST", "/api/sessions/rotate", headers=SAME)
    assert answer.status_code == 200
    new = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert new != browser.token
    assert new not in answer.text
    assert browser.ask("GET", "/v2/account", token=new).status_code == 200
    assert browser.ask("GET", "/v2/account").status_code == 401


def test_a_session_expires(own: User) -> None:
    opened = own.served.call("websession.create", account=own.name, kind="program", lifetime_s=60)
    until = time.time() + opened["expires_in"]
    assert until <= time.time() + 60
    with pytest.raises(RpcRefusal) as refused:
        own.served.call("websession.create", account=own.name, lifetime_s=1)
    assert refused.value.reason == "invalid_params"


def test_a_session_of_the_backend_over_the_socket(own: User) -> None:
    opened = own.served.call("websession.create", account=own.name, kind="browser")
    answer = stranger().get(
        own.served.url + "/v2/account", headers={"Cookie": f"{COOKIE}={opened['token']}"}, timeout=10
    )
    assert answer.json()["id"] == own.account_id


def test_a_session_opens_no_session(own: User) -> None:
    answer = Browser(own).ask("POST", "/api/sessions", json={}, headers=SAME)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (SAME, 200),
        ({"Origin": "{url}"}, 200),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({**SAME, "Origin": "https://evil.example"}, 403),
        ({**SAME, "Host": "evil.example"}, 403),
        ({**SAME, "Content-Type": "text/plain"}, 415),
        ({**SAME, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
    ids=str,
)
def test_a_cookie_changes_something_only_for_a_page_of_ours(user: User, headers: dict[str, str], status: int) -> None:
    browser = Browser(user)
    given = {name: value.format(url=user.served.url) for name, value in headers.items()}
    body = b'{"symbol":"AAPL","qty":"1","side":"buy","type":"limit","time_in_force":"day","limit_price":"1.5"}'
    given.setdefault("Content-Type", "application/json")
    assert browser.ask("POST", "/v2/orders", data=body, headers=given).status_code == status


def test_a_read_from_another_site_is_refused_too(user: User) -> None:
    browser = Browser(user)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        assert browser.ask("GET", "/v2/account", headers=headers).status_code == 403


# ── what is not a token ──────────────────────────────────────────────────────────────────────────────────


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(token: str) -> dict[str, str]:
    """Tokens that somebody makes out of a good one."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))

    def signed(header: dict[str, Any], payload: dict[str, Any], key: bytes) -> str:
        text = f"{part(header)}.{part(payload)}"
        return f"{text}.{part(hmac.new(key, text.encode(), hashlib.sha256).digest())}"

    return {
        "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{part({'alg': 'None'})}.{body}.{signature}",
        "other alg": f"{part({'alg': 'HS512'})}.{body}.{signature}",
        "asymmetric alg": f"{part({'alg': 'RS256'})}.{body}.{signature}",
        "empty key": signed({"alg": "HS256"}, claims, b""),
        "guessed key": signed({"alg": "HS256"}, claims, b"secret"),
        "own key id": signed({"alg": "HS256", "kid": "../../dev/null"}, claims, b""),
        "own key url": signed({"alg": "HS256", "jku": "http://evil.example/"}, claims, b"x"),
        "longer life": f"{head}.{part({**claims, 'exp': claims['exp'] + 9999})}.{signature}",
        "other account": f"{head}.{part({**claims, 'sub': 'other'})}.{signature}",
        "no signature": f"{head}.{body}.",
        "cut signature": token[:-2],
        "bytes at the end": token + "AA",
        "not base64": "!!!.???.***",
        "deep": f"{part(b'[' * 500)}.{body}.{signature}",
    }


FORGERIES = list(forged(".".join((part({"alg": "HS256"}), part({"exp": 1}), part(b"x" * 32)))))


@pytest.fixture(scope="module")
def good(user: User) -> str:
    return str(program(user)["access_token"])


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(user: User, good: str, name: str) -> None:
    assert bearer(user, good).status_code == 200
    answer = bearer(user, forged(good)[name])
    assert answer.status_code == 401
    assert answer.json() == {"code": 40110000, "message": "unauthorized."}


def test_a_token_names_a_session_that_can_be_revoked(own: User) -> None:
    opened = program(own)
    own.served.call("websession.revoke", session_id=opened["session_id"])
    assert bearer(own, opened["access_token"]).status_code == 401


def test_a_secret_of_another_key_does_not_fit(served: Served) -> None:
    one, two = served.open("mixed one"), served.open("mixed two")
    headers = {"APCA-API-KEY-ID": one.key, "APCA-API-SECRET-KEY": two.secret}
    assert stranger().get(served.url + "/v2/account", headers=headers, timeout=10).status_code == 401


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_keys_life(own: User) -> None:
    made = own.ask("POST", "/api/keys", json={"label": "second"}).json()
    listed = {row["api_key"]: row for row in own.ask("GET", "/api/keys").json()}
    assert set(listed) == {own.key, made["api_key"]}
    assert made["api_secret"] not in json.dumps(listed)
    headers = {"APCA-API-KEY-ID": made["api_key"], "APCA-API-SECRET-KEY": made["api_secret"]}
    url = own.served.url + "/v2/account"
    assert requests.get(url, headers=headers, timeout=10).status_code == 200
    rotated = own.ask("POST", f"/api/keys/{made['api_key']}/rotate").json()
    assert stranger().get(url, headers=headers, timeout=10).status_code == 401
    headers = {"APCA-API-KEY-ID": rotated["api_key"], "APCA-API-SECRET-KEY": rotated["api_secret"]}
    assert requests.get(url, headers=headers, timeout=10).status_code == 200
    assert own.ask("DELETE", f"/api/keys/{rotated['api_key']}").status_code == 204
    assert stranger().get(url, headers=headers, timeout=10).status_code == 401


def test_another_accounts_things_look_like_nothing(served: Served) -> None:
    one, two = served.open("mine"), served.open("yours")
    order = two.ask(
        "POST",
        "/v2/orders",
        json={"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": 1},
    ).json()
    watchlist = two.ask("POST", "/v2/watchlists", json={"name": "theirs", "symbols": ["SPY"]}).json()
    session = program(two)
    nobody = "00000000-0000-0000-0000-000000000007"
    for method, path, other in (
        ("GET", "/v2/orders/{}", order["id"]),
        ("DELETE", "/v2/orders/{}", order["id"]),
        ("PATCH", "/v2/orders/{}", order["id"]),
        ("GET", "/v2/orders:by_client_order_id?client_order_id={}", order["client_order_id"]),
        ("GET", "/v2/watchlists/{}", watchlist["id"]),
        ("DELETE", "/v2/watchlists/{}", watchlist["id"]),
        ("DELETE", "/api/sessions/{}", session["session_id"]),
        ("DELETE", "/api/keys/{}", two.key),
        ("POST", "/api/keys/{}/rotate", two.key),
    ):
        theirs = one.ask(method, path.format(other))
        none = one.ask(method, path.format(nobody))
        assert theirs.status_code == none.status_code == 404, path
        assert theirs.text.replace(other, nobody) == none.text
    assert two.ask("GET", f"/v2/orders/{order['id']}").status_code == 200
    assert two.ask("GET", "/v2/account").status_code == 200


def test_only_the_operator_and_services_manage_credentials(served: Served) -> None:
    """A trader's connection is another process of another uid; the refusal is checked where it is decided."""
    from mbtd.rpc.errors import Refusal
    from mbtd.rpc.session import Peer, Session
    from mbtd.service.desk import Desk

    desk = object.__new__(Desk)
    for role in ("operator", "service"):
        desk.check_service(Session(Peer(1000, 1000, 1, role)))  # type: ignore[arg-type]
    for role in ("trader", "viewer"):
        with pytest.raises(Refusal) as refused:
            desk.check_service(Session(Peer(1000, 1000, 1, role)))  # type: ignore[arg-type]
        assert refused.value.error.data.reason == "not_permitted"
