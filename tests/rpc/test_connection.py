"""The sans-I/O connection: strictness, limits, order, and bytes of every kind."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbtd.rpc.errors import KINDS, make_error
from mbtd.rpc.limits import ConnectionLimits
from tests.rpc.fakes import (
    EchoApplication,
    FakeClock,
    answers,
    feed_all,
    make_connection,
    reason_of,
    request_line,
)


def talk(*data: bytes, limits: ConnectionLimits | None = None) -> tuple[list[dict[str, Any]], str | None]:
    connection = make_connection(EchoApplication(), limits=limits or ConnectionLimits())
    for piece in data:
        feed_all(connection, piece)
    return answers(connection.take_output()), connection.close_reason


def test_answers_carry_the_id_as_it_was_sent() -> None:
    got, closed = talk(request_line(7, "echo", params={"text": "a"}), request_line('x"y', "echo"))
    assert got == [
        {"jsonrpc": "2.0", "id": 7, "result": {"text": "a"}},
        {"jsonrpc": "2.0", "id": 'x"y', "result": {"text": ""}},
    ]
    assert closed is None


@pytest.mark.parametrize(
    ("line", "reason", "request_id", "field"),
    [
        (b"nonsense", "parse_error", None, None),
        (b"", "parse_error", None, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo"', "parse_error", None, None),
        (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"echo"}', "parse_error", None, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', "parse_error", None, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"\xff"}}', "parse_error", None, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":NaN}}', "parse_error", None, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"echo"}]', "invalid_request", None, None),
        (b"17", "invalid_request", None, None),
        (b'{"id":1,"method":"echo"}', "invalid_request", 1, "jsonrpc"),
        (b'{"jsonrpc":"1.0","id":1,"method":"echo"}', "invalid_request", 1, "jsonrpc"),
        (b'{"jsonrpc":"2.0","method":"echo"}', "invalid_request", None, "id"),
        (b'{"jsonrpc":"2.0","id":null,"method":"echo"}', "invalid_request", None, "id"),
        (b'{"jsonrpc":"2.0","id":true,"method":"echo"}', "invalid_request", None, "id"),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"echo"}', "invalid_request", None, "id"),
        (b'{"jsonrpc":"2.0","id":"%b","method":"echo"}' % (b"x" * 65), "invalid_request", None, "id"),
        (b'{"jsonrpc":"2.0","id":1}', "invalid_request", 1, "method"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","parms":{}}', "invalid_request", 1, "parms"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","deadline_ms":-1}', "invalid_request", 1, "deadline_ms"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}', "invalid_params", 1, "params"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":null}', "invalid_params", 1, "params"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"txet":"a"}}', "invalid_params", 1, "txet"),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":1}}', "invalid_params", 1, "text"),
        (b'{"jsonrpc":"2.0","id":1,"method":"nothing"}', "method_not_found", 1, "method"),
    ],
)
def test_each_wrong_line_gets_its_reason_and_the_next_line_is_served(
    line: bytes, reason: str, request_id: int | None, field: str | None
) -> None:
    got, closed = talk(line + b"\n" + request_line(2, "echo"))
    assert reason_of(got[0]) == reason
    assert got[0]["error"]["code"] == KINDS[reason].code
    assert got[0]["id"] == request_id
    assert got[0]["error"]["data"].get("field") == field
    assert got[1]["id"] == 2
    assert closed is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("member", [b"params", b"id", b"extra"])
def test_deep_nesting_is_an_error_not_a_crash(opening: bytes, member: bytes) -> None:
    line = b'{"jsonrpc":"2.0","id":1,"method":"echo","%b":' % member
    line += opening * ((60_000 - len(line)) // len(opening))
    got, closed = talk(line + b"\n" + request_line(2, "echo"))
    assert reason_of(got[0]) in {"parse_error", "invalid_request"}
    assert got[1]["id"] == 2
    assert closed is None


def test_an_application_that_breaks_answers_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        got, closed = talk(request_line(1, "break"), request_line(2, "echo"))
    assert reason_of(got[0]) == "internal_error"
    assert "purpose" not in json.dumps(got[0])
    assert got[1]["id"] == 2
    assert closed is None


def test_a_line_of_the_limit_is_taken_and_a_longer_one_ends_the_connection() -> None:
    limits = ConnectionLimits(line_max_bytes=100)
    fits = request_line(1, "echo").rstrip().ljust(100) + b"\n"
    got, closed = talk(fits, fits.replace(b"1", b"2", 1)[:-1] + b" \n" + request_line(3, "echo"), limits=limits)
    assert got[0]["id"] == 1
    assert reason_of(got[1]) == "line_too_long"
    assert len(got) == 2
    assert closed == "line_too_long"


def test_an_endless_line_ends_the_connection_before_it_is_complete() -> None:
    connection = make_connection(EchoApplication())
    for _ in range(100):
        connection.feed(b"x" * 1024)
        if connection.finished:
            break
    assert connection.close_reason == "line_too_long"
    connection.take_output()
    connection.feed(request_line(1, "echo"))
    assert connection.take_output() == b""


def test_beyond_the_limit_of_unanswered_requests_nothing_is_handed_on() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(b"".join(request_line(n, "later") for n in range(150)))
    assert len(application.waiting) == 64
    assert not connection.wants_read
    handled = 0
    while application.waiting:
        assert len(application.waiting) <= 64
        handled += len(application.waiting)
        application.answer_all()
        connection.pump()
    assert handled == 150
    assert connection.wants_read
    assert [answer["id"] for answer in answers(connection.take_output())] == list(range(150))


def test_an_id_in_flight_cannot_be_used_twice_and_is_free_after_its_answer() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(request_line(1, "later") * 2 + request_line("1", "later"))
    assert [reason_of(answer) for answer in answers(connection.take_output())] == ["duplicate_request_id"]
    application.answer_all()
    application.sessions[0].reply(1, b'"twice"')
    connection.feed(request_line(1, "echo"))
    assert [answer["id"] for answer in answers(connection.take_output())] == [1, "1", 1]


def test_waiting_answers_stop_reading_until_they_are_taken() -> None:
    limits = ConnectionLimits(waiting_max_reply_bytes=2_000)
    application = EchoApplication()
    connection = make_connection(application, limits=limits)
    feed_all(connection, b"\n" * 60_000)
    assert not connection.wants_read
    first = connection.take_output()
    assert 2_000 < len(first) < 3_000
    connection.pump()
    assert len(connection.take_output()) == len(first)


def test_one_call_hands_on_a_bounded_number_of_requests() -> None:
    application = EchoApplication()
    connection = make_connection(application, limits=ConnectionLimits(turn_max_requests=10))
    connection.feed(b"".join(request_line(n, "echo") for n in range(25)))
    assert len(application.asked) == 10
    turns = 0
    while connection.can_go_on:
        connection.pump()
        turns += 1
    assert (len(application.asked), turns) == (25, 2)
    assert connection.wants_read


def test_a_line_not_finished_in_time_closes() -> None:
    clock = FakeClock()
    connection = make_connection(EchoApplication(), clock)
    connection.feed(request_line(1, "echo"))
    assert connection.next_deadline is None
    connection.feed(b'{"jsonrpc"')
    clock.now += 4.9
    connection.feed(b":")
    connection.tick()
    assert connection.next_deadline == 105.0
    assert not connection.finished
    clock.now += 0.1
    connection.tick()
    assert connection.close_reason == "unfinished_line_timeout"
    assert reason_of(answers(connection.take_output())[-1]) == "unfinished_line_timeout"


def test_time_in_which_the_server_did_not_read_does_not_count() -> None:
    clock = FakeClock()
    application = EchoApplication()
    connection = make_connection(application, clock)
    connection.feed(b"".join(request_line(n, "later") for n in range(64)) + b"{")
    assert connection.next_deadline is None
    clock.now += 60
    application.answer_all()
    connection.pump()
    assert connection.next_deadline == clock.now + 5


def test_a_deadline_counts_the_wait_in_the_connection() -> None:
    clock = FakeClock()
    application = EchoApplication()
    connection = make_connection(application, clock)
    connection.feed(
        b"".join(request_line(n, "later") for n in range(64))
        + request_line("late", "later", deadline_ms=100)
        + request_line("fine", "later", deadline_ms=500)
    )
    clock.now += 0.2
    application.answer_all()
    connection.pump()
    late = answers(connection.take_output())[-1]
    assert late["id"] == "late"
    assert reason_of(late) == "deadline_exceeded"
    assert application.asked[-1][0] == "fine"
    assert 299 <= (application.asked[-1][2] or 0) <= 301


def test_after_the_end_of_input_what_was_asked_is_answered_and_a_torn_line_is_not_done() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(request_line(1, "later") + request_line(2, "later")[:-1])
    connection.eof()
    assert not connection.finished
    application.answer_all()
    connection.pump()
    assert connection.finished
    assert [answer["id"] for answer in answers(connection.take_output())] == [1]
    assert [asked[0] for asked in application.asked] == [1]


def test_the_application_hears_of_the_loss_once_and_late_answers_vanish() -> None:
    application = EchoApplication()
    connection = make_connection(application)
    connection.feed(request_line(1, "later"))
    connection.lost()
    connection.lost()
    application.answer_all()
    application.sessions[0].event(b'{"topic":"account:1"}')
    assert application.lost == [connection]
    assert connection.take_output() == b""


def test_an_answer_beyond_the_limit_becomes_an_error() -> None:
    application = EchoApplication()
    connection = make_connection(application, limits=ConnectionLimits(response_max_bytes=50))
    connection.feed(request_line(1, "later"))
    session, request_id = application.waiting.pop()
    session.reply(request_id, b'"%b"' % (b"x" * 60))
    assert reason_of(answers(connection.take_output())[0]) == "response_too_large"


def test_every_row_of_the_table_makes_an_error() -> None:
    codes = [kind.code for kind in KINDS.values()]
    assert len(set(codes)) == len(codes)
    for reason, kind in KINDS.items():
        assert kind.remedy
        assert make_error(reason).data.reason == reason


# ---- bytes of every kind ---------------------------------------------------------------------------------

_IDS = st.one_of(st.integers(), st.text(max_size=70), st.none(), st.floats(allow_nan=False), st.booleans())
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_GOOD = st.builds(
    lambda request_id, method, text: request_line(request_id, method, params={"text": text}),
    st.integers(0, 9) | st.text(max_size=5),
    st.sampled_from(["echo", "raw", "nothing"]),
    st.text(max_size=20),
)
_ODD = st.builds(
    lambda members: json.dumps(members).encode() + b"\n",
    st.dictionaries(
        st.sampled_from(["jsonrpc", "id", "method", "params", "deadline_ms", "x"]),
        st.one_of(_VALUES, _IDS, st.just("2.0"), st.sampled_from(["echo", "later"])),
    ),
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    line = bytearray(draw(_GOOD))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(line) - 1))
        line[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        if not line:
            line = bytearray(b"\n")
    return bytes(line)


_STREAMS = st.lists(st.one_of(_GOOD, _ODD, _mutated(), st.binary(max_size=30)), max_size=12).map(b"".join)
_SMALL = ConnectionLimits(line_max_bytes=90, in_flight_max_requests=4)


@settings(max_examples=300, deadline=None)
@given(_STREAMS, st.data())
def test_the_same_bytes_split_anywhere_give_the_same_answers(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    outcomes = []
    for chunks in ([stream], pieces, [bytes([byte]) for byte in stream]):
        application = EchoApplication()
        connection = make_connection(application, limits=_SMALL)
        for chunk in chunks:
            feed_all(connection, chunk)
        outcomes.append((connection.take_output(), connection.close_reason, application.asked))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@settings(max_examples=300, deadline=None)
@given(_STREAMS)
def test_any_bytes_give_documented_errors_or_a_close(stream: bytes) -> None:
    got, closed = talk(stream)
    for answer in got:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
        if "error" in answer:
            assert reason_of(answer) in KINDS
    assert closed is None or closed in KINDS
