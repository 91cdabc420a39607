"""Events to readers that are slow, and the order of what leaves."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mbtd.rpc.errors import make_error
from mbtd.rpc.limits import ConnectionLimits
from mbtd.rpc.session import Session
from tests.rpc.fakes import PEER, EchoApplication, answers, make_connection, reason_of, request_line


def event_json(topic: str, n: int) -> bytes:
    return json.dumps({"topic": topic, "n": n, "event": "e"}).encode()


def events_of(output: bytes) -> list[dict[str, Any]]:
    return [line["params"] for line in answers(output) if line.get("method") == "stream.event"]


def test_answers_and_events_leave_in_the_order_of_the_calls() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(request_line(1, "later") + request_line(2, "later"))
    connection.event(event_json("account:a", 1))
    application.answer_all()
    connection.event(event_json("account:a", 2))
    connection.notify("session.goodbye", b'{"reconnect_after_ms":100}')
    got = answers(connection.take_output())
    assert [line.get("id") or line["params"].get("n") or line["method"] for line in got] == [
        1,
        1,
        2,
        2,
        "session.goodbye",
    ]


def test_quotes_are_merged_to_the_newest_of_each_symbol_and_say_so() -> None:
    session = Session(PEER)
    for n in range(1, 3_001):
        symbol = f"quotes:S{n % 10}"
        session.event(event_json(symbol, n), merge_key=symbol)
        if n == 2_000:
            session.event(event_json("account:a", 1))
    assert session.close_reason is None
    got = events_of(session.take_output())
    assert [event["n"] for event in got if event["topic"] == "account:a"] == [1]
    quotes = [event for event in got if event["topic"] != "account:a"]
    assert {event["topic"]: event["n"] for event in quotes} == {f"quotes:S{n % 10}": n for n in range(2991, 3001)}
    assert sum(event["merged"] for event in quotes) + len(quotes) == 3_000


def test_events_below_the_limit_are_never_merged() -> None:
    session = Session(PEER)
    for n in range(1_024):
        session.event(event_json("quotes:SPY", n), merge_key="quotes:SPY")
    assert [event["n"] for event in events_of(session.take_output())] == list(range(1_024))


def test_a_connection_that_still_overflows_is_closed_and_keeps_its_answers() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(request_line(1, "later"))
    application.answer_all()
    for n in range(1_025):
        connection.event(event_json("account:a", n))
    assert connection.close_reason == "slow_consumer"
    got = answers(connection.take_output())
    assert got[0]["id"] == 1
    assert reason_of(got[1]) == "slow_consumer"
    assert got[1]["error"]["data"]["retryable"] is True
    assert len(got) == 2


def test_bytes_count_too() -> None:
    session = Session(PEER, ConnectionLimits(waiting_max_event_bytes=1_000))
    for n in range(100):
        session.event(event_json("quotes:SPY", n), merge_key="quotes:SPY")
        assert session.waiting_bytes < 1_200
    session.event(event_json("account:" + "a" * 1_000, 1))
    assert session.close_reason == "slow_consumer"


def test_a_burst_to_a_fast_reader_is_flushed_not_merged() -> None:
    session = Session(PEER)
    taken: list[bytes] = []
    session.flush_now = lambda: taken.append(session.take_output())
    for n in range(5_000):
        session.event(event_json("account:a", n))
    taken.append(session.take_output())
    assert session.close_reason is None
    assert [event["n"] for output in taken for event in events_of(output)] == list(range(5_000))


def test_waking_happens_once_until_output_is_taken() -> None:
    session = Session(PEER)
    woken: list[int] = []
    session.wake = lambda: woken.append(1)
    for n in range(5):
        session.event(event_json("account:a", n))
    assert len(woken) == 1
    session.take_output()
    session.close(make_error("shutting_down"))
    assert len(woken) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 5), st.just("take")), max_size=80), st.integers(1, 12))
def test_no_account_event_is_lost_and_the_newest_quote_arrives(steps: list[Any], limit: int) -> None:
    session = Session(PEER, ConnectionLimits(waiting_max_events=limit))
    output = b""
    sent: dict[str, list[int]] = {}
    for n, step in enumerate(steps):
        if step == "take":
            output += session.take_output()
            continue
        topic = "account:a" if step is None else f"quotes:{step}"
        session.event(event_json(topic, n), merge_key=None if step is None else topic)
        if session.close_reason is not None:
            return
        sent.setdefault(topic, []).append(n)
    output += session.take_output()
    got: dict[str, list[int]] = {}
    stood_for = 0
    for event in events_of(output):
        got.setdefault(event["topic"], []).append(event["n"])
        stood_for += 1 + event.get("merged", 0)
    assert stood_for == sum(map(len, sent.values()))
    for topic, numbers in sent.items():
        assert got[topic] == sorted(got[topic])
        assert got[topic][-1] == numbers[-1]
        if topic == "account:a":
            assert got[topic] == numbers
