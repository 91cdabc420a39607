"""Account and quote streams: who listens to what, and what they are told (operations §4).

Invariants: account events are numbered by the account's own ``n`` without a gap; an event leaves only when it is
durable, after the reply of its own step on the same connection; quotes may be merged and say so. Lines are followed
and made only for accounts that somebody listens to: whoever subscribes has handed the engine's steps on before.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.engine import Engine
from actors.inputs import Section, Step
from mbtd.outbox import Outbox
from mbtd.records.lines import Lines
from mbtd.rpc.session import Session

_encode = msgspec.json.Encoder().encode


class Hub:
    """All subscriptions of one daemon."""

    def __init__(self, engine: Engine, outbox: Outbox, lines: Lines) -> None:
        self._engine = engine
        self._outbox = outbox
        self._lines = lines
        self._accounts: dict[int, dict[Session, str]] = {}
        self._quotes: dict[str, dict[Session, str]] = {}
        self._of_session: dict[Session, list[tuple[str, Any]]] = {}

    def subscribe_account(self, session: Session, account_no: int, topic: str) -> None:
        """Have a session hear an account's events, under the topic it asked for."""
        listeners = self._accounts.get(account_no)
        if listeners is None:
            listeners = self._accounts[account_no] = {}
            if (book := self._engine.books.get(account_no)) is not None:
                self._lines.prime(book)
        listeners[session] = topic
        self._of_session.setdefault(session, []).append(("account", account_no))

    def subscribe_quotes(self, session: Session, symbol: str, topic: str) -> None:
        """Have a session hear a symbol's quotes."""
        self._quotes.setdefault(symbol, {})[session] = topic
        self._of_session.setdefault(session, []).append(("quotes", symbol))

    def count(self, session: Session) -> int:
        """How many streams a session has."""
        return len(self._of_session.get(session, ()))

    def drop(self, session: Session) -> None:
        """Forget a session."""
        for kind, key in self._of_session.pop(session, ()):
            table: dict[Any, dict[Session, str]] = self._accounts if kind == "account" else self._quotes
            listeners = table.get(key)
            if listeners is not None:
                listeners.pop(session, None)
                if not listeners:
                    del table[key]
                    if kind == "account":
                        self._lines.forget((key,))

    def publish(self, steps: list[Step]) -> None:
        """Queue the steps' events for whoever listens."""
        accounts = self._accounts
        if not accounts:
            return
        for step in steps:
            seq = step.seq_first
            for section in step.sections:
                listeners = accounts.get(section.account_no)
                if listeners:
                    self._publish_section(step, section, seq, listeners)
                seq += len(section.events)

    def _publish_section(self, step: Step, section: Section, seq: int, listeners: dict[Session, str]) -> None:
        for offset, event in enumerate(section.events):
            line = self._lines.line(section, event, seq + offset, step.at)
            if line is None:
                continue
            n = section.n_first + offset
            for session, topic in listeners.items():
                body = _encode({"topic": topic, "n": n, **line})
                self._outbox.put(seq + offset, lambda session=session, body=body: session.event(body))  # type: ignore[misc]

    def publish_quotes(self, symbols: set[str]) -> None:
        """Send the newest quote of each of these symbols that somebody listens to."""
        from mbtd.records.market import render_quote

        for symbol in symbols & self._quotes.keys():
            slot = self._engine.world.board.slots.get(symbol)
            if slot is None or slot.quote is None:
                continue
            quote = render_quote(slot)
            for session, topic in self._quotes[symbol].items():
                body = _encode({"topic": topic, "n": slot.quote_seq, "event": "quote", "quote": quote})
                session.event(body, merge_key=topic)

    def describe(self) -> list[dict[str, Any]]:
        """Each topic and how many connections listen, the busiest first."""
        topics: dict[str, int] = {}
        for listeners in (*self._accounts.values(), *self._quotes.values()):
            for topic in listeners.values():
                topics[topic] = topics.get(topic, 0) + 1
        rows = sorted(topics.items(), key=lambda pair: (-pair[1], pair[0]))
        return [{"topic": topic, "listeners": count} for topic, count in rows]

    @property
    def quote_symbols(self) -> dict[str, dict[Session, str]]:
        """Symbols that somebody listens to."""
        return self._quotes
