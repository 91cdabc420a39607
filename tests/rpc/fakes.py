"""Applications and helpers for the tests of connections."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from mbtd.rpc.connection import Connection
from mbtd.rpc.errors import refuse
from mbtd.rpc.limits import CLIENT_LIMITS, ConnectionLimits
from mbtd.rpc.session import Peer, RequestId, Session

PEER = Peer(1000, 1000, 4242, "operator")


class Echo(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class EchoApplication:
    """Answers ``echo`` at once, keeps ``later`` for the test to answer, breaks on ``break``."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Session, RequestId]] = []
        self.asked: list[tuple[RequestId, str, int | None]] = []
        self.sessions: list[Session] = []
        self.lost: list[Session] = []

    def connected(self, session: Session) -> None:
        self.sessions.append(session)

    def request(
        self,
        session: Session,
        request_id: RequestId,
        method: str,
        params: msgspec.Raw,
        deadline_ms: int | None,
    ) -> None:
        self.asked.append((request_id, method, deadline_ms))
        if method == "echo":
            echo = msgspec.json.decode(params, type=Echo)
            session.reply(request_id, msgspec.json.encode(echo))
        elif method == "later":
            self.waiting.append((session, request_id))
        elif method == "break":
            raise LookupError("broken on purpose")
        elif method == "raw":
            session.reply(request_id, bytes(params))
        else:
            refuse("method_not_found", field="method")

    def disconnected(self, session: Session) -> None:
        self.lost.append(session)

    def answer_all(self) -> None:
        waiting, self.waiting = self.waiting, []
        for session, request_id in waiting:
            session.reply(request_id, b"{}")


def make_connection(
    application: EchoApplication, clock: FakeClock | None = None, limits: ConnectionLimits = CLIENT_LIMITS
) -> Connection:
    return Connection(application, PEER, clock or FakeClock(), limits)


def feed_all(connection: Connection, data: bytes) -> None:
    """Feed, and give the connection the turns it asks for."""
    connection.feed(data)
    while connection.can_go_on:
        connection.pump()


def request_line(request_id: RequestId | None, method: str, **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, **more}).encode() + b"\n"


def answers(output: bytes) -> list[dict[str, Any]]:
    assert output == b"" or output.endswith(b"\n")
    return [json.loads(line) for line in output.splitlines()]


def reason_of(answer: dict[str, Any]) -> str:
    error = answer["error"]
    assert isinstance(error["code"], int)
    assert error["message"]
    assert isinstance(error["data"]["retryable"], bool)
    return str(error["data"]["reason"])
