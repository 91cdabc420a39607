"""What both clients share: where the socket is, what lines mean, and where a subscription stands. No I/O.

Invariants: importing this costs msgspec and nothing else; unknown members of answers are ignored; a stream's
events come out in the order of their numbers, none twice, and none of an account's missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from mbtd.rpc.errors import RpcError, make_error

SOCKET_VARIABLE: Final = "MBTD_SOCKET"
DEFAULT_SOCKETS: Final = ("var/mbtd.sock", "/run/mbtd/mbtd.sock")
READ_VERBS: Final = frozenset({"get", "list", "why", "preview", "rules", "chain", "contracts", "hello", "verify"})
_REFUSED_AT_THE_DOOR: Final = frozenset({"not_permitted", "too_many_connections"})


class RpcRefusal(Exception):
    """The daemon refused a request; ``reason`` is stable, texts are not."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.message)
        self.error = error

    @property
    def code(self) -> int:
        return self.error.code

    @property
    def reason(self) -> str:
        return self.error.data.reason

    @property
    def retryable(self) -> bool:
        return self.error.data.retryable

    @property
    def retry_after_s(self) -> float:
        """How long to wait before trying again; 0 when the daemon did not say."""
        return (self.error.data.retry_after_ms or 0) / 1000


class ConnectionLost(Exception):
    """The connection ended; whether an unanswered request was carried out is not known."""


class NoDaemon(ConnectionLost):
    """Nobody serves the socket; nothing was sent."""


class ProtocolFault(Exception):
    """The other side does not speak the protocol."""


class _Reply(Struct):
    """One line from the daemon."""

    id: int | str | None = None
    method: str | None = None
    params: dict[str, Any] | None = None
    result: Any = None
    error: RpcError | None = None


_decode = msgspec.json.Decoder(_Reply).decode
encode_json = msgspec.json.encode
Reply = _Reply


def parse_reply(line: bytes) -> Reply:
    """Read a line from the daemon; raises :class:`ProtocolFault`."""
    try:
        return _decode(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolFault(f"not an answer of mbtd: {line[:80]!r}") from error


def request_line(request_id: int, method: str, params: Mapping[str, Any], deadline_ms: int | None = None) -> bytes:
    """A request; parameters that are None are left out."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    body["params"] = {name: value for name, value in params.items() if value is not None}
    if deadline_ms is not None:
        body["deadline_ms"] = deadline_ms
    return encode_json(body) + b"\n"


def closing_error(error: RpcError | None, text: str) -> Exception:
    """The exception for a connection that ended, given the error the daemon sent before, if any."""
    if error is None:
        return ConnectionLost(text)
    if error.data.reason in _REFUSED_AT_THE_DOOR:
        return RpcRefusal(error)
    return ConnectionLost(f"{error.message} ({error.data.reason})")


def is_repeatable(method: str, params: Mapping[str, Any]) -> bool:
    """Whether sending it again after a lost connection cannot do anything twice."""
    verb = method.rpartition(".")[2]
    if verb in READ_VERBS:
        return True
    return method in {"order.place", "position.close"} and params.get("client_order_id") is not None


def new_client_order_id() -> str:
    """A client order id that nobody else has."""
    return os.urandom(16).hex()


def find_socket(given: str | os.PathLike[str] | None = None) -> Path:
    """``given``, then MBTD_SOCKET, then ./var/mbtd.sock, then /run/mbtd/mbtd.sock."""
    named = given or os.environ.get(SOCKET_VARIABLE)
    if named:
        return Path(named)
    for place in DEFAULT_SOCKETS:
        if os.path.exists(place):
            return Path(place)
    return Path(DEFAULT_SOCKETS[0])


class LineSplitter:
    """Collects bytes and gives complete lines."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        if b"\n" not in data:
            self._parts.append(data)
            return []
        lines = (b"".join(self._parts) + data).split(b"\n")
        self._parts = [lines.pop()]
        return lines


class StreamMessage(Struct, frozen=True):
    """What a subscription gives: first the state with its number, then what happens after it."""

    topic: str
    n: int
    kind: Literal["snapshot", "event"]
    data: dict[str, Any]
    """The snapshot, or the event with its ``event`` name."""
    resync: bool = False
    """A snapshot that replaces all that was known: events in between are not to be had."""


class Gap(Exception):
    """An event of a topic is missing; subscribe again from the last number seen."""


class Progress:
    """Where each topic of a subscription stands, through reconnections."""

    def __init__(self, topics: Iterable[str], from_n: Mapping[str, int] | None = None) -> None:
        self.topics = tuple(topics)
        self.last: dict[str, int] = dict(from_n or {})
        self._resync: set[str] = set()

    def requests(self) -> list[dict[str, Any]]:
        """Parameters of the ``stream.subscribe`` calls that begin or continue: ``from_n`` is one topic's."""
        resumed = [{"topics": [topic], "from_n": self.last[topic]} for topic in self.topics if topic in self.last]
        fresh = [topic for topic in self.topics if topic not in self.last]
        return [*resumed, {"topics": fresh}] if fresh else list(resumed)

    def refused(self, request: Mapping[str, Any], error: RpcError) -> None:
        """Take ``resync_required``: the next :meth:`requests` asks for a snapshot. Others are raised."""
        if error.data.reason != "resync_required":
            raise RpcRefusal(error)
        for topic in request["topics"]:
            self._forget(topic)

    def started(self, request: Mapping[str, Any], result: Any) -> list[StreamMessage]:
        """Take the answer to one of the requests; gives the snapshots in it."""
        messages = []
        for topic, entry in (result or {}).get("topics", {}).items():
            if entry.get("resync_required"):
                self._forget(topic)
            if topic in self.last and "from_n" in request:
                continue
            if entry.get("snapshot") is None and topic in self._resync:
                continue
            n = int(entry.get("n") or 0)
            self.last[topic] = n
            resync = topic in self._resync
            self._resync.discard(topic)
            messages.append(StreamMessage(topic, n, "snapshot", entry.get("snapshot") or {}, resync))
        return messages

    @property
    def complete(self) -> bool:
        """Every topic has a base to go on from."""
        return all(topic in self.last for topic in self.topics)

    def event(self, params: Mapping[str, Any]) -> StreamMessage | None:
        """Take an event; None for one that is known or of no concern. Raises :class:`Gap`."""
        topic, n = str(params.get("topic")), int(params.get("n") or 0)
        if topic not in self.topics:
            return None
        if params.get("event") == "resync_required":
            self._forget(topic)
            raise Gap(topic)
        last = self.last.get(topic)
        if last is not None and n <= last:
            return None
        if last is not None and n > last + 1 and topic.startswith("account:"):
            raise Gap(topic)
        self.last[topic] = n
        return StreamMessage(topic, n, "event", dict(params))

    def _forget(self, topic: str) -> None:
        self.last.pop(topic, None)
        self._resync.add(topic)


def unanswered(client_order_id: str, seconds: float) -> RpcRefusal:
    """The refusal for an order whose outcome could not be learned in time."""
    text = (
        f"no answer for {seconds:g} s; the order may be in. Repeat it with client_order_id "
        f"{client_order_id}: it is never done twice"
    )
    return RpcRefusal(make_error("outcome_unknown", text))
