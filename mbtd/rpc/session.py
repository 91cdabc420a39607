"""What the application keeps of a connection: whom it serves, and the way out of answers and events.

Invariants: lines leave in the order of the calls; a line is never torn; waiting output is bounded (answers by
the number of unanswered requests, events by number and bytes); after :meth:`Session.close` nothing is added.
Known limit: output already handed to the transport is not counted here; the transport has its own bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from mbtd.rpc.errors import RpcError, make_error
from mbtd.rpc.limits import CLIENT_LIMITS, ConnectionLimits

RequestId = int | str
Role = Literal["operator", "service", "trader", "viewer"]

_EVENT_HEAD = b'{"jsonrpc":"2.0","method":"stream.event","params":'
_COMPACT_AFTER_BLANKS = 1_024

encode_json = msgspec.json.encode


class Peer(Struct, frozen=True):
    """Who is at the other end, as the kernel says. The pid is only for logs."""

    uid: int
    gid: int
    pid: int
    role: Role
    accounts: tuple[str, ...] = ()
    """Names or ids of the accounts that a trader may trade; other roles have their accounts by their role."""


class Application(Protocol):
    """What a connection hands its requests to.

    ``request`` answers through the session, now or later, exactly once an id. It may raise ``Refusal``, any
    decoding error of msgspec, or RecursionError instead of answering: the connection answers then.
    """

    def connected(self, session: Session) -> None: ...

    def request(
        self,
        session: Session,
        request_id: RequestId,
        method: str,
        params: msgspec.Raw,
        deadline_ms: int | None,
    ) -> None: ...

    def disconnected(self, session: Session) -> None: ...


def _ignore() -> None:
    """Stand-in for a hook that the shell sets."""


class Session:
    """The application's handle of one connection."""

    __slots__ = (
        "_blanks",
        "_event_bytes",
        "_events",
        "_marks",
        "_merged",
        "_newest",
        "_out",
        "_reply_bytes",
        "_unanswered",
        "_woken",
        "abort",
        "close_reason",
        "flush_now",
        "limits",
        "number",
        "peer",
        "state",
        "wake",
    )

    def __init__(self, peer: Peer, limits: ConnectionLimits = CLIENT_LIMITS, number: int = 0) -> None:
        self.peer = peer
        self.limits = limits
        self.number = number
        """Counts connections, for logs."""
        self.state: object = None
        """Free for the application (subscriptions, a bound account)."""
        self.close_reason: str | None = None
        """Why no more is read or added; None while open."""
        self.wake: Callable[[], None] = _ignore
        """Called when output begins to wait, and at a close; the shell then takes it, soon."""
        self.flush_now: Callable[[], None] = _ignore
        """Called when too many events wait; the shell takes output at once if its transport allows it."""
        self.abort: Callable[[], None] = _ignore
        """Ends the transport at once, whatever still waits."""
        self._out: list[bytes] = []
        self._woken = False
        self._unanswered: set[RequestId] = set()
        self._reply_bytes = 0
        self._events = 0
        self._event_bytes = 0
        self._marks: list[tuple[int, str | None]] = []
        self._newest: dict[str, int] | None = None
        self._merged: dict[str, int] = {}
        self._blanks = 0

    @property
    def unanswered(self) -> int:
        """Requests handed to the application and not answered yet."""
        return len(self._unanswered)

    @property
    def waiting_bytes(self) -> int:
        """Output not yet taken."""
        return self._reply_bytes + self._event_bytes

    def reply(self, request_id: RequestId, result_json: bytes) -> None:
        """Answer a request with a JSON value. A second answer to the same id is dropped."""
        unanswered = self._unanswered
        if request_id not in unanswered or self.close_reason is not None:
            unanswered.discard(request_id)
            return
        if len(result_json) > self.limits.response_max_bytes:
            self.refuse(request_id, make_error("response_too_large"))
            return
        unanswered.remove(request_id)
        if type(request_id) is int:
            line = b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (request_id, result_json)
        else:
            line = b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (encode_json(request_id), result_json)
        self._out.append(line)
        self._reply_bytes += len(line)
        if not self._woken:
            self._woken = True
            self.wake()

    def refuse(self, request_id: RequestId, error: RpcError) -> None:
        """Answer a request with an error. A second answer to the same id is dropped."""
        if request_id in self._unanswered:
            self._unanswered.remove(request_id)
            self._add_error(request_id, error)

    def notify(self, method: str, params_json: bytes) -> None:
        """Send a notification that is no stream event, such as ``session.goodbye``."""
        if self.close_reason is None:
            head = b'{"jsonrpc":"2.0","method":%b,"params":' % encode_json(method)
            self._add(b"%b%b}\n" % (head, params_json))

    def event(self, stream_json: bytes, *, merge_key: str | None = None) -> None:
        """Send a stream event; ``stream_json`` is the object ``{"topic", "n", "event", …}``.

        An event with a ``merge_key`` may be replaced by a newer one of the same key when the reader is slow;
        the newer one then says ``"merged": how many``. Events without a key are never dropped: a connection
        that cannot take them is closed with ``slow_consumer``.
        """
        if self.close_reason is not None:
            return
        if self._newest is None and not self._has_room(len(stream_json)):
            self.flush_now()
            if not self._has_room(len(stream_json)):
                self._begin_merging()
        if self._newest is not None:
            stream_json = self._merge(stream_json, merge_key)
            if not self._has_room(len(stream_json)):
                self._drop_events()
                self.close(make_error("slow_consumer"))
                return
        frame = b"%b%b}\n" % (_EVENT_HEAD, stream_json)
        self._marks.append((len(self._out), merge_key))
        self._out.append(frame)
        self._events += 1
        self._event_bytes += len(frame)
        if not self._woken:
            self._woken = True
            self.wake()

    def close(self, reason: RpcError | str) -> None:
        """Close after what waits was sent; an :class:`RpcError` is told to the peer first (with id null)."""
        if self.close_reason is not None:
            return
        self._woken = True
        if isinstance(reason, RpcError):
            self._add_error(None, reason)
            self.close_reason = reason.data.reason
        else:
            self.close_reason = reason
        self.wake()

    def take_output(self) -> bytes:
        """Everything that waits, as one piece; empty when nothing does."""
        self._woken = False
        out = self._out
        if not out:
            return b""
        self._out = []
        self._reply_bytes = 0
        if self._marks:
            self._marks = []
            self._events = self._event_bytes = self._blanks = 0
            self._newest = None
            self._merged = {}
        return out[0] if len(out) == 1 else b"".join(out)

    def _unhook(self) -> None:
        """Let go of the shell, so that neither keeps the other in memory."""
        self.wake = self.flush_now = self.abort = _ignore

    def _add(self, line: bytes) -> None:
        self._out.append(line)
        self._reply_bytes += len(line)
        self._wake()

    def _add_error(self, request_id: RequestId | None, error: RpcError) -> None:
        if self.close_reason is None:
            self._add(b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (encode_json(request_id), encode_json(error)))

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.wake()

    def _has_room(self, size: int) -> bool:
        limits = self.limits
        return self._events < limits.waiting_max_events and self._event_bytes + size <= limits.waiting_max_event_bytes

    def _begin_merging(self) -> None:
        """From now until output is taken, only the newest event of a key waits."""
        self._newest = {}
        for index, key in self._marks:
            if key is not None:
                if key in self._newest:
                    self._blank(self._newest[key], key)
                self._newest[key] = index
        for key, count in self._merged.items():
            index = self._newest[key]
            line = b'%b{"merged":%d,%b' % (_EVENT_HEAD, count, self._out[index][len(_EVENT_HEAD) + 1 :])
            self._event_bytes += len(line) - len(self._out[index])
            self._out[index] = line

    def _blank(self, index: int, key: str) -> None:
        self._events -= 1
        self._event_bytes -= len(self._out[index])
        self._out[index] = b""
        self._blanks += 1
        self._merged[key] = self._merged.get(key, 0) + 1

    def _merge(self, stream_json: bytes, key: str | None) -> bytes:
        """Take out what ``stream_json`` replaces and say in it how many events it stands for."""
        assert self._newest is not None
        if key is None:
            return stream_json
        if self._blanks > _COMPACT_AFTER_BLANKS:
            self._compact()
        if key in self._newest:
            self._blank(self._newest[key], key)
        self._newest[key] = len(self._out)
        merged = self._merged.get(key)
        return stream_json if merged is None else b'{"merged":%d,%b' % (merged, stream_json[1:])

    def _compact(self) -> None:
        """Remove blanked places. Places move, so marks are made anew."""
        assert self._newest is not None
        keys = dict(self._marks)
        out: list[bytes] = []
        self._marks = []
        self._newest = {}
        for index, line in enumerate(self._out):
            if not line:
                continue
            if index in keys:
                key = keys[index]
                self._marks.append((len(out), key))
                if key is not None:
                    self._newest[key] = len(out)
            out.append(line)
        self._out = out
        self._blanks = 0

    def _drop_events(self) -> None:
        """Leave only answers waiting."""
        for index, _ in self._marks:
            self._out[index] = b""
        self._marks = []
        self._events = self._event_bytes = 0
        self._newest = None
