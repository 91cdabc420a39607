"""Methods for market data as a tier may see it: ``market.*`` and ``quote.get`` (alpaca-api §5, architecture §6).

Invariants: every answer comes from the lane of whoever it is for, which :meth:`MarketData.lane_of` alone decides; the
account that a service asks for decides, else the caller's own; nothing later than the lane's time is in any answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from actors.book.instruments import Instrument
from actors.market.messages import Session as MarketSession
from mbtd.market.bars import MINUTE_NS, Bar, aggregate, spans_of_minutes
from mbtd.market.calendar import new_york_date, to_int
from mbtd.records.data import bar_at, data_bar, data_quote, data_trade, midnight, tape_of
from mbtd.records.market import render_quote
from mbtd.rpc.errors import refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.entitlement import EVERYTHING, Entitlement, entitlement_of
from mbtd.service.lanes import Lane, Lanes
from mbtd.service.model_values import ModelValues
from mbtd.service.reads import Params
from mbtd.service.times import instant

SYMBOLS_MAX: Final = 1_000
BARS_MAX: Final = 5_000
_FRAME = re.compile(r"([1-9][0-9]{0,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)\Z")
Part = Literal["quote", "trade", "minute_bar", "daily_bar", "prev_daily_bar", "greeks"]
PARTS: Final[tuple[Part, ...]] = ("quote", "trade", "minute_bar", "daily_bar", "prev_daily_bar")
NOTHING_SAID: Final = {"implied_volatility": None, "greeks": None}
Later = Callable[[Session, RequestId, Callable[[], Awaitable[Any]]], None]
Symbols = Annotated[tuple[str, ...], Meta(max_length=SYMBOLS_MAX)]


class QuoteOf(Params, frozen=True, kw_only=True):
    """The standing quote of a symbol, as an account may see it."""

    symbol: str
    account: str | None = None


class Snapshots(Params, frozen=True, kw_only=True):
    """What stands now of several symbols."""

    symbols: Symbols
    account: str | None = None
    parts: tuple[Part, ...] = PARTS
    """What of each is wanted; ``greeks`` brings ``implied_volatility`` too, and only where it is named."""


class BarsOf(Params, frozen=True, kw_only=True):
    """Bars of several symbols, by symbol and time."""

    symbols: Symbols
    timeframe: str
    account: str | None = None
    start: str | None = None
    end: str | None = None
    sort: Literal["asc", "desc"] = "asc"
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    page_token: Annotated[str, Meta(max_length=64)] | None = None


class MarketData:
    """Answers the methods."""

    def __init__(self, desk: Desk, lanes: Lanes) -> None:
        self._desk = desk
        self._core = desk.core
        self._lanes = lanes
        self.later: Later
        """Set by the daemon: how an answer is given that has to be waited for."""
        self.model: ModelValues
        """Set by the daemon: what the pricing model says of contracts."""
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "quote.get": (QuoteOf, self._quote),
            "market.snapshots": (Snapshots, self._snapshots),
            "market.bars": (BarsOf, self._bars),
        }

    # ── who may see what ─────────────────────────────────────────────────────────────────────────────────

    def entitled(self, session: Session, account: str | None) -> Entitlement:
        """What the account that is asked for, or the caller, may see."""
        if account is not None:
            return entitlement_of(self._desk.tier_of(self._own(session, account)))
        if session.peer.role != "trader":
            return EVERYTHING
        house = self._desk.house
        numbers = [no for name in session.peer.accounts if (no := house.find(name)) is not None]
        tiers = {self._desk.tier_of(no) for no in numbers}
        return entitlement_of(next((tier for tier in ("pro_plus", "pro") if tier in tiers), "free"))

    def _own(self, session: Session, account: str) -> int:
        account_no = self._desk.house.find(account)
        if session.peer.role == "trader" and (
            account_no is None or account_no not in map(self._desk.house.find, session.peer.accounts)
        ):
            refuse("not_permitted")
        if account_no is None:
            refuse("unknown_account", field="account")
        return account_no

    def lane_of(self, session: Session, account: str | None) -> Lane:
        """The lane of whoever an answer is for."""
        return self._lanes.of(self.entitled(session, account).lane)

    def lane_said(self, lane: Lane) -> dict[str, Any]:
        """Which lane an answer is from, and whether it does not know its whole past yet."""
        warming = lane.name == "delayed" and self._lanes.delayed.warming(self._core.now())
        return {"lane": lane.name, "warming": warming}

    def until(self, lane: Lane) -> int:
        """The lane's own present."""
        now = self._core.now()
        return now - self._lanes.delayed.delay_ns if lane.name == "delayed" else now

    def instrument(self, symbol: str) -> Instrument | None:
        """An instrument by symbol; the market is asked to follow it."""
        found = self._core.engine.world.instruments.by_symbol.get(symbol)
        if found is not None and self._core.interest is not None:
            self._core.interest.ask(symbol)
        return found

    # ── what stands now ──────────────────────────────────────────────────────────────────────────────────

    def _quote(self, session: Session, request_id: RequestId, params: QuoteOf) -> None:
        lane = self.lane_of(session, params.account)
        self.instrument(params.symbol)
        shown = lane.look(params.symbol)
        if shown is None or (shown.quote is None and shown.trade is None):
            if self.lane_said(lane)["warming"]:
                refuse("feed_down", "The delayed lane fills up after a start; ask again in a while", field="symbol")
            refuse("no_quote", field="symbol")
        body = render_quote(_AsSlot(params.symbol, shown))  # type: ignore[arg-type]
        self._desk.reply(session, request_id, body | self.lane_said(lane))

    def _snapshots(self, session: Session, request_id: RequestId, params: Snapshots) -> None:
        lane = self.lane_of(session, params.account)
        parts = tuple(part for part in params.parts if part != "greeks")
        items = {}
        for symbol in params.symbols:
            found = self.snapshot(lane, symbol, parts)
            if found is not None:
                items[symbol] = found
        answer = {"items": items} | self.lane_said(lane)
        if parts == params.parts:
            self._desk.reply(session, request_id, answer)
        else:
            self.reply_with_model(session, request_id, lane, answer)

    def reply_with_model(self, session: Session, request_id: RequestId, lane: Lane, answer: dict[str, Any]) -> None:
        """Answer snapshots of contracts once the model has had its say beside each."""
        items = answer["items"]

        async def work() -> Any:
            said = await self.model.of(lane, self.until(lane), list(items))
            for symbol, shown in items.items():
                shown |= said.get(symbol, NOTHING_SAID)
            return answer

        self.later(session, request_id, work)

    def snapshot(self, lane: Lane, symbol: str, parts: tuple[Part, ...] = PARTS) -> dict[str, Any] | None:
        """Quote, print and bars of one symbol, as far as wanted; ``None`` for a symbol that is not known."""
        instrument = self.instrument(symbol)
        if instrument is None:
            return None
        tape = None if instrument.asset_class == "us_option" else tape_of(instrument)
        shown = lane.look(symbol)
        found: dict[str, Any] = dict.fromkeys(parts)
        if "quote" in found and shown is not None and shown.quote is not None:
            found["quote"] = data_quote(shown.quote, tape)
        if "trade" in found and shown is not None and shown.trade is not None:
            found["trade"] = data_trade(shown.trade, tape)
        if "minute_bar" in found and (minute := lane.bars.latest_minute(symbol)) is not None:
            found["minute_bar"] = data_bar(minute)
        if "daily_bar" in found or "prev_daily_bar" in found:
            days = lane.bars.days(symbol)
            if "daily_bar" in found and days:
                found["daily_bar"] = data_bar(days[-1])
            if "prev_daily_bar" in found and len(days) > 1:
                found["prev_daily_bar"] = data_bar(days[-2])
        return found

    # ── bars ─────────────────────────────────────────────────────────────────────────────────────────────

    def _bars(self, session: Session, request_id: RequestId, params: BarsOf) -> None:
        lane = self.lane_of(session, params.account)
        read = self._frame(params.timeframe)
        until = self.until(lane)
        start = instant(params.start, "start")
        # No bar of a lane is later than the lane; the running day's date may be, where a trade date begins early.
        end = instant(params.end, "end")
        first = midnight(to_int(new_york_date(until))) if start is None else start
        items: dict[str, list[dict[str, Any]]] = {}
        left = min(params.limit, BARS_MAX)
        token = None
        for symbol, bar in self._each(lane, sorted(set(params.symbols)), read, params):
            at = bar_at(bar.at)
            if at < first or (end is not None and at > end):
                continue
            if left == 0:
                token = f"{symbol}|{at}"
                break
            left -= 1
            items.setdefault(symbol, []).append(data_bar(bar))
        self._desk.reply(session, request_id, {"items": items, "next_page_token": token})

    def _each(
        self, lane: Lane, symbols: list[str], read: Callable[[Lane, str], list[Bar]], params: BarsOf
    ) -> Iterator[tuple[str, Bar]]:
        symbol_from, at_from = split_token(params.page_token)
        back = params.sort == "desc"
        for symbol in symbols:
            if symbol < symbol_from or self.instrument(symbol) is None:
                continue
            bars = read(lane, symbol)
            for bar in reversed(bars) if back else bars:
                at = bar_at(bar.at)
                if symbol == symbol_from and (at > at_from if back else at < at_from):
                    continue
                yield symbol, bar

    def _frame(self, text: str) -> Callable[[Lane, str], list[Bar]]:
        found = _FRAME.match(text)
        if found is None:
            refuse("invalid_params", f"invalid timeframe {text[:16]}", field="timeframe")
        count, unit = int(found[1]), found[2]
        if unit in ("Min", "T", "Hour", "H"):
            minutes = count * (60 if unit in ("Hour", "H") else 1)
            if (unit in ("Min", "T") and count > 59) or minutes > 1_380:
                refuse("invalid_params", f"invalid timeframe {text[:16]}", field="timeframe")
            if minutes == 1:
                return lambda lane, symbol: lane.bars.minutes(symbol)
            span = spans_of_minutes(minutes)
            return lambda lane, symbol: aggregate(lane.bars.minutes(symbol), span)
        if unit in ("Day", "D"):
            if count != 1:
                refuse("invalid_params", f"invalid timeframe {text[:16]}", field="timeframe")
            return lambda lane, symbol: lane.bars.days(symbol)
        weeks = unit in ("Week", "W")
        return lambda lane, symbol: aggregate(lane.bars.days(symbol), _week if weeks else _month)


class _AsSlot:
    """A lane's symbol where a slot of the board is expected."""

    __slots__ = ("last", "quote", "status", "symbol")

    def __init__(self, symbol: str, shown: Any) -> None:
        self.symbol = symbol
        self.quote, self.last, self.status = shown.quote, shown.trade, shown.status


def _week(day: int) -> int:
    from datetime import date, timedelta

    found = date(day // 10_000, day // 100 % 100, day % 100)
    return to_int(found - timedelta(days=found.weekday()))


def _month(day: int) -> int:
    return day // 100 * 100 + 1


def split_token(token: str | None) -> tuple[str, int]:
    """Where a page begins. Raises the refusal."""
    if token is None:
        return "", 0
    symbol, _, at = token.partition("|")
    if not symbol or not at.isascii() or not at.isdigit() or len(at) > 19:
        refuse("invalid_params", "page_token is not one of ours", field="page_token")
    return symbol, int(at)


__all__ = ["MINUTE_NS", "MarketData", "MarketSession", "split_token"]
