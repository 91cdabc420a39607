"""Recorded market days: gzip NDJSON of Alpaca-shaped stream messages (contracts §6, fill model §3.1).

Invariants: several files are one tape, merged by (time, file order, line); time never decreases within a
file; a price is exact to 1e-4 dollar or it is an error; every error names the file and, where there is
one, the line. Opening reads every file once, so that a bad file is known before anything runs.

Known limits: a recording is decompressed twice, once when opened and once when played; messages other than
quotes and prints are refused.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from actors.book.instruments import Instrument
from actors.book.osi import parse_osi
from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR, BadNumber, parse_time
from actors.market.messages import Quote, Trade
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from mbtd.market.contracts import root_class

Message = Quote | Trade

_CHUNK: Final = 1 << 20
_MOST_DOLLARS: Final = 1e9
_UTC_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z\Z")
_PREFIX: Final = 17
"""Length of ``YYYY-MM-DDTHH:MM:``, the part of a time that is worth remembering."""

_Row = TypeVar("_Row")

Price = Annotated[float, Meta(ge=0, le=_MOST_DOLLARS)]
Size = Annotated[int, Meta(ge=0, le=10**12)]


class RecordingError(ValueError):
    """A recording that cannot be read: one sentence that names the file and the line."""


class _Head(Struct, gc=False):
    """What opening looks at in every line."""

    S: str
    t: str


class _QuoteLine(Struct, gc=False, tag_field="T", tag="q", rename={"ask_size": "as"}):
    S: str
    bp: Price
    bs: Size
    ap: Price
    ask_size: Size
    t: str
    bx: str = ""
    ax: str = ""
    c: tuple[str, ...] = ()


class _TradeLine(Struct, gc=False, tag_field="T", tag="t"):
    S: str
    p: Price
    s: Size
    t: str
    x: str = ""
    i: int = 0
    c: tuple[str, ...] = ()


_HEADS: Final = msgspec.json.Decoder(_Head)
_LINES: Final = msgspec.json.Decoder(_QuoteLine | _TradeLine)


class Recording(Struct, frozen=True):
    """One or more opened recordings, read as one tape."""

    paths: tuple[Path, ...]
    digest: bytes
    """BLAKE2b-256 over the compressed content of all files in order, for "other recordings than before"."""
    symbols: tuple[str, ...]
    """Every symbol that occurs, sorted."""
    count: int
    """Messages on the tape."""
    first_at: int
    last_at: int
    """Nanoseconds UTC of the first and last message."""
    lines: tuple[int, ...]
    """Messages of each file."""

    def messages(self, skip: int = 0) -> Iterator[Message]:
        """The tape from its ``skip``-th message on (``skip`` messages are left out).

        Raises :class:`RecordingError` for a price finer than 1e-4 dollar, a message of another kind, or a
        file that changed or vanished since it was opened.
        """
        if len(self.paths) == 1:
            return _read_messages(self.paths[0], skip)
        merged = heapq.merge(*(_read_messages(path) for path in self.paths), key=attrgetter("at"))
        return itertools.islice(merged, skip, None)

    def instruments(self, calendar: Calendar) -> list[Instrument]:
        """What is traded on the tape, sorted by symbol; contract data comes from OSI symbols."""
        names = set(self.symbols)
        for symbol in self.symbols:
            option = parse_osi(symbol)
            if option is not None:
                names.add(root_class(option.root).underlying)
        try:
            return [instrument_of(symbol, calendar) for symbol in sorted(names)]
        except ValueError as error:
            raise RecordingError(f"a recording holds a symbol that cannot be read: {error}") from None


def open_recordings(paths: Iterable[str | Path]) -> Recording:
    """Open recordings in the order given and check their form.

    Raises :class:`RecordingError` for a file that is missing, unreadable or not gzip, for a line that is no
    JSON object with a symbol and a time, for time that decreases, and when there is no message at all.
    """
    files = tuple(Path(path) for path in paths)
    if not files:
        raise RecordingError("no recording was given")
    digest = blake2b(digest_size=32)
    symbols: set[str] = set()
    scans = []
    for path in files:
        scan = _scan(path)
        digest.update(scan.digest)
        symbols |= scan.symbols
        scans.append(scan)
    filled = [scan for scan in scans if scan.lines]
    if not filled:
        raise RecordingError(f"{files[0]}: the recording holds no message")
    return Recording(
        paths=files,
        digest=digest.digest(),
        symbols=tuple(sorted(symbols)),
        count=sum(scan.lines for scan in scans),
        first_at=min(scan.first_at for scan in filled),
        last_at=max(scan.last_at for scan in filled),
        lines=tuple(scan.lines for scan in scans),
    )


class _Scan(Struct):
    digest: bytes
    symbols: set[str]
    lines: int = 0
    first_at: int = 0
    last_at: int = 0


def _scan(path: Path) -> _Scan:
    """Read one file for its digest, symbols and times."""
    scan = _Scan(digest=_digest(path), symbols=set())
    clock = _Clock()
    for chunk, line in _chunks(path):
        heads = _decode(_HEADS.decode_lines, chunk, path, line)
        scan.symbols.update([head.S for head in heads])
        last = ""
        for offset, text in enumerate([head.t for head in heads]):
            if text == last:
                continue
            last = text
            at = _time(clock, text, path, line + offset)
            if at < scan.last_at:
                raise RecordingError(f"{path}, line {line + offset}: time goes back to {text}")
            if not scan.lines and not offset:
                scan.first_at = at
            scan.last_at = at
        scan.lines += len(heads)
    return scan


def _digest(path: Path) -> bytes:
    digest = blake2b(digest_size=32)
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                digest.update(block)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    return digest.digest()


def _chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Uncompressed pieces of whole lines, each with the number of its first line, counted from 1."""
    line, rest = 1, b""
    try:
        with gzip.open(path, "rb") as file:
            while block := file.read(_CHUNK):
                head, newline, tail = block.rpartition(b"\n")
                if not newline:
                    rest += block
                    continue
                whole = rest + head + newline
                rest = tail
                yield whole, line
                line += whole.count(b"\n")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise RecordingError(f"{path}: not a whole gzip file") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    if rest:
        yield rest, line


def _decode(decode: Callable[[bytes], list[_Row]], chunk: bytes, path: Path, line: int) -> list[_Row]:
    """Decode a piece of whole lines; on trouble, find the line that is to blame."""
    try:
        rows = decode(chunk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rows = []
    lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    if len(rows) != lines:
        _blame(decode, chunk, path, line)
    return rows


def _blame(decode: Callable[[bytes], list[_Row]], chunk: bytes, path: Path, line: int) -> None:
    """Raise :class:`RecordingError` for the first line of ``chunk`` that is no message."""
    for offset, text in enumerate(chunk.splitlines()):
        reason = "an empty line"
        try:
            if decode(text):
                continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = str(error)
        raise RecordingError(f"{path}, line {line + offset}: not a market data message: {reason}")
    raise RecordingError(f"{path}, line {line}: lines that cannot be told apart")


class _Clock:
    """Reads RFC 3339 times in UTC; remembers the minute it saw last, since neighbours share it."""

    __slots__ = ("_at", "_minute")

    def __init__(self) -> None:
        self._minute = ""
        self._at = 0

    def read(self, text: str) -> int:
        """Nanoseconds UTC. Raises :class:`BadNumber`."""
        if not _UTC_TIME.match(text):
            return parse_time(text)
        minute = text[:_PREFIX]
        if minute != self._minute:
            self._at = parse_time(minute + "00Z")
            self._minute = minute
        seconds = int(text[_PREFIX : _PREFIX + 2])
        if seconds > 59:
            raise BadNumber("second is out of range")
        return self._at + seconds * NS_PER_SECOND + int(text[_PREFIX + 3 : -1].ljust(9, "0"))


def _time(clock: _Clock, text: str, path: Path, line: int) -> int:
    try:
        return clock.read(text)
    except BadNumber as error:
        raise RecordingError(f"{path}, line {line}: {text!r}: {error}") from None


def _read_messages(path: Path, skip: int = 0) -> Iterator[Message]:
    """The messages of one file without its first ``skip`` lines."""
    clock = _Clock()
    last, at = "", 0
    for chunk, line in _chunks(path):
        lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        if skip >= lines:
            skip -= lines
            continue
        rows = _decode(_LINES.decode_lines, chunk, path, line)
        for offset, row in enumerate(rows[skip:], start=skip):
            if row.t != last:
                last = row.t
                at = _time(clock, last, path, line + offset)
            if type(row) is _QuoteLine:
                bp, ap = row.bp, row.ap
                bid, ask = round(bp * PRICE_PER_DOLLAR), round(ap * PRICE_PER_DOLLAR)
                # Division rounds to the nearest double: what a text of four decimals gave, and nothing else.
                if bid / PRICE_PER_DOLLAR != bp or ask / PRICE_PER_DOLLAR != ap:
                    raise _too_fine(path, line + offset, bp, ap)
                yield Quote(row.S, bid, row.bs, ask, row.ask_size, at, row.bx, row.ax, "".join(row.c))
            else:
                price = round(row.p * PRICE_PER_DOLLAR)
                if price / PRICE_PER_DOLLAR != row.p:
                    raise _too_fine(path, line + offset, row.p)
                yield Trade(row.S, price, row.s, at, row.x, "".join(row.c), row.i)
        skip = 0


def _too_fine(path: Path, line: int, *prices: float) -> RecordingError:
    text = " or ".join(repr(price) for price in prices)
    return RecordingError(f"{path}, line {line}: price {text} is finer than 0.0001 dollar")
