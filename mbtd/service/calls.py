"""``auth.call``: a request for somebody in one breath, as the gateway makes them (docs/adr/0025).

The answer is ``{"who", "rate", "result"}``, or ``"error"`` in place of the result: who the credentials belong to,
what is left of the account's rate, and what the named method answered. Invariants: the method is begun only when the
login is good and the rate allows it, without a pause in between; it runs as if the caller's connection had asked for
it, and its answer leaves when it would have left; streams, logins and erasure cannot be asked for this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from mbtd.rpc.errors import Refusal, RpcError, make_error, params_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.credential_params import Verify
from mbtd.service.credentials import Credentials
from mbtd.service.desk import Handler
from mbtd.service.reads import Params

_encode = msgspec.json.Encoder().encode
NOT_FOR_OTHERS: Final = ("auth.", "stream.", "updates.", "tape.", "admin.", "session.", "user.")
Forward = Callable[[Session, RequestId, str, msgspec.Raw, int | None], None]


class Call(Verify, frozen=True, kw_only=True):
    """Credentials, and what to do for whoever they belong to."""

    method: Annotated[str, Meta(max_length=64)] = ""
    """None: only say who it is."""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    own: bool = True
    """Give the method the caller's account as ``account``."""


class Calls:
    """Answers the method."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.forward: Forward
        """Set by the daemon: how a request is carried out."""
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {"auth.call": (Call, self._call)}

    def _call(self, session: Session, request_id: RequestId, params: Call) -> None:
        admitted = self._credentials.admit(params)
        if not admitted.rate.allowed or not params.method:
            session.reply(request_id, b"%b}" % admitted.head)
            return
        if params.method.startswith(NOT_FOR_OTHERS):
            refuse("not_permitted")
        given: bytes = bytes(params.params)
        if params.own:
            given = _with_account(given, admitted.account_id)
        relay = Relay(session, admitted.head)
        try:
            self.forward(relay, request_id, params.method, msgspec.Raw(given), None)  # type: ignore[arg-type]
        except Refusal as refusal:
            relay.refuse(request_id, refusal.error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            relay.refuse(request_id, params_error(error))


def _with_account(params: bytes, account_id: str) -> bytes:
    """The parameters with the account in front. Raises the refusal for what is no object."""
    inner = params.strip()
    if inner[:1] != b"{":
        raise Refusal(make_error("invalid_params", "params must be an object", field="params"))
    rest = inner[1:].lstrip()
    comma = b"" if rest[:1] == b"}" else b","
    return b'{"account":"%b"%b%b' % (account_id.encode(), comma, rest)


class Relay:
    """Stands in for the caller's session: puts the answer beside what was said about the login."""

    __slots__ = ("_head", "_session", "limits", "number", "peer", "state")
    on_behalf = True
    """Whoever asks through it sees what the account may see."""

    def __init__(self, session: Session, head: bytes) -> None:
        self._session = session
        self._head = head
        self.peer = session.peer
        self.limits = session.limits
        self.number = session.number
        self.state = session.state

    @property
    def close_reason(self) -> str | None:
        """See :class:`Session`."""
        return self._session.close_reason

    def reply(self, request_id: RequestId, result_json: bytes) -> None:
        """See :class:`Session`."""
        self._session.reply(request_id, b'%b,"result":%b}' % (self._head, result_json))

    def refuse(self, request_id: RequestId, error: RpcError) -> None:
        """See :class:`Session`."""
        self._session.reply(request_id, b'%b,"error":%b}' % (self._head, _encode(error)))

    def event(self, stream_json: bytes, *, merge_key: str | None = None) -> None:
        """See :class:`Session`."""
        self._session.event(stream_json, merge_key=merge_key)


__all__ = ["Call", "Calls"]
