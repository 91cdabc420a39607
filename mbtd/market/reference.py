"""Reference data: which instruments there are, kept over a restart, with its age in plain sight.

Invariants: instruments are sorted by symbol and symbols are unique; what is kept carries the time at which
its source said so; a source that fails leaves what is known untouched; stored bytes that cannot be read are
as good as none, and say why. What is kept is compressed and bounded (:data:`KEPT_BYTES_MAX`).
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
from msgspec import Struct

from actors.book.instruments import Instrument

KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
_VERSION: Final = 1
_RETRY_FIRST_S: Final = 30.0
_LOOK_EVERY_S: Final = 60.0
"""The longest sleep: the trade date may change and the wall clock may be set meanwhile."""
_HANDED_OVER_AT_ONCE: Final = 1_000
Attributes = Mapping[str, tuple[str, ...]]
"""By symbol, how the source marks an asset."""
Work = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a computation that takes tens of milliseconds: here or in a thread."""


async def work_here(computation: Callable[[], Any]) -> Any:
    """At once."""
    return computation()


async def work_in_thread(computation: Callable[[], Any]) -> Any:
    """Beside the event loop, which then loses only the interpreter's switching interval at a time."""
    return await anyio.to_thread.run_sync(computation)


class ReferenceStore(Protocol):
    """Where reference data survives: named bytes, each with a time."""

    async def get(self, name: str) -> tuple[bytes, int] | None:
        """The bytes kept under a name and their time in nanoseconds UTC; ``None`` when there are none."""

    async def put(self, name: str, body: bytes, at: int) -> None:
        """Keep bytes under a name in place of what was there."""


class Reference(Protocol):
    """Anything that knows instruments: a cache, a recording, the synthetic market."""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """All instruments, sorted by symbol."""

    @property
    def as_of(self) -> int:
        """When the source said so, in nanoseconds UTC; 0 when nothing is known."""


class FixedReference(Struct, frozen=True):
    """Instruments that a source knows by itself (synthetic market, recordings)."""

    instruments: tuple[Instrument, ...]
    as_of: int

    @classmethod
    def of(cls, instruments: Iterable[Instrument], as_of: int) -> FixedReference:
        """Sorted and without repetition; of two records of a symbol, the later one counts."""
        return cls(_sorted(instruments), as_of)


class Listed(Struct, frozen=True):
    """What a source brings."""

    instruments: Sequence[Instrument]
    attributes: Attributes = {}
    problem: str = ""
    """What could not be refreshed with them, as a sentence."""


_Loader = Callable[[], Awaitable[Listed]]


class _Kept(Struct, array_like=True, frozen=True):
    version: int
    instruments: tuple[Instrument, ...]
    attributes: dict[str, tuple[str, ...]] = {}


class ReferenceCache:
    """The instruments of one source, remembered in a store under the source's name."""

    def __init__(self, store: ReferenceStore, source: str, work: Work = work_here) -> None:
        self._store = store
        self._work = work
        self._source = source
        self._instruments: tuple[Instrument, ...] = ()
        self._attributes: Attributes = {}
        self._as_of = 0
        self._problem = ""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """All instruments, sorted by symbol."""
        return self._instruments

    @property
    def attributes(self) -> Attributes:
        """How the source marks them, by symbol."""
        return self._attributes

    @property
    def as_of(self) -> int:
        """When the source said so, in nanoseconds UTC; 0 when nothing is known."""
        return self._as_of

    @property
    def problem(self) -> str:
        """Why the last load or refresh brought nothing; empty when it did."""
        return self._problem

    def age_ns(self, now: int) -> int | None:
        """How old the data is; ``None`` when there is none."""
        return now - self._as_of if self._as_of else None

    async def load(self) -> bool:
        """Take what the store holds; says whether that was anything."""
        found = await self._store.get(self._source)
        if found is None:
            self._problem = "nothing is stored"
            return False
        body, as_of = found
        try:
            kept: _Kept = await self._work(lambda: msgspec.msgpack.decode(body, type=_Kept))
        except msgspec.DecodeError as error:
            self._problem = f"what is stored cannot be read: {error}"
            return False
        if kept.version != _VERSION:
            self._problem = f"what is stored has version {kept.version}, not {_VERSION}"
            return False
        self._instruments, self._as_of, self._problem = kept.instruments, as_of, ""
        self._attributes = kept.attributes
        return True

    async def refresh(self, load: _Loader, now: int) -> list[Instrument]:
        """Ask the source and keep its answer; returns the records that are new or changed.

        What the source no longer lists comes back as not active and not tradable. An empty answer counts as
        a failure. Whatever the source raises is raised again, after it has been noted as the problem.
        """
        try:
            fresh = await load()
        except Exception as error:
            self._problem = f"{self._source} did not answer: {error}"
            raise
        if not fresh.instruments:
            self._problem = f"{self._source} answered with no instrument at all"
            return []
        return await self.keep(fresh, now)

    async def keep(self, fresh: Listed, now: int) -> list[Instrument]:
        """Replace what is known and store it; returns the records that are new or changed."""
        before = self._instruments
        after, changed, body = await self._work(lambda: _compare(before, fresh))
        self._instruments, self._as_of, self._problem = after, now, ""
        self._attributes = fresh.attributes
        await self._store.put(self._source, body, now)
        return list(changed)


def _compare(known: Sequence[Instrument], fresh: Listed) -> tuple[tuple[Instrument, ...], list[Instrument], bytes]:
    """All there are now, those of them that are new or changed with those that are gone, and all as bytes."""
    before = {instrument.symbol: instrument for instrument in known}
    ordered = _sorted(fresh.instruments)
    after = {instrument.symbol: instrument for instrument in ordered}
    gone = [
        msgspec.structs.replace(instrument, active=False, tradable=False)
        for symbol, instrument in before.items()
        if symbol not in after and instrument.active
    ]
    changed = [instrument for instrument in ordered if before.get(instrument.symbol) != instrument]
    return ordered, [*changed, *gone], msgspec.msgpack.encode(_Kept(_VERSION, ordered, dict(fresh.attributes)))


class MetaValues(Protocol):
    """Reads named values of the store."""

    def meta(self, key: str) -> bytes | None:
        """The value, if there is one."""

    def close(self) -> None:
        """Close."""


class MetaStore:
    """Reference data as named values of the daemon's own store: read past the writer, written through it."""

    def __init__(self, reader: Callable[[], MetaValues], put: Callable[[str, bytes], None]) -> None:
        self._reader = reader
        self._put = put

    async def get(self, name: str) -> tuple[bytes, int] | None:
        """The bytes kept under a name and their time; what cannot be read comes back as empty bytes."""
        reader = self._reader()
        try:
            value = reader.meta(_key(name))
        finally:
            reader.close()
        if value is None:
            return None
        try:
            return zlib.decompress(value[8:]), int.from_bytes(value[:8], "big")
        except zlib.error:
            return b"", 0

    async def put(self, name: str, body: bytes, at: int) -> None:
        """Keep bytes in place of what was there; too many of them are not kept, and the old ones stay."""
        value = at.to_bytes(8, "big") + await anyio.to_thread.run_sync(zlib.compress, body, 1)
        if len(value) > KEPT_BYTES_MAX:
            raise ReferenceTooLarge(f"{len(value)} bytes of reference data are too many to be kept over a restart")
        self._put(_key(name), value)


class ReferenceTooLarge(ValueError):
    """It is in use, but not kept."""


class ReferenceSink(Protocol):
    """Who wants to know."""

    def push_reference(self, instruments: Sequence[Instrument]) -> None:
        """Add or replace records. Never waits."""


class ReferenceKeeper:
    """Keeps a live feed's reference data fresh: from the store at the start, from its source then and daily.

    ``load`` gets what is known and brings everything, or raises. ``learn`` and ``mark`` tell the feed. A new
    trade date makes the data old at once, for the previous closes go with it. A failure is tried again after
    a delay that doubles up to the interval.
    """

    def __init__(
        self,
        source: str,
        load: Callable[[Sequence[Instrument], int], Awaitable[Listed]],
        learn: Callable[[Sequence[Instrument]], None],
        mark: Callable[[Attributes], None],
        *,
        now: Callable[[], int],
        trade_date: Callable[[], int],
        interval_s: float,
        work: Work = work_here,
    ) -> None:
        self._work = work
        self._source = source
        self._load = load
        self._learn = learn
        self._mark = mark
        self._now = now
        self._trade_date = trade_date
        self._interval_s = interval_s
        self._cache: ReferenceCache | None = None
        self._partial = ""
        self._asked = False
        self.refreshes = 0
        self.failures = 0

    @property
    def instruments(self) -> int:
        """How many are known."""
        return len(self._cache.instruments) if self._cache is not None else 0

    @property
    def problem(self) -> str:
        """Why the data is not as fresh as it should be; empty when it is."""
        if self._cache is None or not self._asked:
            return "" if self.instruments else "not loaded yet"
        return self._cache.problem or self._partial

    def age_s(self) -> int | None:
        """Seconds since the source said so; ``None`` when nothing is known."""
        age = self._cache.age_ns(self._now()) if self._cache is not None else None
        return max(0, age // 1_000_000_000) if age is not None else None

    async def begin(self, store: ReferenceStore, sink: ReferenceSink) -> None:
        """Hand over what an earlier run kept."""
        cache = self._cache = ReferenceCache(store, self._source, self._work)
        if await cache.load():
            await self._hand_over(cache.instruments, sink)

    async def run(self, sink: ReferenceSink, heard: Callable[[str], None] = lambda _problem: None) -> None:
        """Refresh until cancelled; after each try ``heard`` gets the problem, or an empty text."""
        delay_s = _RETRY_FIRST_S
        while True:
            trade_date = self._trade_date()
            if await self._refresh(sink, trade_date):
                delay_s, wait_s = _RETRY_FIRST_S, self._interval_s
            else:
                wait_s = min(delay_s, self._interval_s)
                delay_s = min(2 * delay_s, self._interval_s)
            heard(self.problem)
            until = self._now() + int(wait_s * 1e9)
            # Neither the wall clock nor the trade date says when it changes.
            while self._now() < until and self._trade_date() == trade_date:  # noqa: ASYNC110
                await anyio.sleep(min(_LOOK_EVERY_S, max(0.0, (until - self._now()) / 1e9)))

    async def _refresh(self, sink: ReferenceSink, trade_date: int) -> bool:
        cache = self._cache
        assert cache is not None
        partial = ""

        async def load() -> Listed:
            nonlocal partial
            listed = await self._load(cache.instruments, trade_date)
            partial = listed.problem
            return listed

        try:
            changed = await cache.refresh(load, self._now())
        except ReferenceTooLarge as error:
            changed, partial = list(cache.instruments), str(error)
        except Exception:
            self._asked, self.failures = True, self.failures + 1
            return False
        self._asked, self._partial = True, partial
        await self._hand_over(changed, sink)
        self.refreshes += 1
        return not cache.problem and not partial

    async def _hand_over(self, instruments: Sequence[Instrument], sink: ReferenceSink) -> None:
        self._learn(instruments)
        assert self._cache is not None
        self._mark(self._cache.attributes)
        for start in range(0, len(instruments), _HANDED_OVER_AT_ONCE):
            sink.push_reference(instruments[start : start + _HANDED_OVER_AT_ONCE])
            await anyio.lowlevel.checkpoint()


def open_meta(directory: Path) -> MetaValues:
    """A read-only connection to the store of a state directory."""
    from storage.reader import SnapshotReader

    return SnapshotReader(directory)


def _key(name: str) -> str:
    return f"reference/{name}"


def _sorted(instruments: Iterable[Instrument]) -> tuple[Instrument, ...]:
    unique = {instrument.symbol: instrument for instrument in instruments}
    return tuple(unique[symbol] for symbol in sorted(unique))
