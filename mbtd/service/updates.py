"""Trade updates: what happened to an account's orders, each with the whole order as of that moment (alpaca-api §3.3).

Invariants: an order's record follows the same events as its row in history, so the order in an update is the order at
that event and no later one; updates leave behind the reply of their step and only when they are durable. Records
of live orders are kept only for accounts that somebody listens to. A listener that names the last ``n`` it saw
gets what it missed from the archive, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.book import events as e
from actors.book.events import Event
from actors.book.ids import derive_fill_id
from actors.book.units import format_price, format_qty, format_time
from actors.inputs import Section, Step
from mbtd.core import Core
from mbtd.records.orders import (
    TERMINAL,
    OrderRecord,
    accepted_record,
    follow,
    record_of,
    render_order,
    replacing_record,
)
from mbtd.records.trade_updates import event_id_of, trade_update, unit_execution, with_legs
from mbtd.rpc.errors import make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.reads import OfAccount, Params
from mbtd.service.turns import queue_turn
from storage.history import History

_encode = msgspec.json.Encoder().encode
_event_decoder = msgspec.msgpack.Decoder(Event)
MISSED_MAX: Final = 2_000


class UpdatesFollow(OfAccount, frozen=True, kw_only=True):
    """Listen to an account's trade updates, from the one after ``from_n`` if it is given."""

    from_n: int | None = None


class Records:
    """The records of one account's live orders, following its events."""

    def __init__(self, records: dict[int, OrderRecord]) -> None:
        self.records = records

    def take(self, account: str, section: Section, index: int, at: int) -> list[dict[str, Any]]:
        """Follow one event; the updates that it makes."""
        event: Any = section.events[index]
        order_no = getattr(event, "order_no", 0)
        if isinstance(event, e.OrderAccepted):
            self.records[order_no] = accepted_record(event, at)
        before = self.records.get(order_no)
        if not order_no or before is None:
            return []
        name = trade_update(event, was_held=before.status == "held")
        if isinstance(event, e.OrderReplaced):
            new = self.records[event.terms.order_no] = replacing_record(before, event, at)
        after = self.records[order_no] = follow(before, event, at)
        updates = [self._update(name, order_no, at, section, index)] if name is not None else []
        if isinstance(event, e.OrderReplaced):
            # Alpaca tells of the replacing order by the name of its first status.
            shown = "held" if new.status == "held" else "new"
            updates.append(self._update(shown, event.terms.order_no, at, section, index, 1))
        if after.status in TERMINAL:
            del self.records[order_no]
        return updates

    def _update(
        self, name: str, order_no: int, at: int, section: Section, index: int, line: int = 0
    ) -> dict[str, Any]:
        record = self.records[order_no]
        time = format_time(at)
        update: dict[str, Any] = {
            "event": name,
            "at": time,
            "timestamp": time,
            "event_id": event_id_of(section.account_no, section.n_first + index, line, at),
        }
        event: Any = section.events[index]
        if isinstance(event, e.OrderFilled) and record.terms.legs:
            record = with_legs(record, section.events, index)
        update["order"] = render_order(record)
        if isinstance(event, e.OrderFilled):
            update["execution_id"] = derive_fill_id(record.terms.order_id, event.fill_no)
            update["price"] = format_price(event.price)
            update["qty"] = format_qty(event.qty)
            if record.terms.legs:
                return update | unit_execution(record, section.events, index, time)
            for later in section.events[index + 1 :]:
                if isinstance(later, e.PositionChanged) and later.symbol == record.terms.symbol:
                    update["position_qty"] = format_qty(later.qty)
                    break
        return update


class Updates:
    """All listeners of one daemon. Give it every step, in order."""

    def __init__(self, desk: Desk, history: History, spawn: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        self._desk = desk
        self._core: Core = desk.core
        self._history = history
        self._spawn = spawn
        self._accounts: dict[int, Records] = {}
        self._listeners: dict[int, dict[Session, str]] = {}
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "updates.follow": (UpdatesFollow, self._follow),
            "updates.leave": (OfAccount, self._leave),
        }

    def steps(self, steps: Sequence[Step]) -> None:
        """The engine has done these; they are not durable yet."""
        if not self._accounts:
            return
        for step in steps:
            seq = step.seq_first
            for section in step.sections:
                records = self._accounts.get(section.account_no)
                if records is not None:
                    self._section(records, step, section, seq)
                seq += len(section.events)

    def _section(self, records: Records, step: Step, section: Section, seq: int) -> None:
        account = self._desk.account_id(section.account_no)
        listeners = self._listeners[section.account_no]
        for index in range(len(section.events)):
            for update in records.take(account, section, index, step.at):
                for session, topic in listeners.items():
                    body = _body(topic, section.n_first + index, update)
                    self._core.outbox.put(seq + index, lambda s=session, b=body: s.event(b))  # type: ignore[misc]

    def drop(self, session: Session) -> None:
        """Forget a session."""
        for account_no in [no for no, listeners in self._listeners.items() if session in listeners]:
            self._remove(account_no, session)

    def _remove(self, account_no: int, session: Session) -> None:
        listeners = self._listeners.get(account_no, {})
        listeners.pop(session, None)
        if not listeners:
            self._listeners.pop(account_no, None)
            self._accounts.pop(account_no, None)

    def _leave(self, session: Session, request_id: RequestId, params: OfAccount) -> None:
        self._remove(self._desk.account_no(params.account), session)
        self._desk.reply(session, request_id, {})

    def _follow(self, session: Session, request_id: RequestId, params: UpdatesFollow) -> None:
        core = self._core
        account_no = self._desk.account_no(params.account)
        topic = f"updates:{params.account}"

        def work() -> None:
            core.hand_on()
            if not core.residency.bring(account_no):
                refuse("unknown_account", field="account")
            book = core.engine.books[account_no]
            if account_no not in self._accounts:
                live = {no: record_of(book, order) for no, order in book.orders.items()}
                self._accounts[account_no] = Records(live)
            n = book.n
            if params.from_n is not None and params.from_n < n:
                self._resume(session, request_id, account_no, topic, params.from_n, n)
                return
            self._listeners.setdefault(account_no, {})[session] = topic
            body = _encode({"topic": topic, "n": n})
            core.outbox.put(core.engine.seq, lambda: session.reply(request_id, body))

        queue_turn(core, session, request_id, account_no, work)

    def _resume(
        self, session: Session, request_id: RequestId, account_no: int, topic: str, from_n: int, until_n: int
    ) -> None:
        """Send what was missed from the archive, hold what comes meanwhile, then go on live."""
        core = self._core
        seq = core.engine.seq
        held = _Held()
        self._listeners.setdefault(account_no, {})[held] = topic  # type: ignore[index]

        async def run() -> None:
            try:
                await core.wait_projected(seq)
                rows = await self._history.events(account_no, from_n + 1, MISSED_MAX + 1)
                if len(rows) > MISSED_MAX or not rows or rows[0][1] != from_n + 1:
                    session.refuse(request_id, make_error("resync_required", field="from_n"))
                    return
                bodies = await self._missed(account_no, topic, [row for row in rows if row[1] <= until_n], from_n)
                session.reply(request_id, _encode({"topic": topic, "n": from_n}))
                for body in (*bodies, *held.bodies):
                    session.event(body)
                if session.close_reason is None:
                    self._listeners[account_no][session] = topic
            finally:
                self._remove(account_no, held)  # type: ignore[arg-type]

        self._spawn(run)

    async def _missed(self, account_no: int, topic: str, rows: list[Any], from_n: int) -> list[bytes]:
        """The updates of archived events; an order's earlier events are read first, to know how it stood."""
        records = Records({})
        known: set[int] = set()
        bodies: list[bytes] = []
        account = self._desk.account_id(account_no)
        events = [_event_decoder.decode(row[6]) for row in rows]
        for index, (row, event) in enumerate(zip(rows, events, strict=True)):
            order_no = getattr(event, "order_no", 0)
            if order_no and order_no not in known:
                known.add(order_no)
                for earlier in await self._history.order_events(account_no, order_no):
                    if earlier[1] <= from_n:
                        past = Section(account_no, earlier[1], (_event_decoder.decode(earlier[6]),))
                        records.take(account, past, 0, earlier[3])
            section = Section(account_no, rows[0][1], tuple(events))
            for update in records.take(account, section, index, row[3]):
                bodies.append(_body(topic, row[1], update))
        return bodies


class _Held:
    """Stands in for a session and keeps what comes."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.close_reason: str | None = None

    def event(self, body: bytes, *, merge_key: str | None = None) -> None:
        """Keep it."""
        self.bodies.append(body)


def _body(topic: str, n: int, update: dict[str, Any]) -> bytes:
    return _encode({"topic": topic, "n": n, "update": update})
