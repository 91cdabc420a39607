"""The application behind the sockets: commands into mailboxes, reads behind what they depend on.

Invariants: a request is read and refused by name before it is queued; requests of one connection for one account
take effect in the order sent; an answer leaves when what it shows is durable; whoever lacks the right hears
``not_permitted`` and nothing about whether the account exists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from actors.book.ids import derive_order_ids
from actors.book.outcome import Closed, Placed
from actors.book.rules.margin.outside import SearchNeeded
from actors.book.rules.reasons import Refusal as RuleRefusal
from actors.book.rules.reasons import refuse as rule_refusal
from actors.commands import CreateAccount, ReplaceOrder
from actors.engine import Created
from actors.inputs import Envelope, Issued
from actors.market.world import World
from mbtd.core import Core
from mbtd.entropy import SystemEntropy
from mbtd.failpoints import reach
from mbtd.keys import IssuedKey, issue_key
from mbtd.methods import DECODERS, PREVIEWS
from mbtd.records.accounts import render_account
from mbtd.records.lots import render_closing
from mbtd.records.orders import (
    TERMINAL,
    OrderView,
    accepted_record,
    live_legs,
    record_of,
    render_order,
    view_order,
)
from mbtd.rpc.errors import make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.order_views import find_change
from mbtd.service.preview import preview
from mbtd.service.refusals import rpc_error
from mbtd.service.structures import structure_body, structure_words
from mbtd.service.turns import answered, queue_turn

_encode = msgspec.json.Encoder().encode
_PREVIEWS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in PREVIEWS.items()
}
PRIVILEGED = frozenset({"order.cancel", "order.cancel_all"})
"""May use the reserved places of a mailbox."""
OPERATORS_ONLY = frozenset({"account.recall_borrow", "account.clear_pattern_day_trader"})
"""What the market does to an account, and no trader to itself."""


class _PlacedReply(Struct, frozen=True, gc=False, omit_defaults=True):
    """The answer to ``order.place``."""

    order: OrderView
    seq: int
    duplicate: bool
    structure_id: str | None = None
    """The structure that the order opens or is part of."""
    warnings: list[dict[str, Any]] | None = None


class Reader(Protocol):
    """The reading half of the service."""

    def handles(self, method: str) -> bool:
        """Whether this is one of its methods."""

    def request(
        self, session: Session, request_id: RequestId, method: str, params: bytes, deadline_ms: int | None
    ) -> None:
        """Answer, now or later."""


class Extension(Reader, Protocol):
    """More methods, which may remember a connection."""

    def drop(self, session: Session) -> None:
        """A client is gone."""


class App:
    """One daemon's answer to its clients."""

    def __init__(
        self,
        core: Core,
        reader: Reader,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._core = core
        self._reader = reader
        self._spawn = spawn
        self._entropy = SystemEntropy()
        self.stopping = False
        self.requests = 0
        self.world_of: Callable[[Session, int], World] = lambda session, account_no: core.engine.world
        """With which marks an account is shown to a connection."""
        self.extension: Extension | None = None
        """Methods for the gateway; looked up before the readers'."""

    # ── the connection's calls ───────────────────────────────────────────────────────────────────────────

    def connected(self, session: Session) -> None:
        """A client is here."""
        session.state = Envelope("native", f"uid:{session.peer.uid}")

    def disconnected(self, session: Session) -> None:
        """A client is gone; what it asked for still happens."""
        self._core.hub.drop(session)
        if self.extension is not None:
            self.extension.drop(session)

    def request(
        self, session: Session, request_id: RequestId, method: str, params: msgspec.Raw, deadline_ms: int | None
    ) -> None:
        """One request."""
        self.requests += 1
        decoder = DECODERS.get(method)
        if decoder is not None:
            self._command(session, request_id, method, decoder.decode(params), deadline_ms)
        elif method in _PREVIEWS:
            self._preview(session, request_id, _PREVIEWS[method].decode(params), deadline_ms)
        elif self.extension is not None and self.extension.handles(method):
            self.extension.request(session, request_id, method, bytes(params), deadline_ms)
        elif self._reader.handles(method):
            self._reader.request(session, request_id, method, bytes(params), deadline_ms)
        else:
            refuse("method_not_found", f"There is no method {method[:64]}")

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────

    def _command(
        self, session: Session, request_id: RequestId, method: str, action: Any, deadline_ms: int | None
    ) -> None:
        core = self._core
        if self.stopping:
            refuse("shutting_down")
        if core.storage_state != "ok":
            refuse("storage_full")
        if type(action) is CreateAccount:
            if not self._may(session, "create", None):
                refuse("not_permitted")
            account_no = 0
        else:
            account_no = self.account_no(session, "trade", action.account)
        if method in OPERATORS_ONLY and session.peer.role not in ("operator", "service"):
            refuse("not_permitted")

        queue_turn(
            core,
            session,
            request_id,
            account_no,
            partial(self._run, session, request_id, method, account_no, action),
            deadline_ms,
            privileged=method in PRIVILEGED,
        )

    def account_no(self, session: Session, right: str, id_or_name: str) -> int:
        """The account that a request names. Raises a refusal."""
        if not id_or_name:
            raise msgspec.ValidationError("Object missing required field `account`")
        account_no = self._core.engine.house.find(id_or_name)
        if not self._may(session, right, account_no):
            refuse("not_permitted")
        if account_no is None:
            refuse("unknown_account", field="account")
        return account_no

    def _run(self, session: Session, request_id: RequestId, method: str, account_no: int, action: Any) -> None:
        core = self._core
        engine = core.engine
        envelope = session.state if isinstance(session.state, Envelope) else Envelope()
        key: IssuedKey | None = None
        issued: Issued | None = None
        if account_no == 0:
            key = issue_key(self._entropy)
            issued = Issued(self._entropy.draw(32), key.key_id, key.salt, key.secret_hash)
        elif account_no not in engine.books and not core.residency.bring(account_no):
            session.refuse(request_id, make_error("unknown_account", field="account"))
            return
        outcome = engine.command(account_no, action, core.now(), envelope, issued)
        if account_no == 0:
            reach("account.create.middle")
        seq = engine.seq
        if type(outcome) is Placed:
            self._answer_placed(session, request_id, account_no, outcome, method, seq)
            return
        if type(outcome) is RuleRefusal:
            if outcome.reason == "order_not_found":
                self._refuse_gone(session, request_id, account_no, action, outcome, seq)
                return
            error = rpc_error(outcome)
            core.outbox.put(
                seq, partial(session.refuse, request_id, error), partial(_tell_unknown, session, request_id)
            )
            return
        if isinstance(outcome, Created) and key is not None:
            body = _encode(
                {
                    "account_id": outcome.account_id,
                    "name": outcome.name,
                    "api_key": key.key_id,
                    "api_secret": key.secret.reveal(),
                }
            )
        else:
            self._answer_done(
                session,
                request_id,
                account_no,
                partial(self._done_body, session, account_no, method, outcome, action),
            )
            return
        core.outbox.put(seq, partial(session.reply, request_id, body), partial(_tell_unknown, session, request_id))

    def _answer_placed(
        self, session: Session, request_id: RequestId, account_no: int, placed: Placed, method: str, seq: int
    ) -> None:
        core = self._core
        book = core.engine.books[account_no]
        if placed.terms is None:
            self._answer_old(session, request_id, account_no, placed.order_no, seq)
            return
        record = accepted_record(placed.terms, placed.terms.submitted_at)
        if placed.duplicate and (live := book.orders.get(placed.order_no)) is not None:
            record = record_of(book, live)
        legs = None
        if placed.terms.group_no:
            legs = [accepted_record(leg, leg.submitted_at) for leg in placed.legs] or live_legs(book, placed.terms)
        if method == "order.replace":
            replaced = derive_order_ids(book.seed, book.epoch, placed.terms.replaces)[0]
            body = _encode({**render_order(record, legs), "replaces": replaced})
        else:
            body = _encode(
                _PlacedReply(view_order(record, legs), seq, placed.duplicate, **structure_words(book, placed))
            )
        core.outbox.put(seq, partial(session.reply, request_id, body), partial(_tell_unknown, session, request_id))

    def _answer_old(self, session: Session, request_id: RequestId, account_no: int, order_no: int, seq: int) -> None:
        """A repeat of an order that has ended: its record comes from history."""

        async def answer() -> None:
            record = await self._core_history(account_no, order_no, seq)
            if record is None:
                session.refuse(request_id, make_error("internal_error", "The order's record is missing"))
            else:
                session.reply(request_id, _encode({"order": render_order(record), "seq": seq, "duplicate": True}))

        self._spawn(lambda: answered(session, request_id, answer))

    def _refuse_gone(
        self, session: Session, request_id: RequestId, account_no: int, action: Any, refusal: RuleRefusal, seq: int
    ) -> None:
        """A change of an order that is not live: it is not yet, it never was, or history says how it ended."""
        coming = None
        if isinstance(action, ReplaceOrder) and account_no in self._core.engine.books:
            book = self._core.engine.books[account_no]
            coming = find_change(book, action.order_id, action.client_order_id)

        async def answer() -> None:
            record = await self._find_order(account_no, action.order_id, action.client_order_id, seq)
            final = refusal
            if coming is not None:
                final = rule_refusal("order_not_replaceable", "order_id", status=coming.status)
            elif record is not None and record.status == "replaced" and isinstance(action, ReplaceOrder):
                final = rule_refusal("order_already_replaced", "order_id", replaced_by=record.replaced_by)
            elif record is not None and record.status in TERMINAL:
                final = rule_refusal("order_not_open", "order_id", status=record.status)
            session.refuse(request_id, rpc_error(final))

        self._spawn(answer)

    _core_history: Callable[[int, int, int], Awaitable[Any]]
    _find_order: Callable[[int, str | None, str | None, int], Awaitable[Any]]

    def set_history(
        self,
        lookup: Callable[[int, int, int], Awaitable[Any]],
        find: Callable[[int, str | None, str | None, int], Awaitable[Any]],
    ) -> None:
        """How an ended order's record is found: by account, order number and the event number to wait for, or by
        account, order id, client order id and that event number."""
        self._core_history = lookup
        self._find_order = find

    def _answer_done(
        self, session: Session, request_id: RequestId, account_no: int, make: Callable[[], bytes]
    ) -> None:
        """Answer a command that is done; figures that need a search are shown in a turn of their own, the next."""
        core = self._core
        engine = core.engine

        def leave(body: bytes) -> None:
            unknown = partial(_tell_unknown, session, request_id)
            core.outbox.put(engine.seq, partial(session.reply, request_id, body), unknown)

        def later() -> None:
            if not core.residency.bring(account_no):
                refuse("unknown_account", field="account")
            with engine.asking():
                leave(make())

        try:
            with engine.asking(anew=True):
                body = make()
        except SearchNeeded:
            queue_turn(core, session, request_id, account_no, later, next_of_all=True)
        else:
            leave(body)

    def _done_body(self, session: Session, account_no: int, method: str, outcome: Any, action: Any) -> bytes:
        engine = self._core.engine
        if method == "order.cancel_all":
            book = engine.books[account_no]
            ids = [book.orders[no].terms.order_id for no in outcome.order_nos if no in book.orders]
            asked: list[dict[str, Any]] = [{"id": order_id, "status": 200} for order_id in ids]
            return _encode(asked + [{"id": order_id} | _refused_entry(why) for order_id, why in outcome.left])
        if isinstance(outcome, Closed):
            return _encode([_closed_item(symbol, item) for symbol, item in outcome.items])
        if method == "lot.assign":
            return _encode(render_closing(engine.books[account_no], action.fill_id))
        if method.startswith("structure."):
            book = engine.books[account_no]
            return _encode(structure_body(book, action.structure_id, engine.world, self._core.now()))
        if method.startswith("account."):
            book = engine.books[account_no]
            user = engine.house.users.get(book.user_id)
            name = self._core.lines.names.get(account_no, "")
            world = self.world_of(session, account_no)
            return _encode(render_account(book, name, user.tier if user else "free", world))
        return b"{}"

    # ── preview ──────────────────────────────────────────────────────────────────────────────────────────

    def _preview(self, session: Session, request_id: RequestId, action: Any, deadline_ms: int | None) -> None:
        core = self._core
        account_no = self.account_no(session, "read", action.account)

        def work() -> None:
            if not core.residency.bring(account_no):
                refuse("unknown_account", field="account")
            with core.engine.asking():
                body = _encode(preview(core.engine, account_no, action, core.now()))
            core.outbox.put(core.engine.seq, lambda: session.reply(request_id, body))

        queue_turn(core, session, request_id, account_no, work, deadline_ms)

    def _may(self, session: Session, right: str, account_no: int | None) -> bool:
        """Whether a connection has a right, ``read``, ``trade`` or ``create``, on an account."""
        role = session.peer.role
        if role == "trader":
            find = self._core.engine.house.find
            return account_no is not None and any(find(name) == account_no for name in session.peer.accounts)
        return role in ("operator", "service") or (role == "viewer" and right == "read")


def _refused_entry(refusal: RuleRefusal) -> dict[str, Any]:
    """What an entry of a list says that was not done."""
    error = rpc_error(refusal)
    alpaca = error.data.alpaca
    return {"status": alpaca.status if alpaca else 422, "body": error}


def _closed_item(symbol: str, item: Placed | RuleRefusal) -> dict[str, Any]:
    """One position's answer to ``position.close_all`` (alpaca-api §2.10)."""
    if isinstance(item, RuleRefusal):
        return {"symbol": symbol} | _refused_entry(item)
    assert item.terms is not None
    order = render_order(accepted_record(item.terms, item.terms.submitted_at))
    return {"symbol": symbol, "status": 200, "order_id": item.terms.order_id, "body": order}


def _tell_unknown(session: Session, request_id: RequestId) -> None:
    session.refuse(request_id, make_error("outcome_unknown"))
