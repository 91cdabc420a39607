"""The protocol machine alone: handshake, requests, refusals, and anything a server might say."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from mbtd.market.feeds.alpaca_errors import DOCUMENTED, stream_error
from mbtd.market.feeds.alpaca_protocol import (
    Failed,
    Noticed,
    Ready,
    Refused,
    StreamProtocol,
    SubscriptionChanged,
)
from tests.standin.alpaca_server import MESSAGES

SECRET = "planted/Secret"
STOP, RETRY, LATER = {402, 408, 409, 412}, {401, 404, 407, 500}, {406}


def machine(kind: Literal["stocks", "options"] = "stocks", *symbols: str) -> StreamProtocol:
    made = StreamProtocol(kind, AlpacaCredentials("KEY", SECRET), StreamDecoder(kind))
    made.open()
    made.want(symbols)
    return made


def say(protocol: StreamProtocol, *messages: dict[str, Any]) -> list[Any]:
    assert protocol.receive(msgspec.msgpack.encode(messages), 7) == []
    return protocol.events()


def sent(protocol: StreamProtocol) -> list[dict[str, Any]]:
    return [msgspec.msgpack.decode(frame) for frame in protocol.frames()]


def connected() -> dict[str, Any]:
    return {"T": "success", "msg": "connected"}


def authenticated() -> dict[str, Any]:
    return {"T": "success", "msg": "authenticated"}


def error(code: int) -> dict[str, Any]:
    return {"T": "error", "code": code, "msg": MESSAGES.get(code, "?") + SECRET}


def echo(*symbols: str) -> dict[str, Any]:
    return {"T": "subscription", "quotes": list(symbols), "trades": list(symbols)}


def ready(kind: Literal["stocks", "options"] = "stocks", *symbols: str) -> StreamProtocol:
    protocol = machine(kind, *symbols)
    say(protocol, connected())
    protocol.frames()
    assert say(protocol, authenticated()) == [Ready()]
    return protocol


def test_the_handshake_step_by_step() -> None:
    protocol = machine("stocks", "B", "A")
    assert (protocol.phase, sent(protocol), protocol.waiting) == ("greeting", [], True)
    assert say(protocol, connected()) == []
    assert sent(protocol) == [{"action": "auth", "key": "KEY", "secret": SECRET}]
    assert say(protocol, authenticated()) == [Ready()]
    channels = ("trades", "quotes", "statuses", "lulds")
    assert sent(protocol) == [{"action": "subscribe", **{name: ["B", "A"] for name in channels}}]
    assert (sent(protocol), protocol.waiting, protocol.settled) == ([], True, False)
    assert say(protocol, echo("A", "B")) == [SubscriptionChanged(("A", "B"), ())]
    assert (sent(protocol), protocol.waiting, protocol.settled) == ([], False, True)


def test_a_server_that_knows_us_by_headers_needs_no_message() -> None:
    protocol = machine()
    assert say(protocol, authenticated()) == [Ready()]
    assert sent(protocol) == []


def test_changes_while_a_request_is_under_way_are_sent_as_one() -> None:
    protocol = ready("options", "A")
    assert sent(protocol) == [{"action": "subscribe", "trades": ["A"], "quotes": ["A"]}]
    protocol.want(["B"])
    protocol.want(["C"])
    protocol.forget(["A", "C"])
    protocol.want(["D"])
    assert sent(protocol) == []
    say(protocol, echo("A"))
    assert sent(protocol) == [{"action": "unsubscribe", "trades": ["A"], "quotes": ["A"]}]
    assert say(protocol, echo()) == [SubscriptionChanged((), ("A",))]
    assert sent(protocol) == [{"action": "subscribe", "trades": ["B", "D"], "quotes": ["B", "D"]}]


def test_a_new_connection_starts_from_nothing_with_the_same_interest() -> None:
    protocol = ready("options", "A")
    sent(protocol)
    say(protocol, echo("A"))
    protocol.open()
    assert (protocol.phase, protocol.confirmed, list(protocol.wanted)) == ("greeting", set(), ["A"])
    say(protocol, connected())
    say(protocol, authenticated())
    assert [m["action"] for m in sent(protocol)] == ["auth", "subscribe"]


def test_what_the_server_does_not_echo_is_refused_by_name_and_not_asked_again() -> None:
    protocol = ready("options", "A", "B")
    sent(protocol)
    changed, refused = sorted(say(protocol, echo("A")), key=lambda e: type(e).__name__, reverse=True)
    assert changed == SubscriptionChanged(("A",), ())
    assert isinstance(refused, Refused)
    assert (refused.symbols, refused.error.name) == (("B",), "not_confirmed")
    assert (sent(protocol), protocol.settled) == ([], True)


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_every_documented_code_has_a_meaning_and_scrubs_the_servers_text(code: int) -> None:
    protocol = ready("stocks", "A")
    sent(protocol)
    found = [e.error for e in say(protocol, error(code)) if not isinstance(e, Ready)]
    if code == 405:
        found = list(protocol.refused.values())
    assert [e.code for e in found] == [code]
    assert found[0].meaning
    assert SECRET not in repr(found[0])
    assert found[0].retryable is (code not in STOP)
    assert code in DOCUMENTED


@pytest.mark.parametrize("code", sorted({*MESSAGES, 411, 777}))
@pytest.mark.parametrize("phase", ["greeting", "authenticating", "ready"])
def test_what_each_code_does_in_each_phase(code: int, phase: str) -> None:
    if phase == "ready":
        protocol = ready("stocks", "A")
    else:
        protocol = machine("stocks", "A")
        if phase == "authenticating":
            say(protocol, connected())
    events = say(protocol, error(code))
    if code == 403:
        assert isinstance(events[-1], Noticed)
        assert (protocol.phase == "ready") is (phase != "greeting")
    elif code == 410 or (phase == "ready" and code not in STOP | RETRY | LATER):
        assert [type(e) for e in events] == [Noticed]
        assert protocol.phase == phase
    else:
        assert [type(e) for e in events] == [Failed]
        assert protocol.phase == "failed"
        expected = "stop" if code in STOP else "retry_later" if code in LATER else None
        if expected:
            assert events[0].error.action == expected
        assert say(protocol, connected(), authenticated(), echo("A")) == []


@pytest.mark.parametrize("code", [400, 413, 411, 777])
def test_a_refused_request_names_its_symbols_and_the_rest_goes_on(code: int) -> None:
    protocol = ready("options", "A", "*")
    sent(protocol)
    assert say(protocol, error(code)) == [
        Refused(("A", "*"), stream_error(code, MESSAGES.get(code, "?") + "[hidden]", subscribed=True))
    ]
    protocol.want(["B"])
    assert [m["quotes"] for m in sent(protocol)] == [["B"]]


def test_a_refused_unsubscribe_is_not_sent_for_ever() -> None:
    protocol = ready("options", "A")
    sent(protocol)
    say(protocol, echo("A"))
    protocol.forget(["A"])
    assert [m["action"] for m in sent(protocol)] == ["unsubscribe"]
    assert [type(e) for e in say(protocol, error(400))] == [Failed]


def test_a_feed_without_statuses_is_asked_for_less() -> None:
    protocol = ready("stocks", "A")
    sent(protocol)
    assert [type(e) for e in say(protocol, error(410))] == [Noticed]
    assert sent(protocol) == [{"action": "subscribe", "trades": ["A"], "quotes": ["A"]}]
    assert [type(e) for e in say(protocol, error(410))] == [Refused]


@given(wanted=st.integers(0, 60), limit=st.integers(0, 60))
def test_a_symbol_limit_is_filled_exactly_with_few_requests(wanted: int, limit: int) -> None:
    symbols = [f"S{i:02}" for i in range(wanted)]
    protocol = ready("options", *symbols)
    held: list[str] = []
    requests = 0
    while request := sent(protocol):
        requests += 1
        after = held + request[0]["quotes"]
        if len(after) > limit:
            say(protocol, error(405))
        else:
            held = after
            say(protocol, echo(*held))
    assert held == symbols[:limit]
    assert sorted(protocol.refused) == symbols[limit:]
    assert protocol.settled
    assert requests <= 14


def test_room_that_becomes_free_is_used() -> None:
    protocol = ready("options", "A", "B")
    for answer in (error(405), echo("A"), error(405)):
        sent(protocol)
        say(protocol, answer)
    assert set(protocol.refused) == {"B"}
    protocol.forget(["A"])
    sent(protocol)
    say(protocol, echo())
    assert [m["quotes"] for m in sent(protocol)] == [["B"]]


WORDS = st.sampled_from(["connected", "authenticated", "x", ""])
SYMBOLS = st.lists(st.sampled_from(["A", "B", "C", "*"]), max_size=4)
CONTROLS = st.one_of(
    st.builds(lambda word: {"T": "success", "msg": word}, WORDS),
    st.builds(lambda code: {"T": "error", "code": code, "msg": ""}, st.integers(398, 415) | st.integers()),
    st.builds(lambda q, t: {"T": "subscription", "quotes": q, "trades": t}, SYMBOLS | st.none(), SYMBOLS),
)
FRAMES = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=5),
    st.lists(CONTROLS, max_size=3).map(
        lambda messages: msgspec.msgpack.encode([m for m in messages if abs(m.get("code", 0)) < 1 << 63])
    ),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        FRAMES | SYMBOLS.map(lambda symbols: ("want", symbols)) | SYMBOLS.map(lambda symbols: ("forget", symbols)),
        max_size=25,
    ),
    st.booleans(),
)
def test_no_conversation_breaks_it(conversation: list[Any], greeted: bool) -> None:
    protocol = ready("stocks", "A") if greeted else machine("stocks", "A")
    for step in conversation:
        if isinstance(step, tuple):
            getattr(protocol, step[0])(step[1])
        else:
            protocol.receive(step, 7)
        protocol.events()
        requests = [m for m in sent(protocol) if m["action"] != "auth"]
        assert len(requests) <= 1
        assert not requests or protocol.phase == "ready"
        assert not set(protocol.refused) & protocol.confirmed
