"""The protocol of one connection, without I/O: bytes in, requests out; answers in, bytes out.

Invariants: the same bytes, split anywhere, give the same answers; any bytes give a documented error or a
close, never an exception; requests reach the application in the order sent; beyond the limit of unanswered
requests, or of waiting answers, no further request is handed on and :attr:`Connection.wants_read` is false;
one call hands on a bounded number of requests; a line that was not finished is never carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from mbtd.limits import DEADLINE_MAX_MS, METHOD_MAX_CHARACTERS, REQUEST_ID_MAX_CHARACTERS
from mbtd.rpc.errors import Refusal, RpcError, describe_mismatch, make_error, params_error
from mbtd.rpc.limits import CLIENT_LIMITS, ConnectionLimits
from mbtd.rpc.session import Application, Peer, RequestId, Session

_LOG: Final = logging.getLogger("mbtd.rpc")
_ID_MAX: Final = 2**53
_OPEN_BRACE: Final = ord("{")


class _Request(Struct, forbid_unknown_fields=True, gc=False):
    """One line."""

    jsonrpc: Literal["2.0"]
    id: Annotated[int, Meta(ge=-_ID_MAX, le=_ID_MAX)] | Annotated[str, Meta(max_length=REQUEST_ID_MAX_CHARACTERS)]
    method: Annotated[str, Meta(max_length=METHOD_MAX_CHARACTERS)]
    params: msgspec.Raw = msgspec.Raw(b"{}")
    deadline_ms: Annotated[int, Meta(ge=0, le=DEADLINE_MAX_MS)] | None = None


class _OnlyId(Struct):
    """Finds the id of a line that is no good request."""

    id: Any = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode


def _id_of(line: bytes) -> RequestId | None:
    try:
        found = _decode_id(line).id
    except (ValueError, RecursionError):
        return None
    if type(found) is int and -_ID_MAX <= found <= _ID_MAX:
        return found
    if type(found) is str and len(found) <= REQUEST_ID_MAX_CHARACTERS:
        return found
    return None


def _line_error(error: Exception, line: bytes) -> RpcError:
    """The answer to a line that is no request."""
    if isinstance(error, RecursionError):
        return make_error("invalid_request", "The line is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return make_error("parse_error")
    if line.lstrip()[:1] == b"[":
        return make_error("invalid_request", "Batches are not accepted; send one request a line")
    sentence, field = describe_mismatch(error)
    return make_error("invalid_request", sentence, field=field)


class Connection(Session):
    """One connection: the session, and its input side.

    The shell calls :meth:`feed`, :meth:`eof`, :meth:`tick` and :meth:`lost`. After each of them, and whenever
    :attr:`wake` is called or :attr:`can_go_on` is true, it calls :meth:`pump`, writes :meth:`take_output`,
    and obeys :attr:`wants_read`, :attr:`next_deadline` and :attr:`finished`.
    ``clock`` gives monotonic seconds.
    """

    __slots__ = (
        "_application",
        "_backlog_since",
        "_begun_at",
        "_clock",
        "_ended",
        "_gone",
        "_lines",
        "_next",
        "_tail",
        "_tail_bytes",
    )

    def __init__(
        self,
        application: Application,
        peer: Peer,
        clock: Callable[[], float],
        limits: ConnectionLimits = CLIENT_LIMITS,
        number: int = 0,
    ) -> None:
        super().__init__(peer, limits, number)
        self._application = application
        self._clock = clock
        self._lines: list[bytes] = []
        self._next = 0
        self._backlog_since: float | None = None
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._begun_at: float | None = None
        self._ended = False
        self._gone = False
        application.connected(self)

    @property
    def wants_read(self) -> bool:
        """Whether more bytes are welcome now."""
        return self._next >= len(self._lines) and not self._ended and self._has_capacity()

    @property
    def can_go_on(self) -> bool:
        """Whether :meth:`pump` would hand on a request that waits."""
        return self._next < len(self._lines) and self._has_capacity()

    @property
    def at_rest(self) -> bool:
        """Nothing waits to be handed on, timed or ended, and more bytes are welcome: there is nothing to see to."""
        return (
            not self._tail_bytes
            and self._next >= len(self._lines)
            and self.close_reason is None
            and not self._ended
            and len(self._unanswered) < self.limits.in_flight_max_requests
            and self._reply_bytes <= self.limits.waiting_max_reply_bytes
        )

    @property
    def finished(self) -> bool:
        """Nothing more will come; when the last output is written the transport can be closed."""
        return self.close_reason is not None

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`tick` must be called, in the clock's seconds; None when nothing is timed.

        Time in which the connection itself did not want to read does not count against the peer.
        """
        if self._begun_at is None or not self.wants_read:
            return None
        return self._begun_at + self.limits.unfinished_line_max_s

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self.close_reason is not None or self._ended or not data:
            return
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            if self._tail:
                self._tail.append(lines[0])
                lines[0] = b"".join(self._tail)
                self._tail = []
            self._tail_bytes = 0
            self._begun_at = None
            if self._next < len(self._lines):
                lines = self._lines[self._next :] + lines
            self._lines = lines
            self._next = 0
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        self.pump()

    def pump(self) -> None:
        """Hand on what may be handed on now: after :meth:`feed`, and when answers made room."""
        if self.close_reason is not None:
            self._forget_input()
            return
        lines = self._lines
        index = self._next
        if index < len(lines):
            unanswered, limits = self._unanswered, self.limits
            limit, reply_limit = limits.in_flight_max_requests, limits.waiting_max_reply_bytes
            count = len(lines)
            stop = index + limits.turn_max_requests
            if stop > count:
                stop = count
            while index < stop and len(unanswered) < limit and self._reply_bytes <= reply_limit:
                self._next = index + 1
                self._handle(lines[index])
                if self._is_closing():
                    self._forget_input()
                    return
                index += 1
            if index < count:
                if self._backlog_since is None:
                    self._backlog_since = self._clock()
                return
            self._lines = []
            self._next = 0
            self._backlog_since = None
        if self._tail_bytes:
            self._check_tail()
        if self._ended and not self._unanswered and not self._is_closing():
            self.close("end of input")

    def eof(self) -> None:
        """The peer sends no more; what it asked is still answered. A line without its end is dropped."""
        self._ended = True
        self._tail = []
        self._tail_bytes = 0
        self._begun_at = None
        self.pump()

    def tick(self) -> None:
        """Act on a passed deadline."""
        deadline = self.next_deadline
        if deadline is not None and self._clock() >= deadline:
            self.close(make_error("unfinished_line_timeout"))
            self._forget_input()

    def lost(self) -> None:
        """The transport is gone; the application is told, once."""
        if self.close_reason is None:
            self.close_reason = "connection lost"
        self._forget_input()
        self._unanswered.clear()
        self._unhook()
        if not self._gone:
            self._gone = True
            self._application.disconnected(self)

    def _has_capacity(self) -> bool:
        return (
            len(self._unanswered) < self.limits.in_flight_max_requests
            and self._reply_bytes <= self.limits.waiting_max_reply_bytes
            and self.close_reason is None
        )

    def _is_closing(self) -> bool:
        return self.close_reason is not None

    def _forget_input(self) -> None:
        self._lines = []
        self._next = 0
        self._tail = []
        self._tail_bytes = 0
        self._begun_at = None

    def _check_tail(self) -> None:
        if self._tail_bytes > self.limits.line_max_bytes:
            self.close(make_error("line_too_long"))
            self._forget_input()
        elif not self.wants_read:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = self._clock()

    def _handle(self, line: bytes) -> None:
        if len(line) > self.limits.line_max_bytes:
            self.close(make_error("line_too_long"))
            return
        try:
            if not line.isascii():
                line.decode()
            request = _decode(line)
        except (ValueError, RecursionError) as error:
            known_id = None if isinstance(error, UnicodeDecodeError) else _id_of(line)
            self._add_error(known_id, _line_error(error, line))
            return
        request_id = request.id
        params = request.params
        if memoryview(params)[0] != _OPEN_BRACE:
            error_ = make_error("invalid_params", "params must be an object", field="params")
            self._add_error(request_id, error_)
            return
        if request_id in self._unanswered:
            self._add_error(request_id, make_error("duplicate_request_id"))
            return
        deadline_ms = request.deadline_ms
        if deadline_ms is not None and self._backlog_since is not None:
            deadline_ms -= int((self._clock() - self._backlog_since) * 1000)
            if deadline_ms < 0:
                self._add_error(request_id, make_error("deadline_exceeded"))
                return
        self._unanswered.add(request_id)
        try:
            self._application.request(self, request_id, request.method, params, deadline_ms)
        except Refusal as refusal:
            self.refuse(request_id, refusal.error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.refuse(request_id, params_error(error))
        except Exception:
            _LOG.exception("request.failed", extra={"conn": self.number})
            self.refuse(request_id, make_error("internal_error"))
