"""The methods that only read: books and board from memory, everything past from history.

Invariants: a read of an account goes through its mailbox, so it sees what was sent before it; a read of history
waits until history shows every event up to the moment of the read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actors.book.state.book import Book
from actors.market.world import World
from mbtd import __version__
from mbtd.core import Core
from mbtd.market.bars import Bars
from mbtd.market.feed import Feed
from mbtd.pricing.inputs import PricingInputs
from mbtd.records.accounts import render_account, render_position
from mbtd.records.action_lines import position_actions
from mbtd.records.market import render_clock, render_quote
from mbtd.records.orders import OrderRecord, record_of, render_order
from mbtd.records.projection import decode_account, decode_fill, decode_order
from mbtd.rpc.errors import Refusal, RpcError, make_error, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service import reads as r
from mbtd.service.assets import Assets
from mbtd.service.options import OptionQueries
from mbtd.service.order_lists import PastOrders, filter_of, open_orders
from mbtd.service.order_views import find_change, find_leg, find_live, find_order, past_legs
from mbtd.service.records import Present, Records, present
from mbtd.service.refusals import rule_error, rules
from mbtd.service.structures import StructureQueries
from mbtd.service.turns import answered, queue_turn
from mbtd.service.why import receipt, render_fill, why_coming, why_ended, why_live, with_actions
from mbtd.service.why_actions import actions_of
from storage.history import History

_encode = msgspec.json.Encoder().encode
Spawn = Callable[[Callable[[], Awaitable[None]]], None]
AccountNo = Callable[[Session, str, str], int]
_BODY = -1
FILLS_MAX = 20
"""Receipts that an explanation of an order carries."""


class Queries:
    """Answers reads for one daemon."""

    def __init__(
        self,
        core: Core,
        history: History,
        spawn: Spawn,
        feed: Feed,
        health: Callable[[], dict[str, Any]],
        pricing: Callable[[], PricingInputs] = PricingInputs,
    ) -> None:
        self._core = core
        self._history = history
        self._spawn = spawn
        self._feed = feed
        self._health = health
        self._options = self.options = OptionQueries(core, feed, pricing)
        self.assets = Assets(core, feed, self._options)
        self._decoders = {name: msgspec.json.Decoder(kind) for name, kind in r.READS.items()}
        bars = core.readers.bars if core.readers else Bars()
        self._records = Records(history, core.engine.world, feed.calendar, bars)
        self.account_no: AccountNo
        """Set by the application: finds an account and checks the right to read it."""
        self.world_of: Callable[[Session, int], World] = lambda session, account_no: core.engine.world
        """Set by the application: with which marks an account is shown to a connection."""
        self.bars_of: Callable[[Session, int], Bars | None] = lambda session, account_no: None
        """Set by the application: by which bars its past is shown."""
        self.sees_present: Callable[[Session], bool] = lambda session: True
        """Set by the application: whether a connection may see quotes of the present lane."""
        self._on_account: dict[str, Callable[[Session, RequestId, Book, Any], None]] = {
            "account.get": self._account_get,
            "order.get": self._order_get,
            "order.list": self._order_list,
            "position.list": self._position_list,
            "position.get": self._position_get,
            "fill.list": self._fill_list,
            "activity.list": self._past(self._records.activities),
            "lot.list": self._past(self._records.lots),
            "history.portfolio": self._past(self._records.portfolio),
            "performance.get": self._past(self._records.performance),
        }
        self._on_account |= StructureQueries(self, core, history, feed, self._options).methods
        self._at_once: dict[str, Callable[[Session, Any], Any]] = {
            "session.hello": self._hello,
            "order.rules": lambda session, params: rules(),
            "quote.get": self._quote,
            "asset.get": self._asset,
            "asset.list": self._assets,
            "calendar.list": self._calendar,
            "clock.get": self._clock,
            "health.get": lambda session, params: self._health(),
            "stream.unsubscribe": self._unsubscribe,
        }

    def handles(self, method: str) -> bool:
        """Whether this is one of its methods."""
        return method in self._decoders

    def request(
        self, session: Session, request_id: RequestId, method: str, params: bytes, deadline_ms: int | None
    ) -> None:
        """Answer, now or later."""
        decoded: Any = self._decoders[method].decode(params)
        at_once = self._at_once.get(method)
        if at_once is not None:
            session.reply(request_id, _encode(at_once(session, decoded)))
        elif method in self._on_account:
            self._queue(session, request_id, self._on_account[method], decoded, deadline_ms)
        elif method == "stream.subscribe":
            self._subscribe(session, request_id, decoded)
        elif method == "account.list":
            self._account_list(session, request_id, decoded)
        elif method == "option.contracts":
            self.answer_later(session, request_id, lambda: self._options.contracts(decoded))
        elif method in ("option.chain", "option.payoff"):
            if not self.sees_present(session):
                refuse("not_entitled", "Computed from quotes in real time; ask option.snapshots")
            work = self._options.chain if method == "option.chain" else self._options.payoff
            self.answer_later(session, request_id, lambda: work(decoded))
        elif method == "fill.why":
            self._fill_why(session, request_id, decoded)
        else:
            self._order_why(session, request_id, decoded)

    # ── how answers leave ────────────────────────────────────────────────────────────────────────────────

    def _queue(
        self,
        session: Session,
        request_id: RequestId,
        answer: Callable[[Session, RequestId, Book, Any], None],
        params: Any,
        deadline_ms: int | None,
    ) -> None:
        core = self._core
        account_no = self.account_no(session, "read", params.account)

        def work() -> None:
            if not core.residency.bring(account_no):
                refuse("unknown_account", field="account")
            with core.engine.asking():
                answer(session, request_id, core.engine.books[account_no], params)

        queue_turn(core, session, request_id, account_no, work, deadline_ms)

    def answer(self, session: Session, request_id: RequestId, result: Any) -> None:
        body = _encode(result)
        self._core.outbox.put(self._core.engine.seq, lambda: session.reply(request_id, body))

    def answer_later(self, session: Session, request_id: RequestId, work: Callable[[], Awaitable[Any]]) -> None:
        """Answer from history once it shows everything up to now."""
        seq = self._core.engine.seq

        async def run() -> None:
            await self._core.wait_projected(seq)
            session.reply(request_id, _encode(await work()))

        self._spawn(lambda: answered(session, request_id, run))

    async def order_record(self, account_no: int, order_no: int, seq: int) -> OrderRecord | None:
        """An order's record from history, as of event ``seq`` at least."""
        await self._core.wait_projected(seq)
        row = await self._history.order(account_no, order_no)
        return decode_order(row[_BODY]) if row is not None else None

    async def find_order(
        self, account_no: int, order_id: str | None, client_order_id: str | None, seq: int
    ) -> OrderRecord | None:
        """An account's newest order of this id or client id, as of event ``seq`` at least."""
        await self._core.wait_projected(seq)
        return await find_order(self._history, account_no, order_id, client_order_id)

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────────

    def _account_get(self, session: Session, request_id: RequestId, book: Book, params: r.OfAccount) -> None:
        engine = self._core.engine
        user = engine.house.users.get(book.user_id)
        name = self._core.lines.names.get(book.account_no, "")
        world = self.world_of(session, book.account_no)
        self.answer(session, request_id, render_account(book, name, user.tier if user else "free", world))

    def _account_list(self, session: Session, request_id: RequestId, params: r.Page) -> None:
        after = _number(params.page_token)

        async def work() -> Any:
            if session.peer.role == "trader":
                rows, more = await self._own_accounts(session), False
            else:
                rows, more = _page(await self._history.accounts(after, params.limit + 1), params.limit)
            names = ("name", "user_id", "type", "status")
            cards = [decode_account(row[_BODY]) for row in rows]
            items = [{"id": card.account_id, **{name: getattr(card, name) for name in names}} for card in cards]
            return {"items": items, "next_page_token": str(rows[-1][0]) if more else None}

        self.answer_later(session, request_id, work)

    async def _own_accounts(self, session: Session) -> list[Any]:
        """A trader's accounts."""
        find = self._core.engine.house.find
        numbers = sorted({no for name in session.peer.accounts if (no := find(name)) is not None})
        return [row for no in numbers for row in await self._history.accounts(no - 1, 1)]

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────

    def _order_get(self, session: Session, request_id: RequestId, book: Book, params: r.OrderGet) -> None:
        live = find_live(book, params)
        if live is not None:
            self.answer(session, request_id, live)
            return

        async def work() -> Any:
            record = await self.find_order(book.account_no, params.order_id, params.client_order_id, 0)
            if record is None:
                name = params.order_id or params.client_order_id or ""
                return await find_leg(self._history, book.account_no, name, _not_found(name))
            return render_order(record, await past_legs(self._history, book.account_no, record))

        self.answer_later(session, request_id, work)

    def _order_list(self, session: Session, request_id: RequestId, book: Book, params: r.OrderList) -> None:
        token, wanted = _number(params.page_token), filter_of(params)
        if params.status == "open" and params.page_token is None and not (params.nested and book.groups):
            # What bots ask for all day is in memory as it is.
            page, more = _page(open_orders(book, wanted, params.limit + 1, params.direction == "desc"), params.limit)
            last = str(page[-1].terms.order_no) if more else None
            self.answer(session, request_id, {"items": [render_order(r) for r in page], "next_page_token": last})
            return
        past = PastOrders(self._history, book, params, wanted)
        self.answer_later(session, request_id, lambda: past.page(token))

    def _order_why(self, session: Session, request_id: RequestId, params: r.OrderWhy) -> None:
        async def work() -> Any:
            row = await self._history.order_by_id(params.order_id)
            if row is None:
                raise Refusal(_not_found(params.order_id))
            account_no, order_no = row[0], row[1]
            self._check_owner(session, account_no, params.account)
            book = self._core.engine.books.get(account_no)
            order = book.orders.get(order_no) if book is not None else None
            engine = self._core.engine
            rows = await self._history.fills(account_no, order_no=order_no, limit=FILLS_MAX, descending=False)
            fills = [receipt(decode_fill(fill[_BODY]), engine.profiles) for fill in rows]
            past = decode_order(row[_BODY])
            told = await actions_of(self._history, engine.world.actions, account_no, past)
            change = find_change(book, params.order_id, None) if book is not None else None
            if change is not None:
                found = why_coming(change)
            elif book is None or order is None:
                found = why_ended(past, told)
            else:
                present = self.world_of(session, account_no) is engine.world
                record = record_of(book, order)
                found = why_live(book, order, record, engine.world, engine.profiles, present=present)
            return with_actions(found, told) | {"fills": fills}

        self.answer_later(session, request_id, work)

    def _check_owner(self, session: Session, account_no: int, account: str | None) -> None:
        name = account or self._core.lines.names.get(account_no, "")
        if self.account_no(session, "read", name) != account_no:
            raise Refusal(make_error("unknown_account", field="account"))

    # ── positions, fills ─────────────────────────────────────────────────────────────────────────────────

    def _position_list(self, session: Session, request_id: RequestId, book: Book, params: r.PositionList) -> None:
        world = self.world_of(session, book.account_no)
        symbols = [symbol for symbol in sorted(book.positions) if symbol > (params.page_token or "")]
        page = symbols[: params.limit]
        items = [render_position(book, book.positions[symbol], world) for symbol in page]
        more = page[-1] if len(symbols) > len(page) else None
        self.answer(session, request_id, {"items": items, "next_page_token": more})

    def _position_get(self, session: Session, request_id: RequestId, book: Book, params: r.SymbolOf) -> None:
        position = book.positions.get(params.symbol)
        if position is None:
            raise Refusal(rule_error("position_not_found"))
        world = self.world_of(session, book.account_no)
        shown = render_position(book, position, world)
        self.answer(session, request_id, shown | {"corporate_actions": position_actions(book, position, world)})

    def _fill_list(self, session: Session, request_id: RequestId, book: Book, params: r.FillList) -> None:
        async def work() -> Any:
            token = _number(params.page_token)
            order_no = None
            if params.order_id is not None:
                row = await self._history.order_by_id(params.order_id)
                if row is None or row[0] != book.account_no:
                    raise Refusal(_not_found(params.order_id))
                order_no = row[1]
            found = await self._history.fills(
                book.account_no, order_no=order_no, limit=params.limit + 1, before_fill_no=token or None
            )
            rows, more = _page(found, params.limit)
            fills = [decode_fill(row[_BODY]) for row in rows]
            marks = await self._core.markouts.of_fills(self._history, book.account_no, fills)
            items = [render_fill(each) | {"mark_outs": mark} for each, mark in zip(fills, marks, strict=True)]
            return {"items": items, "next_page_token": str(rows[-1][1]) if more else None}

        self.answer_later(session, request_id, work)

    def _fill_why(self, session: Session, request_id: RequestId, params: r.FillWhy) -> None:
        async def work() -> Any:
            row = await self._history.fill_by_id(params.fill_id)
            if row is None:
                raise Refusal(make_error("not_found", "There is no fill of this id", field="fill_id"))
            self._check_owner(session, row[0], params.account)
            fill = decode_fill(row[_BODY])
            marks = await self._core.markouts.of_fills(self._history, row[0], [fill])
            return receipt(fill, self._core.engine.profiles) | {"mark_outs": marks[0]}

        self.answer_later(session, request_id, work)

    def _past(
        self, method: Callable[[Present, Any], Awaitable[Any]]
    ) -> Callable[[Session, RequestId, Book, Any], None]:
        """A method about the past: the present is taken in its turn, the rest is read afterwards."""

        def answer(session: Session, request_id: RequestId, book: Book, params: Any) -> None:
            no = book.account_no
            now = present(book, self.world_of(session, no), self._core.now(), self.bars_of(session, no))
            self.answer_later(session, request_id, lambda: method(now, params))

        return answer

    # ── market and server ────────────────────────────────────────────────────────────────────────────────

    def _hello(self, session: Session, params: r.NoParams) -> Any:
        limits = session.limits
        return {
            "server": "mbtd",
            "version": __version__,
            "protocol": 1,
            "role": session.peer.role,
            "data_epoch": self._core.data_epoch,
            "limits": msgspec.to_builtins(limits),
        }

    def _quote(self, session: Session, params: r.Symbol) -> Any:
        if self._core.interest is not None:
            self._core.interest.ask(params.symbol)
        slot = self._core.engine.world.board.slots.get(params.symbol)
        if slot is None or (slot.quote is None and slot.last is None):
            refuse("no_quote", field="symbol")
        return render_quote(slot)

    def _asset(self, session: Session, params: r.Symbol) -> Any:
        instrument = self._core.engine.world.instruments.find(params.symbol)
        if instrument is None:
            raise Refusal(rule_error("asset_not_found", symbol=params.symbol[:24]))
        return self.assets.render(instrument)

    def _assets(self, session: Session, params: r.AssetList) -> Any:
        table = self._core.engine.world.instruments.by_symbol
        names = sorted(
            s for s, i in table.items() if params.asset_class is None or i.asset_class == params.asset_class
        )
        if params.page_token:
            names = [name for name in names if name > params.page_token]
        page = names[: params.limit]
        more = len(names) > len(page)
        items = [self.assets.render(table[name]) for name in page]
        return {"items": items, "next_page_token": page[-1] if more else None}

    def _clock(self, session: Session, params: r.NoParams) -> Any:
        now = self._core.now()
        # Before the feed has said anything, the calendar's word for it.
        return render_clock(self._core.engine.world.session or self._feed.calendar.session_at(now), now)

    def _calendar(self, session: Session, params: r.CalendarList) -> Any:
        from mbtd.service.days import trading_days

        return {"items": trading_days(self._feed.calendar, params.start, params.end), "next_page_token": None}

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────

    def _unsubscribe(self, session: Session, params: r.NoParams) -> Any:
        self._core.hub.drop(session)
        return {}

    def _subscribe(self, session: Session, request_id: RequestId, params: r.Subscribe) -> None:
        from mbtd.service.subscribe import Subscriber

        subscriber = Subscriber(
            self._core, self._history, self.account_no, self._spawn, self.sees_present, self.world_of
        )
        subscriber.run(session, request_id, params)


def _page(found: list[Any], limit: int) -> tuple[list[Any], bool]:
    """At most ``limit`` rows, and whether there are more."""
    return found[:limit], len(found) > limit


def _number(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isascii() or not token.isdigit() or len(token) > 18:
        refuse("invalid_params", "page_token is not one of ours", field="page_token")
    return int(token)


def _not_found(order_id: str) -> RpcError:
    return rule_error("order_not_found", order_id=order_id[:64])
