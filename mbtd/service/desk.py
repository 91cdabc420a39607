"""What the keys', sessions' and lists' methods share: who may ask, the house's turn, the answer when it is durable.

Invariants: only the operator and services act for others; a command to the house runs in the house's own mailbox;
its answer, and what followers of the house hear of it, leave when it is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from actors.book.ids import derive_account_id
from actors.house.commands import HouseCommand
from actors.house.state import HOUSE_NO, House
from actors.inputs import Envelope
from mbtd.core import Core
from mbtd.entropy import SystemEntropy
from mbtd.rpc.errors import make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.refusals import rpc_error
from mbtd.service.turns import queue_turn

_encode = msgspec.json.Encoder().encode
Handler = Callable[[Session, RequestId, Any], None]
AUTH_TOPIC = "auth"
IDS_KEPT = 10_000


class Desk:
    """The house's counter for one daemon."""

    def __init__(self, core: Core, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.core = core
        self.entropy = SystemEntropy()
        self.wall_ns = wall_ns
        self._followers: dict[Session, None] = {}
        self._n = 0
        self._ids: dict[int, str] = {}

    @property
    def house(self) -> House:
        """The house's state."""
        return self.core.engine.house

    def check_service(self, session: Session) -> None:
        """Only the operator and services. Raises the refusal."""
        if session.peer.role not in ("operator", "service"):
            refuse("not_permitted")

    def account_no(self, id_or_name: str) -> int:
        """The account that a request names. Raises the refusal."""
        account_no = self.house.find(id_or_name)
        if account_no is None:
            refuse("unknown_account", field="account")
        return account_no

    def account_id(self, account_no: int) -> str:
        """An account's id."""
        found = self._ids.get(account_no)
        if found is None:
            if len(self._ids) >= IDS_KEPT:
                self._ids.clear()
            found = self._ids[account_no] = derive_account_id(self.core.engine.seed, account_no)
        return found

    def tier_of(self, account_no: int) -> str:
        """The tier of an account's user."""
        user = self.house.users.get(self.house.owners.get(account_no, ""))
        return user.tier if user is not None else "free"

    def reply(self, session: Session, request_id: RequestId, result: Any) -> None:
        """Answer at once."""
        session.reply(request_id, _encode(result))

    def tell(
        self,
        session: Session,
        request_id: RequestId,
        command: HouseCommand,
        answer: Callable[[], Any],
        notices: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        """Run a command in the house's turn; ``answer`` is the result, ``notices`` what followers hear."""
        core = self.core
        if core.storage_state != "ok":
            refuse("storage_full")

        def work() -> None:
            envelope = session.state if isinstance(session.state, Envelope) else Envelope()
            refusal = core.engine.house_command(command, core.now(), envelope)
            seq = core.engine.seq
            if refusal is not None:
                error = rpc_error(refusal)
                core.outbox.put(seq, lambda: session.refuse(request_id, error))
                return
            body, told = _encode(answer()), notices()

            def leave() -> None:
                for notice in told:
                    self.publish(notice)
                session.reply(request_id, body)

            core.outbox.put(seq, leave, lambda: session.refuse(request_id, make_error("outcome_unknown")))

        queue_turn(core, session, request_id, HOUSE_NO, work)

    # ── followers ────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, session: Session, request_id: RequestId) -> None:
        """Have a session hear of revocations and tier changes from now on."""
        self._followers[session] = None
        self.reply(session, request_id, {"topic": AUTH_TOPIC, "n": self._n})

    def drop(self, session: Session) -> None:
        """Forget a session."""
        self._followers.pop(session, None)

    def publish(self, notice: dict[str, Any]) -> None:
        """Tell the followers."""
        self._n += 1
        body = _encode({"topic": AUTH_TOPIC, "n": self._n, **notice})
        for session in list(self._followers):
            session.event(body)
