"""Starting streams: a snapshot with its number, or the events that were missed (operations §4).

Invariants: the snapshot and the first event after it leave no gap and no overlap, because both are decided in
one turn of the account; a resume beyond what is kept answers ``resync_required``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actors.book import events as e
from actors.book.events import Event
from actors.inputs import Section
from actors.market.world import World
from mbtd.core import Core
from mbtd.records.accounts import render_account, render_position
from mbtd.records.lines import Lines, ends
from mbtd.records.market import render_quote
from mbtd.records.orders import live_legs, record_of, render_order
from mbtd.records.projection import decode_order
from mbtd.rpc.errors import make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.reads import Subscribe
from mbtd.service.turns import answered, queue_turn
from storage.history import History

_encode = msgspec.json.Encoder().encode
_event_decoder = msgspec.msgpack.Decoder(Event)
RESUME_MAX_EVENTS = 5_000


class Subscriber:
    """One ``stream.subscribe`` request."""

    def __init__(
        self,
        core: Core,
        history: History,
        account_no: Callable[[Session, str, str], int],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        sees_present: Callable[[Session], bool],
        world_of: Callable[[Session, int], World],
    ) -> None:
        self._core = core
        self._history = history
        self._account_no = account_no
        self._spawn = spawn
        self._sees_present = sees_present
        self._world_of = world_of

    def run(self, session: Session, request_id: RequestId, params: Subscribe) -> None:
        """Subscribe to all topics, or to none."""
        if not params.topics:
            refuse("invalid_params", "topics is empty", field="topics")
        if self._core.hub.count(session) + len(params.topics) > session.limits.subscriptions_max:
            refuse("too_many_subscriptions", field="topics")
        accounts: list[tuple[int, str]] = []
        symbols: list[tuple[str, str]] = []
        for topic in params.topics:
            kind, _, name = topic.partition(":")
            if kind == "account" and name:
                accounts.append((self._account_no(session, "read", name), topic))
            elif kind == "quotes" and name:
                if not self._sees_present(session):
                    refuse("not_entitled", "Quote streams are in real time; ask quote.get", field="topics")
                if name not in self._core.engine.world.instruments.by_symbol:
                    refuse("invalid_params", f"unknown symbol {name[:24]}", field="topics")
                symbols.append((name, topic))
            else:
                refuse("invalid_params", "a topic is account:<id> or quotes:<symbol>", field="topics")
        if params.from_n is not None and (len(accounts) != 1 or symbols):
            refuse("invalid_params", "from_n goes with exactly one account topic", field="from_n")
        self._start(session, request_id, accounts, symbols, params.from_n)

    def _start(
        self,
        session: Session,
        request_id: RequestId,
        accounts: list[tuple[int, str]],
        symbols: list[tuple[str, str]],
        from_n: int | None,
    ) -> None:
        core = self._core
        first = accounts[0][0] if accounts else 0

        def work() -> None:
            core.hand_on()
            topics: dict[str, Any] = {}
            for account_no, topic in accounts:
                if not core.residency.bring(account_no):
                    refuse("unknown_account", field="topics")
                book = core.engine.books[account_no]
                if from_n is not None and not book.n - RESUME_MAX_EVENTS <= from_n <= book.n:
                    refuse("resync_required", field="from_n")
                topics[topic] = {"n": book.n if from_n is None else from_n}
                if from_n is None:
                    with core.engine.asking():
                        topics[topic]["snapshot"] = self._snapshot(session, account_no)
            for symbol, topic in symbols:
                slot = core.engine.world.board.slots.get(symbol)
                topics[topic] = {
                    "n": slot.quote_seq if slot else 0,
                    "snapshot": {"quote": render_quote(slot) if slot else None},
                }
                core.hub.subscribe_quotes(session, symbol, topic)
                if core.interest is not None:
                    core.interest.ask(symbol)
            if from_n is not None:
                self._resume(session, request_id, accounts[0], from_n, topics)
                return
            for account_no, topic in accounts:
                core.hub.subscribe_account(session, account_no, topic)
            body = _encode({"topics": topics})
            core.outbox.put(core.engine.seq, lambda: session.reply(request_id, body))

        queue_turn(core, session, request_id, first, work)

    def _snapshot(self, session: Session, account_no: int) -> Any:
        engine = self._core.engine
        world = self._world_of(session, account_no)
        book = engine.books[account_no]
        user = engine.house.users.get(book.user_id)
        name = self._core.lines.names.get(account_no, "")
        return {
            "account": render_account(book, name, user.tier if user else "free", world),
            "orders": [
                render_order(record_of(book, order), live_legs(book, order.terms))
                for _, order in sorted(book.orders.items())
            ],
            "positions": [render_position(book, book.positions[s], world) for s in sorted(book.positions)],
        }

    def _resume(
        self, session: Session, request_id: RequestId, account: tuple[int, str], from_n: int, topics: dict[str, Any]
    ) -> None:
        """Send what was missed from history, then what gathered meanwhile, then live."""
        core = self._core
        account_no, topic = account
        until_n = core.engine.books[account_no].n
        seq = core.engine.seq
        held = Held(session)
        core.hub.subscribe_account(held, account_no, topic)  # type: ignore[arg-type]

        async def run() -> None:
            try:
                await core.wait_projected(seq)
                rows = await self._history.events(account_no, from_n + 1, RESUME_MAX_EVENTS)
                lines = await self._lines_before(account_no, rows)
                missed = _missed(lines, account_no, topic, rows, from_n, until_n)
                if missed is None:
                    session.refuse(request_id, make_error("resync_required", field="from_n"))
                    return
                session.reply(request_id, _encode({"topics": topics}))
                for body in missed:
                    session.event(body)
                held.release()
                if session.close_reason is None:
                    core.hub.subscribe_account(session, account_no, topic)
            finally:
                core.hub.drop(held)  # type: ignore[arg-type]

        self._spawn(lambda: answered(session, request_id, run))

    async def _lines_before(self, account_no: int, rows: list[Any]) -> Lines:
        """Lines that know the orders which were live before the first of these archived events."""
        lines = Lines()
        lines.names = self._core.lines.names
        known: set[int] = set()
        for row in rows:
            event: Any = _event_decoder.decode(row[6])
            order_no = getattr(event, "order_no", 0)
            if not order_no or order_no in known:
                continue
            known.add(order_no)
            if isinstance(event, e.OrderAccepted):
                continue
            record = await self._history.order(account_no, order_no)
            if record is not None and not await self._ended_before(account_no, order_no, rows[0][1]):
                lines.take_terms(account_no, decode_order(record[-1]).terms)
        return lines

    async def _ended_before(self, account_no: int, order_no: int, n: int) -> bool:
        return any(
            row[1] < n and ends(_event_decoder.decode(row[6]))
            for row in await self._history.order_events(account_no, order_no)
        )


def _missed(
    lines: Lines, account_no: int, topic: str, rows: list[Any], from_n: int, until_n: int
) -> list[bytes] | None:
    """The lines of archived events after ``from_n`` up to ``until_n``; ``None`` when one of them is gone."""
    bodies = []
    expected = from_n + 1
    for row in rows:
        n = row[1]
        if n > until_n:
            break
        if n != expected:
            return None
        expected += 1
        event = _event_decoder.decode(row[6])
        line = lines.line(Section(account_no, n, (event,)), event, row[2], row[3])
        if line is not None:
            bodies.append(_encode({"topic": topic, "n": n, **line}))
    return bodies if expected == until_n + 1 else None


class Held:
    """Stands in for a session while what it missed is being read; keeps the events that come meanwhile."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bodies: list[bytes] = []
        self._through = False

    def event(self, body: bytes, *, merge_key: str | None = None) -> None:
        """Keep an event, or pass it on once released."""
        if self._through:
            self._session.event(body, merge_key=merge_key)
        else:
            self._bodies.append(body)

    def release(self) -> None:
        """Send what was kept."""
        self._through = True
        for body in self._bodies:
            self._session.event(body)
        self._bodies.clear()
