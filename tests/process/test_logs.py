"""Log lines as the journal and people get them: one object each, no secret, no flood, never an exception."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from mbtd import logs
from mbtd.clock import SECOND_NS, ManualClock
from mbtd.limits import LOG_TEXT_MAX_CHARACTERS
from mbtd.secret import Secret

PLANTED = 'p14nted-"s3cret"-näme'


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Leave the process as it was: logging is global."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    shared = (list(logs._processors), list(logs._unlimited_processors), logs._writer.stream)
    yield
    root.handlers, root.level = handlers, level
    logs._processors[:], logs._unlimited_processors[:], logs._writer.stream = shared
    logs.Logger.threshold = logs.LEVELS["info"]


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_time_level_event_and_what_is_bound() -> None:
    stream, clock = io.BytesIO(), ManualClock(wall_ns=1_767_225_600 * SECOND_NS)
    early = logs.get_logger(part="rpc")
    logs.set_up(stream=stream, clock=clock, environ={})
    with structlog.contextvars.bound_contextvars(conn=7, req="a", account="acc"):
        early.info("request.finished", took_us=12, method="order.place", text="two\nlines")
    assert lines(stream) == [
        {
            "at": "2026-01-01T00:00:00Z",
            "level": "info",
            "event": "request.finished",
            "part": "rpc",
            "conn": 7,
            "req": "a",
            "account": "acc",
            "took_us": 12,
            "method": "order.place",
            "text": "two\nlines",
        }
    ]
    assert stream.getvalue().count(b"\n") == 1


def test_the_level_can_be_changed_while_running() -> None:
    stream = io.BytesIO()
    said = logs.set_up("warning", stream=stream, environ={})
    log = logs.get_logger()
    log.info("first.hidden")
    said.set_level("debug")
    log.debug("second.shown")
    said.set_level("error")
    log.warning("third.hidden")
    assert [line["event"] for line in lines(stream)] == ["second.shown"]
    with pytest.raises(KeyError):
        said.set_level("loud")


def test_a_repeated_failure_is_said_once_in_a_while_with_its_count() -> None:
    stream, clock = io.BytesIO(), ManualClock()
    logs.set_up(stream=stream, clock=clock, repeat_every_s=30, environ={})
    log = logs.get_logger()
    for _ in range(100):
        log.warning("feed.failed", reason="timeout")
    log.warning("feed.failed", reason="refused")
    for _ in range(3):
        log.info("order.placed")
        log.critical("disk.failed")
    clock.advance(30 * SECOND_NS)
    log.warning("feed.failed", reason="timeout")
    said_lines = lines(stream)
    assert [line.get("repeated_count") for line in said_lines if line.get("reason") == "timeout"] == [
        None,
        99,
    ]
    assert sum(line["event"] == "order.placed" for line in said_lines) == 3
    assert sum(line["event"] == "disk.failed" for line in said_lines) == 3


def test_the_count_of_a_failure_that_stopped_is_not_lost() -> None:
    stream, clock = io.BytesIO(), ManualClock()
    said = logs.set_up(stream=stream, clock=clock, environ={})
    for _ in range(5):
        logs.get_logger().error("store.slow", error="Busy")
    said.say_overdue()
    assert len(lines(stream)) == 1
    clock.advance(31 * SECOND_NS)
    said.say_overdue()
    said.say_overdue(all_of_them=True)
    assert [line.get("repeated_count") for line in lines(stream)] == [None, 4]


def test_each_account_s_failure_is_a_line_of_its_own() -> None:
    clock, stream = ManualClock(), io.BytesIO()
    said = logs.set_up(stream=stream, clock=clock, repeat_every_s=30, environ={})
    log = logs.get_logger()
    for account_no in (3, 5, 3):
        log.error("account.quarantined", account_no=account_no, reason="BrokenInvariant: x")
    assert [line["account_no"] for line in lines(stream)] == [3, 5]
    clock.advance(31 * SECOND_NS)
    said.say_overdue()
    assert [(line["account_no"], line.get("repeated_count")) for line in lines(stream)][2:] == [(3, 1)]


def test_the_table_of_repeated_failures_is_bounded() -> None:
    repeats = logs.Repeats(ManualClock(), 30, max_keys=10)
    for number in range(1_000):
        repeats(None, "error", {"event": "x", "reason": str(number)})
    assert len(repeats._said) == 10


def test_a_planted_secret_is_in_no_line_however_it_gets_there() -> None:
    stream = io.BytesIO()
    said = logs.set_up(stream=stream, environ={})
    said.mask.add(Secret(PLANTED))
    log = logs.get_logger(bound=PLANTED)
    log.info(f"in.event {PLANTED}", value=PLANTED, deep={"a": {"b": [PLANTED]}}, shown=repr(PLANTED))
    log.info("as.object", secret=Secret(PLANTED), text=str(Secret(PLANTED)), raw=PLANTED.encode())
    try:
        raise RuntimeError(f"cannot log in with {PLANTED}")
    except RuntimeError as error:
        log.exception("login.failed", error=error)
    logging.getLogger("library").warning("key is %s", PLANTED)
    unknown = "never-learnt-1234"
    log.info("keys.telling", api_secret=unknown, headers={"Authorization": unknown, "apca_api_key_id": unknown})
    whole = stream.getvalue()
    assert len(lines(stream)) == 5
    for form in ("p14nted", "s3cret", unknown):
        assert form.encode() not in whole


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


@pytest.mark.parametrize(
    "value",
    [
        Hostile(),
        object(),
        b"\xff",
        "\ud800",
        2**70,
        float("nan"),
        {"\ud800": 1},
        [Hostile()],
        {1: {2: set()}},
    ],
)
def test_no_value_makes_a_log_call_raise_or_lose_its_event(value: object) -> None:
    stream = io.BytesIO()
    logs.set_up(stream=stream, environ={})
    logs.get_logger().info("odd.said", value=value)
    logs.get_logger(bound=value).error("odd.said", error=value)
    decoded = lines(stream)
    assert len(decoded) == 2
    assert all("odd.said" in str(line) for line in decoded)


def test_texts_are_shortened() -> None:
    stream = io.BytesIO()
    logs.set_up(stream=stream, environ={})
    logs.get_logger().info(
        "input.refused", text="x" * 1_000_000, many=["y" * 1_000_000], **{f"k{i}": i for i in range(500)}
    )
    assert len(stream.getvalue()) < 3 * LOG_TEXT_MAX_CHARACTERS


def test_a_stream_that_fails_is_counted_and_ends_nothing() -> None:
    stream = io.BytesIO()
    said = logs.set_up(stream=stream, environ={})
    stream.close()
    logs.get_logger().info("nobody.hears")
    assert said.lost_lines == 1


def test_the_journal_gets_priorities_and_nobody_else() -> None:
    code = (
        "import os, sys\n"
        "from mbtd import logs\n"
        "status = os.fstat(1)\n"
        "if sys.argv[1] == 'journal': os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}'\n"
        "logs.set_up('debug')\n"
        "log = logs.get_logger()\n"
        "log.debug('a.b'); log.info('a.b'); log.warning('a.b'); log.error('a.b'); log.critical('a.b')\n"
    )
    environ = {**os.environ, "JOURNAL_STREAM": "1:1"}

    def run(mode: str) -> list[bytes]:
        done = subprocess.run([sys.executable, "-c", code, mode], env=environ, capture_output=True, check=True)
        assert done.stderr == b""
        return done.stdout.splitlines()

    assert [line[:3] for line in run("journal")] == [b"<7>", b"<6>", b"<4>", b"<3>", b"<2>"]
    assert all(line.startswith(b"{") for line in run("pipe"))


def test_the_console_format_is_for_reading_and_has_no_secret_either() -> None:
    stream = io.BytesIO()
    said = logs.set_up(format="console", stream=stream, environ={})
    said.mask.add(Secret(PLANTED))
    logs.get_logger().warning("feed.lost", password=PLANTED, text=PLANTED)
    text = stream.getvalue().decode()
    assert "feed.lost" in text
    assert "p14nted" not in text
