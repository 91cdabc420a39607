"""Reference data from Alpaca's REST API: assets, option contracts, previous closes, trading days.

Invariants: a fetch brings all of its kind or raises :class:`ReferenceUnavailable` with a text free of keys;
what is kept meanwhile is :mod:`mbtd.market.reference`'s business. A row that cannot be read is left out and
counted, never guessed. Money is read from decimal texts, or rounded from JSON numbers to 1e-4 dollar.

alpaca-py is imported late and runs in a thread: it brings pandas and takes seconds to import. Its HTTP
session has no timeout, so a call that takes too long is abandoned with its thread. Raw answers are used, not
its models: one value that a model does not know would lose the whole list.

Known limits: previous closes are those of the feed (the IEX feed's are not the listing exchange's official ones);
leverage of funds is not in Alpaca's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from sys import intern
from typing import Any, Final, Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

import anyio
from anyio import to_thread
from msgspec import Struct, structs

from actors.book.instruments import Deliverable, Instrument
from actors.book.osi import parse_osi
from actors.book.units import (
    NS_PER_SECOND,
    PRICE_PER_DOLLAR,
    BadNumber,
    parse_money,
    parse_price,
    parse_qty,
    parse_scaled,
    parse_time,
)
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.calendar import Calendar
from mbtd.market.contracts import TICKS, RootClass, root_class
from mbtd.market.expiries import expiry_of

SNAPSHOT_SYMBOLS_MAX: Final = 500
CONTRACTS_PER_PAGE: Final = 10_000
TIMEOUT_S: Final = 120.0
_NEW_YORK: Final = ZoneInfo("America/New_York")
_BAD_ROW: Final = (KeyError, TypeError, ValueError, AttributeError)

_NEWER_WORDS: Final = {"options_enabled": "has_options"}
"""Attributes that had another name once."""

Value = TypeVar("Value")
Marks = Mapping[str, tuple[str, ...]]
"""By symbol, how an asset is marked; symbols without a mark are not in it."""


class ReferenceUnavailable(RuntimeError):
    """A fetch failed; the text says why, without keys."""


class Fetched(Struct, Generic[Value], frozen=True):
    """An answer."""

    value: Value
    skipped: int = 0
    """Rows left out because they could not be read."""


class Wishes(Struct, frozen=True):
    """What :meth:`AlpacaReference.everything` is to bring besides the assets."""

    trade_date: int
    """Previous closes are those before this date, YYYYMMDD."""
    underlyings: tuple[str, ...] = ()
    """Whose option contracts are wanted."""
    expiry_from: date = date.min
    expiry_to: date = date.max


class Everything(Struct, frozen=True):
    """All instruments, and what could not be refreshed with them."""

    instruments: list[Instrument]
    attributes: Marks
    problems: tuple[str, ...] = ()
    """Sentences; the part concerned is as it was before."""
    skipped: int = 0


class TradingDay(Struct, frozen=True, array_like=True):
    """One day of Alpaca's calendar; instants in nanoseconds UTC, dates YYYYMMDD."""

    trade_date: int
    core_opens_at: int
    core_closes_at: int
    settlement_date: int = 0
    """0 when not given."""


class AlpacaReference:
    """The client. ``trading_url`` and ``data_url`` replace the base URLs; ``feed`` is for previous closes."""

    def __init__(
        self,
        credentials: AlpacaCredentials,
        *,
        trading_url: str | None = None,
        data_url: str | None = None,
        feed: str = "iex",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._credentials = credentials
        self._trading_url = trading_url
        self._data_url = data_url
        self._feed = feed
        self._timeout_s = timeout_s

    async def everything(self, wishes: Wishes, known: Iterable[Instrument]) -> Everything:
        """Assets with their previous closes, and contracts.

        Without the assets it raises; a part that fails beside them keeps what is ``known`` and is named.
        """
        assets, attributes = await self._assets()
        before = {instrument.symbol: instrument for instrument in known}
        problems: list[str] = []
        contracts = [i for i in before.values() if i.asset_class == "us_option"]
        skipped = assets.skipped
        if not wishes.underlyings:
            contracts = []
        else:
            try:
                answer = await self.option_contracts(wishes.underlyings, wishes.expiry_from, wishes.expiry_to)
                contracts, skipped = answer.value, skipped + answer.skipped
            except ReferenceUnavailable as error:
                problems.append(f"option contracts: {error}")
        closes = {i.symbol: i.previous_close for i in before.values() if i.previous_close}
        try:
            wanted = [i.symbol for i in assets.value if i.active and i.tradable]
            latest = await self.previous_closes(wanted, wishes.trade_date)
            closes |= latest.value
            skipped += latest.skipped
        except ReferenceUnavailable as error:
            problems.append(f"previous closes: {error}")
        priced = [
            structs.replace(i, previous_close=closes[i.symbol]) if i.symbol in closes else i for i in assets.value
        ]
        return Everything([*priced, *contracts], attributes, tuple(problems), skipped)

    async def assets(self) -> Fetched[list[Instrument]]:
        """All US stocks and funds, active or not, sorted by symbol."""
        return (await self._assets())[0]

    async def _assets(self) -> tuple[Fetched[list[Instrument]], Marks]:
        found = await self._fetch(self._fetch_assets)
        instruments, attributes = found.value
        return Fetched(instruments, found.skipped), attributes

    async def option_contracts(
        self, underlyings: Sequence[str], expiry_from: date, expiry_to: date
    ) -> Fetched[list[Instrument]]:
        """The active contracts of some underlyings that expire within two dates, sorted by symbol."""
        names = ",".join(sorted(set(underlyings)))
        return await self._fetch(lambda: self._fetch_contracts(names, expiry_from, expiry_to))

    async def previous_closes(self, symbols: Sequence[str], trade_date: int) -> Fetched[dict[str, int]]:
        """The last close before a trade date, in price units, of those symbols that have one."""
        names = sorted(set(symbols))
        return await self._fetch(lambda: self._fetch_closes(names, trade_date))

    async def calendar(self, start: date, end: date) -> Fetched[list[TradingDay]]:
        """The trading days within two dates."""

        def fetch() -> tuple[list[TradingDay], int]:
            rows = self._trading().get("/calendar", {"start": start.isoformat(), "end": end.isoformat()})
            return _read(rows, trading_day)

        return await self._fetch(fetch)

    async def _fetch(self, fetch: Callable[[], tuple[Value, int]]) -> Fetched[Value]:
        try:
            with anyio.fail_after(self._timeout_s):
                value, skipped = await to_thread.run_sync(fetch, abandon_on_cancel=True)
        except TimeoutError:
            raise ReferenceUnavailable(f"no answer within {self._timeout_s:g} s") from None
        except Exception as error:
            raise ReferenceUnavailable(self._describe(error)) from None
        return Fetched(value, skipped)

    def _describe(self, error: Exception) -> str:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return self._credentials.scrub(f"Alpaca answered HTTP {status}: {error}")
        return self._credentials.scrub(f"{type(error).__name__}: {error}")

    def _trading(self) -> Any:
        from alpaca.trading.client import TradingClient

        key, secret = self._credentials.reveal()
        return TradingClient(key, secret, paper=True, raw_data=True, url_override=self._trading_url)

    def _fetch_assets(self) -> tuple[tuple[list[Instrument], Marks], int]:
        rows = self._trading().get("/assets", {"asset_class": "us_equity"})
        instruments, skipped = _read(rows, stock)
        return (sorted(instruments, key=_symbol), marks(rows)), skipped

    def _fetch_contracts(self, names: str, expiry_from: date, expiry_to: date) -> tuple[list[Instrument], int]:
        client = self._trading()
        query: dict[str, Any] = {
            "underlying_symbols": names,
            "status": "active",
            "expiration_date_gte": expiry_from.isoformat(),
            "expiration_date_lte": expiry_to.isoformat(),
            "limit": CONTRACTS_PER_PAGE,
            "show_deliverables": "true",
        }
        instruments: list[Instrument] = []
        skipped = 0
        while True:
            page = client.get("/options/contracts", query)
            found, bad = _read(page["option_contracts"], contract)
            instruments += found
            skipped += bad
            token = page.get("next_page_token")
            if not token or token == query.get("page_token"):
                return sorted(instruments, key=_symbol), skipped
            query["page_token"] = token

    def _fetch_closes(self, names: Sequence[str], trade_date: int) -> tuple[dict[str, int], int]:
        from alpaca.data.enums import DataFeed
        from alpaca.data.historical import StockHistoricalDataClient
        from alpaca.data.requests import StockSnapshotRequest

        key, secret = self._credentials.reveal()
        client = StockHistoricalDataClient(key, secret, raw_data=True, url_override=self._data_url)
        closes: dict[str, int] = {}
        skipped = 0
        for part in _parts(names, SNAPSHOT_SYMBOLS_MAX):
            request = StockSnapshotRequest(symbol_or_symbols=part, feed=DataFeed(self._feed))
            snapshots: dict[str, Any] = client.get_stock_snapshot(request)
            for symbol, snapshot in snapshots.items():
                try:
                    close = close_before(snapshot, trade_date)
                except _BAD_ROW:
                    skipped += 1
                    continue
                if close:
                    closes[symbol] = close
        return closes, skipped


Row = dict[str, Any]


def stock(row: Row) -> Instrument:
    """An instrument from a row of ``/v2/assets``. Raises for what is no US stock."""
    if row["class"] != "us_equity":
        raise ValueError("not a stock")
    return Instrument(
        asset_id=str(row["id"]),
        symbol=str(row["symbol"]),
        exchange=str(row["exchange"]),
        name=row.get("name") or "",
        active=row["status"] == "active",
        tradable=bool(row["tradable"]),
        fractionable=bool(row["fractionable"]),
        marginable=bool(row["marginable"]),
        shortable=bool(row["shortable"]),
        easy_to_borrow=bool(row["easy_to_borrow"]),
    )


def marks(rows: Iterable[Row]) -> Marks:
    """How the rows of ``/v2/assets`` are marked, in Alpaca's newer words; rows that cannot be read are left out.

    Thousands of assets share a few sets of marks, so equal ones are one object.
    """
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        try:
            words = {intern(_NEWER_WORDS.get(word, word)) for word in row.get("attributes") or ()}
            symbol = str(row["symbol"])
        except _BAD_ROW:
            continue
        if words:
            said = tuple(sorted(words))
            found[symbol] = shared.setdefault(said, said)
    return found


def contract(row: Row) -> Instrument:
    """An instrument from a row of ``/v2/options/contracts``. Raises for a contract that cannot be priced."""
    deliverables = tuple(_deliverable(item) for item in row.get("deliverables") or ())
    right: Literal["call", "put"] = {"call": "call", "put": "put"}[row["type"]]  # type: ignore[assignment]
    style: Literal["american", "european"]
    style = {"american": "american", "european": "european"}[row["style"]]  # type: ignore[assignment]
    physical = any(item.kind == "equity" for item in deliverables) or (not deliverables and style == "american")
    symbol = str(row["symbol"])
    option = parse_osi(symbol)
    root = str(row.get("root_symbol") or (option.root if option is not None else ""))
    kind = root_class(root)
    settles_on = _day(row["expiration_date"])
    below, above = _ticks(kind, bool(row.get("ppind")))
    close_date, interest, interest_date = (
        row.get(name) for name in ("close_price_date", "open_interest", "open_interest_date")
    )
    return Instrument(
        asset_id=str(row["id"]),
        symbol=symbol,
        asset_class="us_option",
        exchange="",
        name=row.get("name") or "",
        active=row["status"] == "active",
        tradable=bool(row["tradable"]),
        fractionable=False,
        marginable=False,
        shortable=True,
        multiplier=int(row.get("multiplier") or row["size"]),
        tick_price=below,
        tick_price_from_3=above,
        previous_close=_price(row.get("close_price")),
        previous_close_date=_day(close_date) if close_date else 0,
        underlying=str(row["underlying_symbol"]),
        expiry_date=expiry_of(root, settles_on, Calendar()).last_trading_day,
        settles_on=settles_on,
        settles=kind.settles,
        strike=_price(row["strike_price"]),
        right=right,
        style=style,
        settlement="physical" if physical else "cash",
        deliverables=deliverables if physical else (),
        root=root,
        osi_date=option.date if option is not None else settles_on,
        trades_late=kind.trades_late,
        open_interest=int(interest) if interest not in (None, "") else -1,
        open_interest_date=_day(interest_date) if interest_date else 0,
    )


def _ticks(kind: RootClass, penny: bool) -> tuple[int, int]:
    """Price steps: of the penny programme as the row says, of the few classes that differ as the root says."""
    if kind.settlement == "cash" or kind.programme == "fund_daily":
        return TICKS[kind.ticks]
    return TICKS["penny" if penny else "standard"]


def trading_day(row: Row) -> TradingDay:
    """A day of ``/v2/calendar``; its wall times are New York's."""
    day = date.fromisoformat(row["date"])
    settlement = row.get("settlement_date")
    return TradingDay(
        trade_date=_day(row["date"]),
        core_opens_at=_new_york_ns(day, row["open"]),
        core_closes_at=_new_york_ns(day, row["close"]),
        settlement_date=_day(settlement) if settlement else 0,
    )


def close_before(snapshot: Row, trade_date: int) -> int:
    """The close of the newest daily bar before a trade date; 0 when the snapshot has none."""
    newest_at, close = 0, 0
    for name in ("prevDailyBar", "dailyBar"):
        bar = snapshot.get(name)
        if not bar:
            continue
        at = parse_time(bar["t"])
        day = datetime.fromtimestamp(at // NS_PER_SECOND, _NEW_YORK).date()
        if int(day.strftime("%Y%m%d")) < trade_date and at > newest_at:
            newest_at, close = at, _price(bar["c"])
    return close


def _deliverable(item: Row) -> Deliverable:
    kind = item["type"]
    amount = str(item["amount"])
    terms = (
        int(parse_scaled(str(item.get("allocation_percentage") or "0"), 4)),
        str(item.get("settlement_type") or "T+1"),
        str(item.get("settlement_method") or "CCC"),
        bool(item.get("delayed_settlement")),
    )
    if kind == "cash":
        return Deliverable("cash", item.get("symbol") or "USD", parse_money(amount), *terms)
    if kind == "equity":
        return Deliverable("equity", str(item["symbol"]), parse_qty(amount), *terms)
    raise ValueError("neither stock nor cash")


def _price(value: object) -> int:
    """A price of a decimal text or a JSON number; 0 for none."""
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        return parse_price(value)
    if isinstance(value, int | float) and 0 <= value < 1e9:
        return round(value * PRICE_PER_DOLLAR)
    raise BadNumber("not a price")


def _day(text: str) -> int:
    return int(date.fromisoformat(text).strftime("%Y%m%d"))


def _new_york_ns(day: date, wall: str) -> int:
    hour, minute = wall.split(":")
    moment = datetime.combine(day, time(int(hour), int(minute)), _NEW_YORK)
    return round(moment.timestamp()) * NS_PER_SECOND


def _read(rows: Iterable[Row], reader: Callable[[Row], Value]) -> tuple[list[Value], int]:
    """What can be read of the rows, and how many cannot."""
    good: list[Value] = []
    skipped = 0
    for row in rows:
        try:
            good.append(reader(row))
        except _BAD_ROW:
            skipped += 1
    return good, skipped


def _parts(names: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield list(names[start : start + size])


def _symbol(instrument: Instrument) -> str:
    return instrument.symbol
