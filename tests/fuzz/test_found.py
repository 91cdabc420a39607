"""What the fuzz has found, each as a request of its own, against a running daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actors.book.units import BadNumber, parse_time
from mbtd.rpc.client import Client
from mbtd.rpc.wire import RpcRefusal
from tests.crash.processes import DaemonProcess


@pytest.mark.parametrize("text", ["9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_time_that_nanoseconds_cannot_say_is_no_time(text: str) -> None:
    with pytest.raises(BadNumber):
        parse_time(text)


CASES: list[tuple[str, str, str]] = [
    # A number that the journal cannot hold ended the daemon at the next commit.
    ("account.configure", '{"account":"a","options_level":1' + "0" * 40 + "}", "invalid_params"),
    ("account.create", '{"name":"b","options_level":18446744073709551616}', "invalid_params"),
    # These were answered with internal_error.
    ("order.get", '{"account":"a"}', "invalid_params"),
    ("fill.why", '{"fill_id":"0"}', "not_found"),
    ("order.list", '{"account":"a","after":"9999-12-31T00:00:00Z"}', "invalid_params"),
    ("activity.list", '{"account":"a","until":"9999-12-31"}', "invalid_params"),
    ("activity.list", '{"account":"a","date":"0001-01-01"}', "invalid_params"),
]


def test_every_request_that_was_once_answered_wrongly(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path / "state")
    try:
        asyncio.run(daemon.ready())
        with Client(daemon.socket) as client:
            client.call("account.create", name="a", cash="1000")
            for method, params, reason in CASES:
                decoded: dict[str, Any] = json.loads(params)
                with pytest.raises(RpcRefusal) as refused:
                    client.call(method, **decoded)
                assert refused.value.reason == reason, method
                assert client.call("account.deposit", account="a", amount="1")["status"] == "ACTIVE"
    finally:
        daemon.close()
